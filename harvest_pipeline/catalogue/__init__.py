"""What Harvest's records and reports are, as pure data.

Belongs here: names, endpoints, keys, columns, types, descriptions.
Does not belong here: anything that does something. This package imports neither Dagster, nor
requests, nor DuckDB, and nothing else of this project, so that everything may read it.
"""
