"""The Harvest API, for reading: `client.HarvestClient` and `reading.read`.

Belongs here: HTTP, credentials, request limits, paging, and the proof that a read is complete.
Does not belong here: Dagster, DuckDB, or what a record's columns mean.
"""
