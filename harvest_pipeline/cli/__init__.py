"""The command `harvest-pipeline`: one module per subcommand, imported when it is called."""
