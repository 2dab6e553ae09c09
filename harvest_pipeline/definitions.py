"""The definitions that Dagster loads: `defs`, built from the environment and `harvest.yaml`."""

import os

from harvest_pipeline.orchestration.build import build_definitions

# Dagster writes history and logs from the processes that load this module, and they show who worked
# on what: readable by the owner only, whatever the umask of the shell or the service.
os.umask(0o077)
defs = build_definitions()
