"""What `doctor` finds of Dagster: versions, home, daemon, and jobs whose last run failed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from harvest_pipeline import __version__
from harvest_pipeline.cli.findings import Finding
from harvest_pipeline.settings import project_folder
from harvest_pipeline.settings.environment import DAGSTER_YAML

if TYPE_CHECKING:  # the import takes a second or two
    import dagster as dg

#: Seconds; the daemon sends a heartbeat every 30, and Dagster calls it healthy for half an hour.
_HEARTBEAT = 150.0
_LATEST_RUNS = 100


def dagster_findings(named: str | None, source: str) -> Iterator[Finding]:
    """Versions, home, daemon, and jobs whose last run failed. `named` is DAGSTER_HOME, and `source`
    where it comes from."""
    packages = ("dagster", "dagster-webserver", "dagster-duckdb", "duckdb")
    versions = [("harvest_pipeline", __version__), *((each, version(each)) for each in packages)]
    yield Finding("versions", "ok", ", ".join(map(" ".join, versions)))
    home = Path(named) if named else project_folder() / ".dagster"
    if named and not (home.is_absolute() and home.is_dir()):
        text = (
            "DAGSTER_HOME is not the full path of a folder, and Dagster does not start with that."
        )
        yield Finding("home", "wrong", text, "Make the folder, or remove DAGSTER_HOME.")
        return
    yield Finding("home", "ok", f"{home} ({source})")
    # Opening an instance creates its files. The demo's own home is below this one.
    unused = {"dagster.yaml", "sandbox"}
    if not home.is_dir() or not {each.name for each in home.iterdir()} - unused:
        yield _no_daemon("Dagster has never run with this home")
        return
    import dagster as dg

    from harvest_pipeline.orchestration.instance import Instance

    yaml = home / "dagster.yaml"
    try:
        instance = dg.DagsterInstance.from_config(str(home))
    except Exception as error:  # an error in the file can raise many kinds
        text = f"Dagster cannot use {yaml} ({type(error).__name__})."
        remedy = f"Correct it; `DAGSTER_HOME={home} dagster instance info` says why."
        yield Finding("dagster.yaml", "wrong", text, remedy)
        return
    with instance:
        if not isinstance(instance, Instance):
            text = f"{yaml} is not that of this project: runs whose process died never end."
            remedy = f"ln -sf {quote(str(DAGSTER_YAML))} {quote(str(yaml))}"
            yield Finding("dagster.yaml", "warning", text, remedy)
        yield _daemon(instance)
        yield from _failed_runs(instance)


def _daemon(instance: "dg.DagsterInstance") -> Finding:
    beats = [beat.timestamp for beat in instance.get_daemon_heartbeats().values()]
    if not beats:
        return _no_daemon("it has never given a heartbeat")
    seconds = round(datetime.now(UTC).timestamp() - max(beats))
    if seconds > _HEARTBEAT:
        return _no_daemon(f"its last heartbeat was {timedelta(seconds=seconds)} ago")
    return Finding("daemon", "ok", f"running; last heartbeat {seconds} seconds ago")


def _no_daemon(why: str) -> Finding:
    text = f"not running: {why}. Schedules do not start, and queued runs wait."
    remedy = "Start `make dev` and leave it running, or `dagster-daemon run` beside your webserver."
    return Finding("daemon", "warning", text, remedy)


def _failed_runs(instance: "dg.DagsterInstance") -> Iterator[Finding]:
    """The jobs whose last finished run failed."""
    records = instance.get_run_records(limit=_LATEST_RUNS)  # latest first
    finished = [each for each in records if each.dagster_run.is_finished]
    latest = {each.dagster_run.job_name: each for each in reversed(finished)}
    for name, record in latest.items():
        if record.dagster_run.is_failure:
            run = record.dagster_run.run_id[:8]
            when = f"{record.create_timestamp:%Y-%m-%d %H:%M} UTC"
            text = f"the last run of {name} failed: {run}, launched on {when}."
            yield Finding("runs", "warning", text, "Open it in the UI: its errors say what to do.")
