"""What Harvest's records and reports are, as pure data."""
