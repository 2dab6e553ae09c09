"""`python -m harvest_pipeline.cli` is `harvest-pipeline`."""

import sys

from harvest_pipeline.cli.main import main

sys.exit(main())
