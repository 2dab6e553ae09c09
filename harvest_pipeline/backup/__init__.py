"""`harvest-pipeline backup` and `restore`: the whole database as one file, and back.

A plain copy of the file may lack its last loads, which can still be in its log (`.wal`), and
nobody can tell. So a backup is written by DuckDB, which reads everything and checks it, and bears
a mark; only such a file is restored.
"""
