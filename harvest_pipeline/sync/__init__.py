"""The commands `harvest-pipeline sync` and `harvest-pipeline reports`.

`sync` has two processes. The command's own chooses, shows and listens to Ctrl-C; the worker's
(worker.py) is the Dagster run. They share two pipes and the messages of messages.py. Ctrl-C never
reaches the worker by itself: a run ends as cancelled only if Dagster is told so before it is
interrupted, which the command sees to.

Belongs here: both. Does not belong here: what an asset does.
"""
