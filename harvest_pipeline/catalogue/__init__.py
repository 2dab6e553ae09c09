"""The catalogue: Harvest's records and reports as pure data."""
