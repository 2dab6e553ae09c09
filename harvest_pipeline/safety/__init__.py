"""Protection of what others could read, take or change: texts, hosts, files."""
