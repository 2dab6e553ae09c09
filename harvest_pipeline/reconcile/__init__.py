"""Making the warehouse equal to Harvest, whatever happened since it was loaded.

Belongs here: proof.py finds what differs and reads that, sweep.py chooses whose messages and
payments are read again, reconciliation.py does it record by record, job.py is the Dagster job.
"""
