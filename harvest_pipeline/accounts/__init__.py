"""Accounts that a person has connected, and their credentials on this machine.

Knows files, the system keyring, locks and `harvest`; neither Dagster nor DuckDB.
"""
