"""The Harvest API, for reading: `client.HarvestClient` and `extract.read`, which proves that a read
is complete. Knows no Dagster and no DuckDB."""
