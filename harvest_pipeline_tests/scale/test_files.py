"""The files of `deploy/`, by the tools that read them: compose, Caddy, systemd, Dagster."""

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg
import pytest
import requests
import yaml
from dagster._core.instance.ref import InstanceRef
from dagster_postgres.run_storage import PostgresRunStorage

from harvest_pipeline.settings import VARIABLES, project_folder
from harvest_pipeline_tests.postgres import PASSWORD, Postgres
from harvest_pipeline_tests.servers import free_port, listens
from harvest_pipeline_tests.surroundings import needs
from harvest_pipeline_tests.waiting import wait_for

DEPLOY = project_folder() / "deploy"
PROGRAMS = Path(sys.executable).parent
FILLED = {"DOCKER_GROUP": "999", "PGPASSWORD": "canary-of-postgres"}


def test_compose_takes_its_file_and_no_secret_is_in_it(tmp_path: Path) -> None:
    """`docker compose config`, the program of compose itself; there is no daemon here."""
    for file in DEPLOY.glob("*.*"):
        shutil.copy(file, tmp_path)
    lines = (DEPLOY / "example.env").read_text()
    for name, value in FILLED.items():
        lines = re.sub(f"^{name}=.*$", f"{name}='{value}'", lines, flags=re.M)
    (tmp_path / ".env").write_text(lines)
    given = {name: text for name, text in os.environ.items() if name not in FILLED}

    def config() -> "subprocess.CompletedProcess[str]":
        command = [PROGRAMS / "docker-compose", "--profile", "s3", "config"]
        return subprocess.run(command, cwd=tmp_path, env=given, capture_output=True, text=True)

    done = config()
    assert done.stderr == ""  # the package's exit code is always 0
    services = yaml.safe_load(done.stdout)["services"]
    assert {*services} == {"proxy", "webserver", "daemon", "code", "postgres", "s3"}
    assert [name for name, service in services.items() if service.get("ports")] == ["proxy"]
    assert not {"harvest"} - {each["source"] for each in services["code"]["volumes"]}
    for name in FILLED:  # what is not filled in is named
        (tmp_path / ".env").write_text(re.sub(f"^{name}=.*$", "", lines, flags=re.M))
        assert f"required variable {name} is missing" in config().stderr


def test_every_setting_that_an_example_names_is_one() -> None:
    for file in (DEPLOY / "example.env", DEPLOY / "celery" / "example.env"):
        named = set(re.findall(r"^#?(HARVEST_\w+)=", file.read_text(), re.M))
        assert named <= VARIABLES.keys(), file
        # Lines that hold a secret are empty: nobody runs with that of an example.
        secrets = re.findall(r"^#?\w*(?:PASSWORD|KEY|KEY_ID)='(.*)'$", file.read_text(), re.M)
        assert secrets and not any(secrets)


@pytest.mark.parametrize("folder", ["", "celery"])
def test_dagster_takes_the_instance_and_finds_its_storage_without_a_password_in_it(
    folder: str, postgres: Postgres, tmp_path: Path
) -> None:
    text = (DEPLOY / folder / "dagster.yaml").read_text()
    address = postgres.database().replace("://", "+psycopg2://")
    text = text.replace("postgresql+psycopg2://harvest@postgres/dagster", address)
    (tmp_path / "dagster.yaml").write_text(text)
    given = {
        "PGPASSWORD": PASSWORD,
        "DAGSTER_POSTGRES_URL": address,
        "CELERY_BROKER_URL": "redis://127.0.0.1/0",
        "CELERY_RESULT_BACKEND": "redis://127.0.0.1/1",
    }
    with (
        mock.patch.dict(os.environ, given),
        dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path))) as instance,
    ):
        assert instance.get_runs() == []
        assert isinstance(instance.run_storage, PostgresRunStorage)
        assert type(instance) is dg.DagsterInstance
        assert instance.run_launcher.supports_check_run_worker_health
        assert instance.run_monitoring_enabled and instance.run_retries_enabled
        assert not instance.telemetry_enabled
        assert PASSWORD not in str(instance.get_ref().to_dict())


