"""The tag of a run of `sync` that its partitions are the days already."""

from datetime import timedelta
from pathlib import Path

import yaml

from harvest_pipeline.partitions import EXACT_WINDOW
from harvest_pipeline.scope import Window
from harvest_pipeline_tests.conftest import TODAY, Project


def test_a_dataset_without_partitions_keeps_its_days_in_it(
    project: Project, tmp_path: Path
) -> None:
    changed = {"name": "changed", "report": "projects", "window": {"days_back": 60}}
    old = {"name": "old", "report": "daily", "window": {"days_back": 60}}
    config = tmp_path / "harvest.yaml"
    config.write_text(yaml.safe_dump({"datasets": [changed, old]}))
    project.set(HARVEST_CONFIG=str(config))
    days = Window(TODAY - timedelta(days=20), TODAY - timedelta(days=10))
    result = project.materialize("changed", "old", window=days, tags=EXACT_WINDOW)
    assert result.success
    ((first, last),) = project.query(
        "SELECT window_first, window_last FROM _loads WHERE report = 'old'"
    )
    assert Window(first, last) == days
    ((since, before),) = project.query(
        "SELECT (filters ->> 'updated_since')::TIMESTAMPTZ::DATE,"
        " (filters ->> 'updated_before')::TIMESTAMPTZ::DATE FROM _loads WHERE report = 'changed'"
    )
    assert before - since == timedelta(days=61)
