"""The logic between Harvest and the warehouse, without Dagster: read, reconcile, compare."""