def test_the_launcher_of_the_chart_is_configured_as_dagster_wants_it() -> None:
    """The chart is not here: what its values become is compared with Dagster's own classes."""
    from dagster._config import validate_config
    from dagster._core.instance.config import dagster_instance_config_schema
    from dagster_k8s import K8sRunLauncher

    values = yaml.safe_load((DEPLOY / "helm-values.yaml").read_text())
    added = values["additionalInstanceConfig"]
    schema = {name: dagster_instance_config_schema()[name] for name in added}
    assert validate_config(schema, added).success
    launcher = values["runLauncher"]["config"]["k8sRunLauncher"]
    config = {"image_pull_policy": launcher["imagePullPolicy"], "resources": launcher["resources"]}
    needed = {"service_account_name": "x", "instance_config_map": "x", "dagster_home": "/x"}
    assert validate_config(K8sRunLauncher.config_type(), {**needed, **config}).success


@needs("systemd-analyze")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    installed, here = "/srv/harvest_pipeline/.venv-scale/bin", str(PROGRAMS)
    for file in (DEPLOY / "celery").glob("*.service"):
        text = file.read_text().replace("User=harvest", "User=root")  # who is there
        (tmp_path / file.name).write_text(text.replace(installed, here))
    units = sorted(map(str, tmp_path.glob("*.service")))
    assert len(units) == 4
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


class Behind(BaseHTTPRequestHandler):
    """What stands behind the proxy: it says what reaches it."""

    def do_GET(self) -> None:
        body = f"{self.command} {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *arguments: object) -> None: ...


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Caddy with the Caddyfile, on a port of this machine; yields its address."""
    folder, port = tmp_path_factory.mktemp("caddy"), free_port()
    shutil.copy(DEPLOY / "Caddyfile", folder)
    caddy = str(PROGRAMS / "caddy")
    hashed = subprocess.run(
        [caddy, "hash-password", "--plaintext", "correct"], capture_output=True, text=True
    ).stdout
    (folder / "users").write_text(f"anna {hashed}")
    with ThreadingHTTPServer(("127.0.0.1", 0), Behind) as behind:
        threading.Thread(target=behind.serve_forever, daemon=True).start()
        # Without a certificate, which only a public name gets; the rules are the same.
        given = {"UI_HOST": f"http://localhost:{port}", "HOME": str(folder)}
        given["UI_BEHIND"] = f"127.0.0.1:{behind.server_port}"
        command = [caddy, "run", "--config", str(folder / "Caddyfile")]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                command, env={**os.environ, **given}, cwd=folder, stdout=log, stderr=log
            )
        try:
            wait_for(lambda: listens(port), (folder / "log").read_text)
            yield f"http://localhost:{port}"
        finally:
            process.kill()
            process.wait()
            behind.shutdown()


ANNA = ("anna", "correct")
LINK = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


def asked(address: str, path: str = "/runs", **given: Any) -> requests.Response:
    return requests.request(
        str(given.pop("method", "GET")),
        f"{address}{path}",
        timeout=60,
        **given,
    )


def test_nobody_passes_the_proxy_without_a_login(proxy: str) -> None:
    for auth in (None, ("anna", "wrong"), ("bob", "correct")):
        assert asked(proxy, auth=auth).status_code == 401
    answer = asked(proxy, auth=ANNA)
    assert (answer.status_code, answer.text) == (200, "GET /runs")
    assert answer.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize(
    ("status", "given"),
    [
        (200, {"headers": {"Sec-Fetch-Site": "same-origin"}}),
        (200, {"headers": {"Sec-Fetch-Site": "none"}}),
        (200, {"headers": {"Sec-Fetch-Site": "cross-site", **LINK}}),
        (403, {"headers": {"Sec-Fetch-Site": "cross-site"}}),
        (403, {"headers": {"Sec-Fetch-Site": "same-site"}}),
        (403, {"headers": {"Sec-Fetch-Site": "cross-site", **LINK, "Sec-Fetch-Dest": "iframe"}}),
        (403, {"headers": {"Sec-Fetch-Site": "cross-site", **LINK}, "path": "/graphql"}),
        (403, {"headers": {"Sec-Fetch-Site": "cross-site", **LINK}, "path": "/logs/x"}),
        (403, {"headers": {"Origin": "https://evil.example"}}),
        (403, {"path": "/graphql?query=mutation"}),
        (403, {"path": "/graphql%0A?query=mutation"}),
        (200, {"path": "/graphql", "method": "POST", "json": {}}),
        (403, {"path": "/graphql", "method": "POST", "data": {"query": "x"}}),
        (403, {"method": "POST", "headers": {"Content-Type": "text/plain; application/json"}}),
        (403, {"method": "DELETE"}),
    ],
)
def test_another_site_can_make_a_browser_do_nothing_there(
    proxy: str, status: int, given: dict[str, object]
) -> None:
    answer = asked(proxy, auth=ANNA, **given)
    assert answer.status_code == status, answer.text
