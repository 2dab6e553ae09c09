"""A deployment on plain hosts, as `deploy/celery/` says: its units' own commands, its own
`dagster.yaml`. A host is a copy of the project with a home and folders of its own."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg
import requests

from harvest_pipeline.settings import project_folder
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.place import Place
from harvest_pipeline_tests.checkout import Place as Checkout
from harvest_pipeline_tests.servers import free_port, listens
from harvest_pipeline_tests.waiting import PATIENCE, wait_for

FILES = project_folder() / "deploy" / "celery"
_INSTALLED = "/srv/harvest_pipeline/.venv-scale/bin/"
#: What the units say that has to be another on a machine where others work too.
_PORTS = ("4000", "3000")


class Host(Checkout):
    """A machine: a checkout, a home, folders, and the services that systemd would start."""

    def __init__(self, name: str, folder: Path, ports: Mapping[str, int], accounts: str) -> None:
        folder.mkdir()
        super().__init__(folder)
        self.name = name
        self._ports = ports
        self.environment: dict[str, str] = {}
        self._services: dict[str, subprocess.Popen[bytes]] = {}
        shutil.copy(FILES / "dagster.yaml", self.home)
        served = self.folder / "deploy" / "celery"
        served.mkdir(parents=True)
        text = (FILES / "workspace.yaml").read_text()
        (served / "workspace.yaml").write_text(self._here(text))
        (self.folder / "harvest.yaml").write_text(accounts)
        (folder / "tmp").mkdir()

    def set(self, **variables: str) -> None:
        """What `.env` says; that of this machine's user does not reach a host."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}
        self.environment = {
            **kept,
            "HOME": str(self.home.parent),
            "TMPDIR": str(self.home.parent / "tmp"),
            "DAGSTER_HOME": str(self.home),
            "PYTHONPATH": str(self.folder),
            "PYTHONWARNINGS": "ignore",
            "HARVEST_TOKEN_STORE": str(self.folder / "accounts"),
            "DAGSTER_EVENT_BATCH_SIZE": "1000",
            **variables,
        }

    def start(self, service: str) -> None:
        """Start a service of `deploy/celery/`, by the command of its unit."""
        text = (FILES / f"harvest-{service}.service").read_text()
        (command,) = re.findall(r"^ExecStart=(.+)$", text, re.M)
        assert command.startswith(_INSTALLED)
        command = command.replace(_INSTALLED, f"{Path(sys.executable).parent}/")
        command = self._here(command).replace("%%h", self.name)
        # So that one of them does not take all.
        command = command.replace("--concurrency 4", "--concurrency 2")
        with self.log(service).open("ab") as log:
            self._services[service] = subprocess.Popen(
                shlex.split(command),
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def log(self, service: str) -> Path:
        """What a service has printed."""
        return self.home.parent / f"{service}.log"

    def said(self, service: str) -> str:
        """What a service has printed."""
        return self.log(service).read_text(errors="replace")

    def keep(self) -> None:
        """Start services that have ended, as systemd does."""
        for service, process in list(self._services.items()):
            if process.poll() is not None:
                self.start(service)

    def kill(self, service: str) -> None:
        """End a service and all that it has started at once, as if the machine had gone."""
        process = self._services.pop(service)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def kill_all(self) -> None:
        """End everything on the host."""
        for service in list(self._services):
            self.kill(service)

    def begun(self, *words: str) -> "subprocess.Popen[str]":
        """Python on this host."""
        return subprocess.Popen(
            [sys.executable, *words],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _here(self, text: str) -> str:
        for name, port in self._ports.items():
            text = text.replace(name, str(port))
        return text


class Deployment:
    """Two hosts: the first has the daemon, the code server and the webserver, both have workers.

    `place` is the warehouse of all of them.
    """

    def __init__(self, folder: Path, accounts: str, variables: Mapping[str, str]) -> None:
        self._ports = {name: free_port() for name in _PORTS}
        self.first, self.second = self.hosts = [
            Host(name, folder / name, self._ports, accounts) for name in ("one", "two")
        ]
        for host in self.hosts:
            host.set(**variables)
        self._variables = variables
        self.place = Place.of(variables["HARVEST_DUCKDB"], variables["HARVEST_DUCKLAKE_DATA"])

    @property
    def address(self) -> str:
        """Where the webserver listens."""
        return f"127.0.0.1:{self._ports['3000']}"

    @contextmanager
    def running(self) -> Iterator["Deployment"]:
        """Everything is there, until the end."""
        with ExitStack() as stack:
            # The tests look at Dagster's storage as its processes do.
            stack.enter_context(mock.patch.dict(os.environ, self._variables))
            self.instance = dg.DagsterInstance.from_config(str(self.first.home))
            stack.callback(self.instance.dispose)
            for host in self.hosts:
                stack.callback(host.kill_all)
                host.start("worker")
            self.first.start("code")
            # As their units do: neither looks again for a code server that was not there.
            wait_for(lambda: listens(self._ports["4000"]), self.told)
            self.first.start("webserver")
            self.first.start("daemon")
            wait_for(self.serves, self.told)
            for host in self.hosts:
                wait_for(lambda host=host: "ready." in host.said("worker"), self.told)
            yield self

    def told(self) -> str:
        """The ends of all logs."""
        logs = [log for host in self.hosts for log in sorted(host.home.parent.glob("*.log"))]
        return "\n".join(f"--- {log}\n{log.read_text(errors='replace')[-3000:]}" for log in logs)

    def submit(self, job: str, **tags: str) -> str:
        """Launch a run as the UI does; returns its id. After a restart of Postgres each connection
        that Dagster's webserver has kept fails once: then it is pressed again, as a person does."""
        from dagster_graphql import DagsterGraphQLClientError

        where = {"repository_location_name": "harvest", "repository_name": "__repository__"}
        launched = list[str]()

        def press() -> bool:
            try:
                launched.append(self._client().submit_job_execution(job, **where, tags=tags))
            except DagsterGraphQLClientError as error:
                if "server closed the connection" not in str(error):
                    raise
            return bool(launched)

        wait_for(press, self.told)
        return launched[0]

    def run(self, run_id: str) -> dg.DagsterRun:
        """The run as it is now."""
        run = self.instance.get_run_by_id(run_id)
        assert run
        return run

    def status(self, run_id: str) -> dg.DagsterRunStatus:
        """The run's status now."""
        return self.run(run_id).status

    def finished(self, *run_ids: str) -> list[dg.DagsterRunStatus]:
        """Wait for the end of runs; their statuses."""

        def all_of_them() -> bool:
            for host in self.hosts:
                host.keep()
            return all(self.run(each).is_finished for each in run_ids)

        wait_for(all_of_them, self.told)
        return [self.status(each) for each in run_ids]

    def query(self, account: str, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query in the schema of an account."""
        with Warehouse(self.place, account).reader() as connection:
            return connection.execute(sql).fetchall()

    def ids(self, account: str, table: str) -> list[int]:
        """The ids in a table of an account, in order; none if it has not been loaded."""
        named = f"table_schema = '{account}' AND table_name = '{table}'"
        there = self.query(account, f"SELECT 1 FROM information_schema.tables WHERE {named}")
        found = self.query(account, f"SELECT id FROM {table} ORDER BY id") if there else []
        return [id for (id,) in found]

    def succeeded(self, run_id: str) -> str:
        """Wait until the run, or one that Dagster has launched in its place, has succeeded."""
        while self.finished(run_id) != [dg.DagsterRunStatus.SUCCESS]:
            wait_for(lambda given=run_id: self.retry_of(given), self.told)
            run_id = self.retry_of(run_id) or ""
        return run_id

    def host_of(self, run_id: str) -> Host | None:
        """The host whose worker took the run."""
        task = self.run(run_id).tags.get("dagster-celery/task_id", "no task")
        return next((each for each in self.hosts if task in each.said("worker")), None)

    def retry_of(self, run_id: str) -> str | None:
        """The run that Dagster has launched in the place of one that failed."""
        filters = dg.RunsFilter(tags={"dagster/parent_run_id": run_id})
        return next((each.run_id for each in self.instance.get_runs(filters)), None)

    def serves(self) -> bool:
        """Whether the webserver knows the jobs and reaches Postgres: after a restart of that, the
        first answer is an error."""
        query = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } }"
        query += " runsOrError(limit: 1) { __typename } }"
        with suppress(requests.ConnectionError):
            url = f"http://{self.address}/graphql"
            answer = requests.post(url, json={"query": query}, timeout=PATIENCE).json()
            data = answer.get("data") or {"repositoriesOrError": {}}
            known = data["repositoriesOrError"].get("nodes")
            return bool(known) and data["runsOrError"]["__typename"] == "Runs"
        return False

    def _client(self) -> Any:
        from dagster_graphql import DagsterGraphQLClient

        host, _, port = self.address.partition(":")
        return DagsterGraphQLClient(host, port_number=int(port))
