"""The Dagster layer: assets, checks, jobs, schedules, sensors, resources and the IO manager."""
