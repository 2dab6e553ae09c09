"""The DuckDB warehouse: the tables of records and reports, and how a spool is loaded into them."""
