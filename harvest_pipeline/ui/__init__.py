"""The Dagster UI as `harvest-pipeline dev` serves it: guarded against other web pages.

The pages are Dagster's own, unchanged. `harvest-pipeline dev` starts webserver.py in a process
group of its own; that starts the daemon and the code servers, and runs are children of these.
"""

#: The module through which they are started.
LIFELINE = "harvest_pipeline.ui.lifeline"
