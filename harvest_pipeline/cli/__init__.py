"""`harvest-pipeline`: a command for a person, one module each, loaded when it is called."""
