"""Dagster: assets, checks, jobs, schedules, sensors, resources and the IO manager."""
