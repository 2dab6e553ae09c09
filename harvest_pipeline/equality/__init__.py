"""Whether the warehouse equals Harvest, by Harvest's own reports (REFERENCE 10).

The same figures are taken from both sides and compared by ids, to the last digit. The checks run in
Dagster (checks.py); `harvest-pipeline verify` prints a statement (cli/verify.py).
"""
