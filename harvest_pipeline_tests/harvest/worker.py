"""A process that asks Harvest who we are, as a run would, for every line that it is sent.

`python -m harvest_pipeline_tests.harvest.worker`; it answers with a line for each account.
"""

import os
import sys
from contextlib import closing

from harvest_pipeline.harvest.access import client_from_environment
from harvest_pipeline.harvest.errors import HarvestError
from harvest_pipeline.settings import load_project


def main() -> None:
    print("ready", flush=True)
    for _ in sys.stdin:
        for settings in load_project(os.environ).accounts:
            try:
                with closing(client_from_environment(settings, os.environ, print)) as client:
                    print(client.identity.role, flush=True)
            except HarvestError as error:
                print(error, flush=True)


if __name__ == "__main__":
    main()
