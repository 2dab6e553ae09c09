"""The Harvest API client, read-only: `client.HarvestClient`, and `extract.read`, which proves that
a read is complete. It uses neither Dagster nor DuckDB."""
