"""The Dagster UI as `harvest-pipeline dev` serves it: guarded against other web pages.

Belongs here: the guard (guard.py) and the process that serves Dagster inside it (webserver.py).
Does not belong here: pages. They are Dagster's own, unchanged.
"""
