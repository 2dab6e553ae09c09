"""Between Harvest and the warehouse, without Dagster: what is read, what changed, what differs."""
