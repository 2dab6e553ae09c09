"""Clients for tests: short pauses, no limits that a test would have to wait for, certificates."""

import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from harvest_pipeline.harvest.auth import Credentials, PersonalAccessToken
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.http import Patience
from harvest_pipeline.harvest.limits import Limit, Limits
from harvest_pipeline_tests import waiting

PATIENCE = Patience(
    connect=waiting.PATIENCE,
    read=waiting.PATIENCE,
    deadline=waiting.PATIENCE,
    attempts=3,
    first_pause=0.01,
    longest_pause=0.05,
    reread_pause=0.01,
    throttle_cap=3.0,
)
LIMITS = Limits(Limit(10_000, 1.0, fallback_pause=0.1), Limit(10_000, 1.0, fallback_pause=0.1))
TOKEN = "pat-canary-4711"

MakeClient = Callable[..., HarvestClient]


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Gives certificates away; nobody trusts it yet."""
    return trustme.CA()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> Path:
    """The file of the authority, for whoever is to trust it."""
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def context_of(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """A server's TLS with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@pytest.fixture
def make_client(tmp_path: Path, log: list[str]) -> Iterator[MakeClient]:
    """Makes clients of a server; keywords override what is usual in tests."""
    clients: list[HarvestClient] = []

    def make(
        url: str,
        *,
        id_url: str | None = None,
        credentials: Credentials | None = None,
        account_id: str | None = "1204417",
        instance: str | None = None,
        limits: Limits = LIMITS,
        **patience: float,
    ) -> HarvestClient:
        client = HarvestClient(
            api_url=f"{url}/v2",
            id_url=id_url or url,
            credentials=credentials or PersonalAccessToken(TOKEN),
            account_id=account_id,
            instance=instance,
            contact="tests@example.com",
            state_folder=tmp_path / "state",
            log=log.append,
            patience=replace(PATIENCE, **patience),
            limits=limits,
        )
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()
