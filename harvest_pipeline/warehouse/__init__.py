"""DuckDB: the tables of the records and reports, and how a spool becomes rows in them.

Belongs here: everything that speaks SQL. Only io_manager.py knows Dagster.
Does not belong here: HTTP. Nothing here imports `harvest_pipeline.harvest`; what arrives is a
`harvest_pipeline.scope.Spool`.
"""
