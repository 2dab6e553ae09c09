"""harvest_pipeline: every report of a Harvest account in DuckDB, as Dagster assets."""
