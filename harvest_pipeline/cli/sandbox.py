"""`harvest-pipeline sandbox`."""

from harvest_pipeline.cli.argparsed import argparsed
from harvest_pipeline.sandbox.command import add_arguments, run

command = argparsed("sandbox", add_arguments, run)
