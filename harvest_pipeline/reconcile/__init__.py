"""The loop that keeps the warehouse equal to Harvest: changes and new days (every few minutes, if
anything moved), and with them deletions, slow re-reads, comparison and repair (every night)."""
