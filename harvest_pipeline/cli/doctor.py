"""`harvest-pipeline doctor`."""

from harvest_pipeline.cli.argparsed import argparsed
from harvest_pipeline.doctor.command import add_arguments, run

command = argparsed("doctor", add_arguments, run)
