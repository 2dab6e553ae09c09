"""What Dagster has stored: signs of life of its daemon, and runs that are stuck.

Belongs here: reading the instance of a home that exists. Nothing in it is changed.
Does not belong here: the files of the home (dagster_home.py).
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from harvest_pipeline.doctor.findings import Finding, ok, warning, wrong

#: The daemon gives a sign of life every 30 seconds; Dagster itself is content with one in half an
#: hour.
_ALIVE_SECONDS = 150.0
#: Longer than any first load takes.
_LONG = timedelta(hours=4)
_SHOWN_RUNS = 5
_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def instance_findings(home: Path) -> Iterator[Finding]:
    """Whether the daemon runs, and which runs are unfinished for long."""
    try:
        instance = dg.DagsterInstance.from_config(str(home))
    except Exception as error:  # for a mistake in dagster.yaml: errors of many kinds
        yield wrong(
            "instance",
            f"Dagster does not take what {home} holds ({type(error).__name__}).",
            f"Correct dagster.yaml there; `DAGSTER_HOME={home} dagster instance info` says why.",
        )
        return
    with instance:
        yield from _daemon(instance)
        yield from _stuck_runs(instance)


def no_daemon(why: str) -> Finding:
    """The finding that no daemon runs."""
    return warning(
        "daemon",
        f"not running: {why}. Schedules do not start, and queued runs wait.",
        "Start `make dev` and leave it running, or `dagster-daemon run` beside your own webserver.",
    )


def _daemon(instance: dg.DagsterInstance) -> Iterator[Finding]:
    signs = instance.get_daemon_heartbeats().values()
    if not signs:
        yield no_daemon("it has never given a sign of life")
        return
    ago = datetime.now(UTC).timestamp() - max(sign.timestamp for sign in signs)
    if ago > _ALIVE_SECONDS:
        yield no_daemon(f"its last sign of life is {timedelta(seconds=round(ago))} old")
        return
    yield ok("daemon", f"running; last sign of life {ago:.0f} seconds ago")
    for sign in signs:
        if sign.errors:
            yield warning(
                "daemon",
                f"its part {sign.daemon_type} reports errors.",
                "Look at Deployment, Daemons in the Dagster UI.",
            )


def _stuck_runs(instance: dg.DagsterInstance) -> Iterator[Finding]:
    limit = datetime.now(UTC) - _LONG
    unfinished = instance.get_run_records(dg.RunsFilter(statuses=_UNFINISHED, created_before=limit))
    # A run that waited in the queue for long may have begun only now.
    stuck = [
        record
        for record in unfinished
        if record.start_time is None or record.start_time < limit.timestamp()
    ]
    if not stuck:
        yield ok("runs", f"none is unfinished for longer than {_LONG}")
    for record in stuck[:_SHOWN_RUNS]:
        run = record.dagster_run
        yield warning(
            "runs",
            f"run {run.run_id[:8]} of {run.job_name} is {run.status.value} and was launched on "
            f"{record.create_timestamp:%Y-%m-%d %H:%M}, longer ago than {_LONG}.",
            "Start `make dev`, which ends those whose process is gone; else terminate it in the "
            'UI with "Force termination".',
        )
    if len(stuck) > _SHOWN_RUNS:
        yield warning("runs", f"{len(stuck)} runs in all are stuck.", "See Runs in the Dagster UI.")
