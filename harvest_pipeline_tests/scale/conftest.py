"""PostgreSQL, redis, S3 and two hosts, for as long as the tests last: `make test-scale`."""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from harvest_pipeline.catalogue.reports import REPORTS as ALL_REPORTS
from harvest_pipeline_tests.postgres import PASSWORD, Postgres
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.scale.hosts import Deployment
from harvest_pipeline_tests.servers import S3
from harvest_pipeline_tests.servers import redis as running_redis
from harvest_pipeline_tests.surroundings import MISSING, utc_today
from harvest_pipeline_tests.warehouse.records import SpoolFolder

# Of the other environments none has the packages of servers.
collect_ignore_glob = [] if find_spec("dagster_celery") else ["test_*.py"]

ACCOUNTS = ("acme", "birch", "cedar")
#: A week: Dagster writes events for each day.
START = utc_today() - timedelta(days=7)
#: Of every kind one: a list by page number, by cursor, a child of another record.
REPORTS = ("clients", "daily", "invoices", "invoice_messages", "people", "projects", "tasks")


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a redis; without the program tests are skipped, in CI they fail."""
    if shutil.which("redis-server") is None and not os.environ.get("CI"):
        pytest.skip(f"redis-server {MISSING}; on Debian: apt-get install redis-server")
    with running_redis(tmp_path_factory.mktemp("redis")) as address:
        yield address


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """An S3 server."""
    with closing(S3()) as server:
        yield server


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    """Small accounts, a month each, with Harvest's own limits."""
    with SandboxServer(years=0.09, scale=0.3, accounts=len(ACCOUNTS)) as server:
        yield server


@pytest.fixture(scope="module")
def deployed(
    postgres: Postgres,
    redis: str,
    s3: S3,
    sandbox: SandboxServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployment]:
    """Two hosts that load the accounts of the sandbox."""
    ids = [each.id for each in sandbox.accounts]
    lines = [
        f"  - {{name: {name}, account_id: {key}}}\n"
        for name, key in zip(ACCOUNTS, ids, strict=True)
    ]
    disabled = ", ".join(name for name in ALL_REPORTS if name not in REPORTS)
    environment = sandbox.environment()
    del environment["HARVEST_ACCOUNT_ID"]
    lake = postgres.database().rpartition("/")[2]
    variables = {
        **environment,
        **s3.environment,
        "PGPASSWORD": PASSWORD,
        "HARVEST_START_DATE": START.isoformat(),
        "HARVEST_DUCKDB": f"ducklake:postgres:{postgres.conninfo} dbname={lake}",
        "HARVEST_DUCKLAKE_DATA": f"{s3.bucket}/lake",
        "HARVEST_STATE": postgres.database(),
        "HARVEST_STATE_KEY": Fernet.generate_key().decode(),
        "DAGSTER_POSTGRES_URL": postgres.database().replace("://", "+psycopg2://"),
        "CELERY_BROKER_URL": f"{redis}/0",
        "CELERY_RESULT_BACKEND": f"{redis}/1",
    }
    folder = tmp_path_factory.mktemp("hosts")
    with Deployment(
        folder, "".join(["accounts:\n", *lines, f"disabled_reports: [{disabled}]\n"]), variables
    ).running() as deployment:
        yield deployment


@pytest.fixture
def spools(tmp_path: Path) -> SpoolFolder:
    """Spools of made-up records."""
    return SpoolFolder(tmp_path)
