"""Dagster's UI as `harvest-pipeline dev` serves it: its pages, inside a guard."""
