"""`harvest-pipeline reports`."""

from harvest_pipeline.cli.argparsed import argparsed
from harvest_pipeline.sync.reports import add_arguments, run

command = argparsed("reports", add_arguments, run)
