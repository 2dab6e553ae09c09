"""DuckDB: the tables of the records and reports, and how a spool becomes rows in them."""
