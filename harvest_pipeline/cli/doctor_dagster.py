"""What `doctor` finds of Dagster: versions, home, storage, launcher, daemon, and jobs whose last
run failed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import yaml

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
    """Versions, home, where history is and what executes runs, daemon, and jobs whose last run
    failed. `named` is DAGSTER_HOME, and `source` where it comes from."""
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
    file = home / "dagster.yaml"
    server = _server(file)
    # Opening an instance creates its files. The demo's own home is below this one.
    unused = {"dagster.yaml", "sandbox"}
    if not server and not (home.is_dir() and {each.name for each in home.iterdir()} - unused):
        yield _no_daemon("Dagster has never run with this home")
        return
    import dagster as dg
    from dagster._core.instance.ref import InstanceRef

    try:
        instance = dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides=server))
    except Exception as error:  # an error in the file, or a server that is away: many kinds
        what = f"{file}, or the database that it names" if server else f"{file}"
        text = f"Dagster cannot use {what} ({type(error).__name__})."
        remedy = f"Correct it; `DAGSTER_HOME={home} dagster instance info` says why."
        yield Finding("dagster.yaml", "wrong", text, remedy)
        return
    with instance:
        yield Finding("storage", "ok", _stored(instance))
        yield _launcher(instance, file)
        yield from _daemon(instance)


def _server(file: Path) -> dict[str, Any]:
    """What dagster.yaml says of a storage that is not in the home, and that no tables are made
    there; empty if there is none."""
    try:
        settings: Any = yaml.safe_load(file.read_text("utf-8"))
        servers = {
            kind: {**config, "should_autocreate_tables": False}
            for kind, config in settings["storage"].items()
            if kind in ("postgres", "mysql")
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError):
        return {}  # where the file is wrong, Dagster says so
    return {"storage": servers} if servers else {}


def _stored(instance: "dg.DagsterInstance") -> str:
    """Where the history of runs is, without a password."""
    from sqlalchemy.engine import make_url

    storage: Any = instance.run_storage
    if url := getattr(storage, "postgres_url", None) or getattr(storage, "mysql_url", None):
        parts = make_url(url)
        return f"{parts.get_backend_name()} at {parts.host or 'this machine'}, {parts.database}"
    return "SQLite in this home"


def _launcher(instance: "dg.DagsterInstance", file: Path) -> Finding:
    """What executes runs, and whether it notices that a process is gone."""
    from harvest_pipeline.orchestration.instance import Instance

    launcher = instance.run_launcher
    name = type(launcher).__name__
    watched = instance.run_monitoring_enabled and launcher.supports_check_run_worker_health
    if isinstance(instance, Instance):
        return Finding("launcher", "ok", f"{name}: runs are processes of this machine")
    if watched and name != "CeleryRunLauncher":
        return Finding("launcher", "ok", f"{name}: Dagster's daemon looks after the runs")
    text = f"{file} is not one of this project: runs whose process died never end ({name})."
    ours = f"`ln -sf {quote(str(DAGSTER_YAML))} {quote(str(file))}`"
    remedy = f"{ours} on one machine, or take one of deploy/ for several."
    return Finding("dagster.yaml", "warning", text, remedy)


def _daemon(instance: "dg.DagsterInstance") -> Iterator[Finding]:
    """Whether the daemon runs, on whatever machine, and the jobs whose last run failed."""
    from sqlalchemy.exc import ProgrammingError

    try:
        beats = [beat.timestamp for beat in instance.get_daemon_heartbeats().values()]
    except ProgrammingError:  # no tables
        yield _no_daemon("Dagster has never run with this database")
        return
    if not beats:
        yield _no_daemon("it has never given a heartbeat")
    elif (seconds := round(datetime.now(UTC).timestamp() - max(beats))) > _HEARTBEAT:
        yield _no_daemon(f"its last heartbeat was {timedelta(seconds=seconds)} ago")
    else:
        yield Finding("daemon", "ok", f"running; last heartbeat {seconds} seconds ago")
    yield from _failed_runs(instance)


def _no_daemon(why: str) -> Finding:
    text = f"not running: {why}. Schedules do not start, and queued runs wait."
    remedy = "Start `make dev` and leave it running, or `dagster-daemon run` on one host."
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
