"""A token is sent to the holder of the right certificate, and nobody can switch that off."""

import ast
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import trustme

import harvest_pipeline
from harvest_pipeline.harvest.errors import HarvestUnavailable, HostNotTrusted
from harvest_pipeline_tests.harvest import fault_server as fault
from harvest_pipeline_tests.harvest.conftest import TOKEN, MakeClient, context_of
from harvest_pipeline_tests.harvest.fault_server import FaultServer, script

ANY = msgspec.json.Decoder(dict[str, object])
PACKAGE = Path(harvest_pipeline.__file__).parent
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


def speaks(server: FaultServer, version: ssl.TLSVersion) -> bool:
    """Whether the server speaks it with a client that does."""
    lax = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    lax.check_hostname, lax.verify_mode = False, ssl.CERT_NONE
    lax.set_ciphers("ALL:@SECLEVEL=0")
    lax.minimum_version = lax.maximum_version = version
    host, port = server.host.split(":")
    with (
        socket.create_connection((host, int(port)), timeout=5) as plain,
        lax.wrap_socket(plain) as connection,
    ):
        return connection.version() is not None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_versions_before_1_2_are_not_spoken(
    version: ssl.TLSVersion,
    authority: trustme.CA,
    bundle: Path,
    make_client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    tls = context_of(authority.issue_cert("127.0.0.1"))
    tls.set_ciphers("ALL:@SECLEVEL=0")
    tls.minimum_version = tls.maximum_version = version
    with FaultServer(script(fault.answer({})), tls=tls) as server:
        assert speaks(server, version)
        client = make_client(server.url)
        with pytest.raises((HarvestUnavailable, HostNotTrusted)):
            client.get(f"{client.api_url}/thing", ANY)
        assert TOKEN.encode() not in server.bytes_received
        assert server.requests == []


FORBIDDEN = {
    "_create_unverified_context",
    "_create_default_https_context",
    "CERT_NONE",
    "CERT_OPTIONAL",
    "disable_warnings",
    "check_hostname",
    "assert_hostname",
    "cert_reqs",
    "verify_mode",
}


def switches_off(tree: ast.AST) -> list[str]:
    """What in a module could switch verification off."""
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            found += [each.arg for each in node.keywords if each.arg in {"verify", *FORBIDDEN}]
        if isinstance(node, ast.Attribute) and node.attr in {"verify", *FORBIDDEN}:
            found.append(node.attr)
        if isinstance(node, ast.Name) and node.id in FORBIDDEN:
            found.append(node.id)
        if isinstance(node, ast.Constant) and node.value in FORBIDDEN:
            found.append(node.value)
    return found


def test_no_module_can_switch_verification_off() -> None:
    modules = sorted(PACKAGE.rglob("*.py"))
    assert len(modules) > 50
    for module in modules:
        assert switches_off(ast.parse(module.read_text())) == [], module


@pytest.mark.parametrize(
    "source",
    [
        "session.get(url, verify=False)",
        "session.verify = False",
        "context = ssl._create_unverified_context()",
        "context.verify_mode = ssl.CERT_NONE",
        "urllib3.disable_warnings()",
        "setattr(context, 'check_hostname', False)",
    ],
)
def test_the_search_for_switches_finds_them(source: str) -> None:
    assert switches_off(ast.parse(source))
