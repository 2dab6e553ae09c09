"""A process that plays all failures, in a project and a Dagster home of its own.

    python -m harvest_pipeline_tests.security.play FOLDER RESULTS

In one process, because starting one for each of them costs seconds. It prints what they print, and
writes what came of them, and the secrets that the sandbox has given away, to the file RESULTS.
"""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import dagster as dg
import keyring.core
from alembic.script import ScriptDirectory

from harvest_pipeline import state
from harvest_pipeline.cli.main import main as harvest_pipeline
from harvest_pipeline.definitions import build_definitions
from harvest_pipeline.harvest import access
from harvest_pipeline.orchestration import steps as retries
from harvest_pipeline.settings import SettingsError, project_folder
from harvest_pipeline_tests.cli.connect.person import decide
from harvest_pipeline_tests.conftest import unlimited
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.security.failures import (
    CLIENT_SECRET,
    OF_HOLDER,
    Failure,
    answer,
    failures,
)

_TESTS = Path(__file__).parents[2]


def stage(folder: Path) -> dict[str, str]:
    """A copy of the project below `folder`; the environment in which all that it writes is there,
    without an account."""
    project, home = folder / "project", folder / "home"
    without = shutil.ignore_patterns("__pycache__")
    shutil.copytree(_TESTS / "harvest_pipeline", project / "harvest_pipeline", ignore=without)
    for name in ("workspace.yaml", "dagster.yaml"):
        shutil.copy(_TESTS / name, project)
    for made in (home, folder / "output", folder / "stores"):
        made.mkdir(mode=0o700)
    shutil.copy(_TESTS / "dagster.yaml", home)
    ours = ("HARVEST_", "DISPLAY", "PYTHON_DOTENV_DISABLED")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(ours)},
        "HARVEST_DUCKDB": str(folder / "data" / "warehouse.duckdb"),
        "HARVEST_TOKEN_STORE": str(folder / "stores" / "none"),
        "HARVEST_CONFIG": os.devnull,
        "DAGSTER_HOME": str(home),
        # The copy of the package comes before the package itself.
        "PYTHONPATH": os.pathsep.join((str(project), str(_TESTS))),
        "PYTHONSAFEPATH": "1",
        "PYTHON_KEYRING_BACKEND": "harvest_pipeline_tests.security.keyrings.Telling",
        "TEST_KEYRING": str(folder / "keyring.json"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "COLUMNS": "200",
    }


def given_away(sandbox: SandboxServer) -> list[str]:
    """What the sandbox accepts, and every token that it has given away."""
    tokens = sandbox.world.tokens
    opening = [sandbox.tokens["administrator"], sandbox.client_secret, sandbox.refresh_token]
    return [*opening, *tokens._access, *tokens._refresh]


def _run(instance: dg.DagsterInstance, failure: Failure) -> tuple[bool, str]:
    """A run of the report clients: whether it went well, and what its failures say."""
    try:
        job = build_definitions().resolve_implicit_global_asset_job_def()
        result = job.execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey([failure.account, "clients"])],
            run_config=dict(failure.run_config),
            raise_on_error=False,
        )
    except SettingsError as error:
        error.show()
        return False, error.message
    events = [event for event in result.all_events if event.is_failure]
    return result.success, "\n".join(str(event.event_specific_data) for event in events)


def _command(arguments: tuple[str, ...], typed: io.StringIO) -> tuple[bool, str]:
    """A command with pipes; what it prints goes where our own output goes."""
    usual = sys.stdin, sys.stdout, sys.stderr
    printed = io.StringIO()
    sys.stdin, sys.stdout, sys.stderr = typed, printed, printed
    try:
        ok = harvest_pipeline(arguments) == 0
    except SystemExit as end:
        ok = end.code == 0
    finally:
        sys.stdin, sys.stdout, sys.stderr = usual
    print(printed.getvalue(), flush=True)
    return ok, printed.getvalue()


class Consent(io.StringIO):
    """A person who goes to the address that is printed, and types where it sends the browser."""

    def __init__(self, decision: str) -> None:
        super().__init__()
        self._decision = decision

    def readline(self, size: int = -1) -> str:
        address = next(w for w in sys.stdout.getvalue().split() if "/oauth2/authorize" in w)
        self.redirect = decide(address, decision=self._decision)
        return f"{self.redirect}\n"


