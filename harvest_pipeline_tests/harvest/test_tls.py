"""A token is sent to the holder of the right certificate, and nobody can switch that off."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import trustme

from harvest_pipeline.harvest.errors import HostNotTrusted
from harvest_pipeline_tests.harvest import fault_server as fault
from harvest_pipeline_tests.harvest.conftest import MakeClient, context_of
from harvest_pipeline_tests.harvest.fault_server import FaultServer, script

ANY = msgspec.json.Decoder(dict[str, object])
LONG_AGO = datetime.now(UTC) - timedelta(days=2)


def self_signed(authority: trustme.CA) -> trustme.LeafCert:
    """A certificate that vouches for itself: an authority's own."""
    itself = trustme.CA()
    return trustme.LeafCert(itself.private_key_pem.bytes(), itself.cert_pem.bytes(), chain_to_ca=[])


#: Certificates for 127.0.0.1 that are wrong in one way; the authority is trusted.
WRONG: dict[str, Callable[[trustme.CA], trustme.LeafCert]] = {
    "another host": lambda authority: authority.issue_cert("api.harvestapp.com"),
    "another address": lambda authority: authority.issue_cert("127.0.0.2"),
    "expired": lambda authority: authority.issue_cert("127.0.0.1", not_after=LONG_AGO),
    "unknown authority": lambda _: trustme.CA().issue_cert("127.0.0.1"),
    "self-signed": self_signed,
}


def test_the_right_certificate_is_trusted(
    authority: trustme.CA, bundle: Path, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the tests below would prove nothing."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    tls = context_of(authority.issue_cert("127.0.0.1"))
    with FaultServer(script(fault.answer({"id": 1})), tls=tls) as server:
        client = make_client(server.url)
        assert client.get(f"{client.api_url}/thing", ANY)[0] == {"id": 1}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_certificate_gets_no_byte_of_the_token(
    wrong: str,
    authority: trustme.CA,
    bundle: Path,
    make_client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    tls = context_of(WRONG[wrong](authority))
    with FaultServer(script(fault.answer({})), tls=tls) as server:
        client = make_client(server.url)
        with pytest.raises(HostNotTrusted, match="no token was sent") as caught:
            client.get(f"{client.api_url}/thing", ANY)
        assert not caught.value.retryable
        assert (server.requests, server.bytes_received) == ([], b"")


#: With these, other programs stop verifying.
SWITCHES = {
    "PYTHONHTTPSVERIFY": "0",
    "CURL_CA_BUNDLE": "",
    "REQUESTS_CA_BUNDLE": "",
    "SSL_CERT_FILE": "",
    "SSL_CERT_DIR": "",
    "NODE_TLS_REJECT_UNAUTHORIZED": "0",
    "GIT_SSL_NO_VERIFY": "1",
    "HARVEST_VERIFY": "false",
}


@pytest.mark.parametrize("wrong", ["unknown authority", "another host"])
def test_no_variable_switches_verification_off(
    wrong: str,
    authority: trustme.CA,
    make_client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tls = context_of(WRONG[wrong](authority))
    with FaultServer(script(fault.answer({})), tls=tls) as server:
        for switches in (SWITCHES, *({name: value} for name, value in SWITCHES.items())):
            with monkeypatch.context() as patch:
                for name, value in switches.items():
                    patch.setenv(name, value)
                client = make_client(server.url)
                with pytest.raises(HostNotTrusted):
                    client.get(f"{client.api_url}/thing", ANY)
        assert (server.requests, server.bytes_received) == ([], b"")


@pytest.mark.parametrize("content", [None, "no certificate"])
@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_bundle_that_cannot_be_read_is_named(
    variable: str,
    content: str | None,
    authority: trustme.CA,
    make_client: MakeClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "bundle.pem"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv(variable, str(path))
    tls = context_of(authority.issue_cert("127.0.0.1"))
    with FaultServer(script(fault.answer({})), tls=tls) as server:
        client = make_client(server.url)
        with pytest.raises(HostNotTrusted, match="REQUESTS_CA_BUNDLE"):
            client.get(f"{client.api_url}/thing", ANY)
        assert server.requests == []
