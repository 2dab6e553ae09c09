"""`harvest-pipeline sync`."""

from harvest_pipeline.cli.argparsed import argparsed
from harvest_pipeline.sync.command import add_arguments, run

command = argparsed("sync", add_arguments, run)
