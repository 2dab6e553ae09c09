"""What each of the 18 reports says when Harvest fails it: one sentence, no secret, nothing lost."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.plan.objects import StepFailureData

from harvest_pipeline.catalogue.columns import Report
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.catalogue.reports import REPORTS, record_of
from harvest_pipeline.definitions import build_definitions
from harvest_pipeline.orchestration.partitions import range_tags
from harvest_pipeline.scope import Window
from harvest_pipeline_tests.acceptance.copy import Copy
from harvest_pipeline_tests.conftest import TODAY
from harvest_pipeline_tests.orchestration.parameters.stage import hasten
from harvest_pipeline_tests.sandbox.faults import Forbid

#: Their parents fail first, so they are run without them.
CHILDREN = [each.name for each in REPORTS.values() if record_of(each).parent]
ROOTS = [each.name for each in REPORTS.values() if not record_of(each).parent]


@dataclass(frozen=True)
class Broken:
    """What runs over all reports left while Harvest refused every list."""

    sentences: dict[str, str]
    traces: dict[str, str]
    token: str
    before: dict[str, list[tuple[Any, ...]]]
    after: dict[str, list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def broken(copied: Copy) -> Broken:
    before = copied.content()
    failures = _failures(copied)
    return Broken(
        {
            name: (data.user_failure_data and data.user_failure_data.description) or ""
            for name, data in failures
        },
        {name: str(data.error) for name, data in failures},
        copied.sandbox.environment()["HARVEST_ACCESS_TOKEN"],
        before,
        copied.content(),
    )


def test_a_failure_is_told_in_one_sentence_with_its_cause(broken: Broken, report: Report) -> None:
    """CAT TestBasicRead: airbyte_trace_message_on_failure."""
    sentence = broken.sentences[report.name]
    # The children are asked for by way of their parents.
    asked = record_of(report).parent or report.record
    assert RECORDS[asked].permission in sentence
    assert "\n" not in sentence
    assert "Traceback" not in sentence


def test_a_failure_shows_no_secret(broken: Broken, report: Report) -> None:
    """CAT TestSpec: secret_never_in_the_output (there an empty stub); airbyte-cdk:
    assert_no_secrets_in_output. Every output and every encoding: security/test_leaks.py."""
    for text in (broken.sentences[report.name], broken.traces[report.name]):
        assert broken.token not in text


def test_a_failure_takes_nothing_away(broken: Broken, report: Report) -> None:
    """Fivetran: on an error the sync ends, and what was saved stays."""
    assert broken.before[report.record]
    assert broken.after[report.record] == broken.before[report.record]


def _failures(copied: Copy) -> list[tuple[str, StepFailureData]]:
    """What each report said in runs over all of them, by its name."""
    found: list[tuple[str, StepFailureData]] = []
    now = datetime.combine(TODAY, datetime.min.time(), UTC).replace(hour=18)
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        hasten(patch)
        for name, value in copied.sandbox.environment().items():
            patch.setenv(name, value)
        patch.setenv("HARVEST_DUCKDB", str(copied.database))
        patch.setenv("HARVEST_START_DATE", TODAY.isoformat())
        job = build_definitions().resolve_implicit_global_asset_job_def()
        with dg.partition_loading_context(effective_dt=now):
            for reports in (ROOTS, CHILDREN):
                _forbid(copied, reports)
                result = job.execute_in_process(
                    instance=instance,
                    asset_selection=[dg.AssetKey(["harvest", name]) for name in reports],
                    tags=range_tags(Window(TODAY, TODAY)),
                    raise_on_error=False,
                )
                found += [
                    (str(event.node_name).split("__", 1)[1], event.step_failure_data)
                    for event in result.all_events
                    if event.is_step_failure
                ]
    copied.sandbox.account.faults.clear()
    return found


def _forbid(copied: Copy, reports: list[str]) -> None:
    """Let the sandbox refuse the lists of these reports, or of their parents."""
    faults = copied.sandbox.account.faults
    faults.clear()
    for path in {(record_of(REPORTS[each]).endpoint or "").split("/{")[0] for each in reports}:
        # A run asks for /users/me once, in its beginning.
        faults.add(Forbid(path=path, times=None, skip=1 if path == "/users" else 0))
