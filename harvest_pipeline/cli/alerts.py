"""`harvest-pipeline alerts`."""

from harvest_pipeline.alerts.command import add_arguments
from harvest_pipeline.cli.argparsed import argparsed

command = argparsed("alerts", add_arguments)
