"""`harvest-pipeline verify`."""

from harvest_pipeline.cli.argparsed import argparsed
from harvest_pipeline.equality.command import add_arguments, run

command = argparsed("verify", add_arguments, run)
