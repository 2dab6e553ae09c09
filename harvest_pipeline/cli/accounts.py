"""`harvest-pipeline accounts`."""

from harvest_pipeline.cli.argparsed import argparsed
from harvest_pipeline.connect.accounts import add_arguments

command = argparsed("accounts", add_arguments)
