"""`harvest-pipeline connect`."""

from harvest_pipeline.cli.argparsed import argparsed
from harvest_pipeline.connect.command import add_arguments, run

command = argparsed("connect", add_arguments, run)
