"""Dagster's daemon (schedules, sensors, backfills, queued runs), which does not outlive the UI."""

from dagster._daemon.cli import main

from harvest_pipeline.ui.lifeline import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    main()
