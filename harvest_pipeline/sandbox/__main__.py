"""`python -m harvest_pipeline.sandbox` serves a sandbox account."""

from harvest_pipeline.sandbox.command import main

raise SystemExit(main())