def _do(
    sandbox: SandboxServer,
    instance: dg.DagsterInstance,
    environment: Mapping[str, str],
    failure: Failure,
    typed: io.StringIO | None = None,
) -> dict[str, Any]:
    """Play one; what came of it."""
    sandbox.faults.clear()
    for each in failure.faults:
        sandbox.faults.add(each)
    for path, text in failure.files.items():
        path.write_text(text)
    changed = {**environment, **sandbox.environment(), **failure.environment}
    os.environ.clear()
    os.environ.update({name: value for name, value in changed.items() if value is not None})
    keyring.core.init_backend()
    try:
        if failure.command:
            ok, told = _command(failure.command, typed or io.StringIO(failure.typed))
        else:
            ok, told = _run(instance, failure)
    except (Exception, KeyboardInterrupt):
        # What nobody has caught would be on the terminal of the person too.
        traceback.print_exc()
        ok, told = False, traceback.format_exc()
    (project_folder() / ".env").unlink(missing_ok=True)  # it would win over what comes next
    return {"name": failure.name, "ok": ok, "told": told, "fails": failure.fails,
            "expected": failure.told}  # fmt: skip


def _consents(sandbox: SandboxServer, folder: Path) -> Iterator[tuple[Failure, Consent]]:
    """A person connects, or does not."""
    environment = {
        "HARVEST_ACCESS_TOKEN": "",
        "HARVEST_ACCOUNT_ID": "",
        "HARVEST_TOKEN_STORE": str(folder / "stores" / "connected"),
        "HARVEST_CLIENT_ID": sandbox.client_id,
        "HARVEST_CLIENT_SECRET": sandbox.client_secret,
    }
    connect = ("connect", "--no-browser")
    wrong = {**environment, "HARVEST_CLIENT_SECRET": CLIENT_SECRET}
    repeated = (answer("/oauth2/token", 401, CLIENT_SECRET),)
    yield Failure("consent denied", "", environment, command=connect), Consent("deny")
    yield Failure("wrong client", "", wrong, repeated, command=connect), Consent("allow")
    yield Failure("consent", "", environment, command=connect, fails=False), Consent("allow")


def main(folder: Path, results: Path) -> None:
    """Play everything; pauses are blinks, and nothing else is different."""
    retries._PAUSE_SECONDS = state._AT_FIRST = 0.01
    # Dagster makes a database for each run, and loads its ninety migrations each time.
    ScriptDirectory.from_config = cache(ScriptDirectory.from_config)  # type: ignore[method-assign]
    access.HarvestClient = unlimited  # type: ignore[assignment,misc]
    environment = dict(os.environ)
    outcomes: list[dict[str, Any]] = []
    with (
        SandboxServer(years=0.1, scale=0.2, rate_limit=None, rotate_refresh_tokens=True) as sandbox,
        dg.DagsterInstance.get() as instance,
    ):
        do = partial(_do, sandbox, instance, environment)
        for failure in failures(sandbox, folder, os.environ.get("TEST_STATE", "")):
            if failure.name.startswith("half a store"):
                _halve(folder / "stores" / "usual")
            outcomes.append(do(failure))
        with _held(folder / "data" / "warehouse.duckdb"):
            outcomes.append(do(Failure("doctor, held", command=("doctor",), fails=False)))
        secrets = given_away(sandbox)
        for failure, person in _consents(sandbox, folder):
            outcomes.append(do(failure, person))
            secrets += re.findall("code=([^&]+)", person.redirect)
        secrets += given_away(sandbox)
    results.write_text(json.dumps({"outcomes": outcomes, "secrets": sorted(set(secrets))}))


def _halve(store: Path) -> None:
    """Damage what is stored, once."""
    for path in store.rglob("*"):
        if path.is_file() and not path.name.endswith(".lock"):
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@contextmanager
def _held(database: Path) -> Iterator[None]:
    """Another program holds the database, and has a secret among its arguments."""
    code = f"import duckdb, sys; held = duckdb.connect({str(database)!r}); print(1, flush=True)"
    command = [sys.executable, "-c", f"{code}; sys.stdin.read()", OF_HOLDER]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as holder:
        assert holder.stdout and holder.stdout.readline()
        yield
        holder.kill()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
