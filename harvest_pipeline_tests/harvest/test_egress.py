"""What goes where: the token and the account id to Harvest's own list, in headers, nowhere else."""

import socket
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
from requests import Request
from requests.adapters import HTTPAdapter
from urllib3.util import parse_url

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.harvest.errors import AnswerInvalid, HarvestError, HostNotTrusted
from harvest_pipeline.harvest.extract import read
from harvest_pipeline.harvest.http import Patience, Transport
from harvest_pipeline.harvest.oauth import TokenSet, renewed
from harvest_pipeline.safety.hosts import host_of, is_loopback, trusted
from harvest_pipeline_tests.harvest import fault_server as fault
from harvest_pipeline_tests.harvest.conftest import TOKEN, MakeClient
from harvest_pipeline_tests.harvest.fault_server import FaultServer, script

ANY = msgspec.json.Decoder(dict[str, object])
CLIENTS = RECORDS["clients"]
ACCOUNT = "1204417"


@pytest.fixture
def evil() -> Iterator[FaultServer]:
    """Where nothing may arrive."""
    with FaultServer(script(fault.page("clients", []))) as server:
        yield server
        assert server.bytes_received == b""


@pytest.mark.parametrize(
    "link",
    [
        "http://{evil}/v2/clients",
        "//{evil}/v2/clients",
        "\\\\{evil}/v2/clients",
        "http://{here}@{evil}/v2/clients",
        "http://{evil}\\@{here}/v2/clients",
        "http://user:password@{here}/v2/clients",
        "https://{here}/v2/clients",
        "file:///v2/clients",
        "http://{here}/v2/../v2/clients",
        "http://{here}/v2/clients/",
        "http://{here}/v2/users",
        "\thttp://{here}/v2/clients?cursor=a",
        "http://{here}.evil.example/v2/clients",
        "http://[/v2/clients",
        "http://{here}/v2/clients?cursor=" + "x" * 10_000,
        "",
    ],
)
def test_a_link_to_another_place_is_not_followed(
    link: str, evil: FaultServer, make_client: MakeClient, tmp_path: Path
) -> None:
    with FaultServer(lambda _: first) as server:
        address = link.format(
            evil=evil.host,
            here=server.host,
        )
        first = fault.page("clients", [{"id": 1}], total_entries=2, links={"next": address})
        with pytest.raises(AnswerInvalid):
            read(make_client(server.url), CLIENTS, None, tmp_path)
        assert server.paths() == ["/v2/clients"]


def test_a_link_within_the_list_is_followed_as_it_stands(
    make_client: MakeClient, tmp_path: Path
) -> None:
    """Otherwise the test above would prove nothing."""
    with FaultServer(lambda _: pages.pop(0)) as server:
        links = {"next": f"{server.url}/v2/clients?cursor=a%2Fb%3D&x=//evil.example"}
        pages = [
            fault.page("clients", [{"id": 1}], total_entries=2, links=links),
            fault.page("clients", [{"id": 2}], total_entries=2),
        ]
        assert read(make_client(server.url), CLIENTS, None, tmp_path).rows == 2
        assert server.requests[1].target == "/v2/clients?cursor=a%2Fb%3D&x=//evil.example"


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
@pytest.mark.parametrize("header", ["Location", "Content-Location", "Refresh", "Link"])
def test_neither_token_nor_account_follows_a_redirect(
    header: str, status: int, evil: FaultServer, make_client: MakeClient
) -> None:
    value = f"{evil.url}/v2/thing"
    value = {"Refresh": f"0; url={value}", "Link": f'<{value}>; rel="next"'}.get(header, value)
    with FaultServer(script(fault.raw(b"{}", status, {header: value}))) as server:
        client = make_client(server.url)
        with pytest.raises(AnswerInvalid, match="never redirects"):
            client.get(f"{client.api_url}/thing", ANY)
        assert server.requests[0].headers["harvest-account-id"] == ACCOUNT


@pytest.mark.parametrize(
    "variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "REQUEST_METHOD"]
)
def test_plain_requests_go_past_every_proxy(
    variable: str, evil: FaultServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, evil.url)
    monkeypatch.setenv("NO_PROXY", "")
    with FaultServer(script(fault.answer({"id": 1}))) as server:
        client = make_client(server.url)
        assert client.get(f"{client.api_url}/thing", ANY)[0] == {"id": 1}


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_a_proxy_for_https_sees_a_host_name_only(
    variable: str, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultServer(script(fault.raw(b"", 502))) as proxy:
        monkeypatch.setenv(variable, proxy.url)
        monkeypatch.setenv("NO_PROXY", "")
        client = make_client("https://invalid.harvestapp.com")
        with pytest.raises(HarvestError):
            client.get(f"{client.api_url}/thing", ANY)
        assert {request.method for request in proxy.requests} == {"CONNECT"}
        for secret in (TOKEN, ACCOUNT, "/v2/thing"):
            assert secret.encode() not in proxy.bytes_received


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example:{port}\\.harvestapp.com",
        "http://evil.example:{port}\\@127.0.0.1",
        "http://127.0.0.1@evil.example:{port}",
        "http://evil.example:{port}",
        "http://evil.harvestapp.com:{port}",
        "https://evil.example:{port}?.harvestapp.com",
        "https://evil.example:{port}#.harvestapp.com",
    ],
)
def test_whatever_made_an_address_nothing_is_sent_to_another_host(
    url: str, evil: FaultServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last look is at the very address that is connected to; here every name leads to one
    server."""
    port = int(evil.host.rpartition(":")[2])
    there = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: there)
    client = make_client(url.format(port=port))
    with pytest.raises(HostNotTrusted, match=r"^A request was not sent") as refused:
        client.get(f"{client.api_url}/thing", ANY)
    assert not refused.value.retryable
    tokens = TokenSet(refresh_token="refresh-canary", client_id="id", client_secret="secret")
    with pytest.raises(HostNotTrusted):
        renewed(Transport("tests", Patience(attempts=1), print), client.api_url, tokens)


#: What parsers disagree about.
_ODD = [
    *"\\@?#;:/.[]-_*&=,'x \t\n\r\x00\xad\uff0f\uff0e\u3002\uff45\u212a\ud800",
    "//",
    "%5c",
    "%2f",
]
_ODD += ["%40", ":443", ":0", "xn--", "/v2", ""]
_AROUND = ["evil.example{}.harvestapp.com", "evil{}api.harvestapp.com", "{}api.harvestapp.com"]
_AROUND += ["api.harvestapp.com{}evil.example", "127.0.0.1{}evil.example", "[::1]{}evil.example"]


@pytest.mark.parametrize("around", _AROUND)
def test_of_a_trusted_address_all_parsers_read_the_same_trusted_host(around: str) -> None:
    written = {*map(chr, range(0x10000)), *map("".join, product(_ODD, repeat=2))}
    addresses = {f"https://{around.replace('{}', odd)}" for odd in written}
    found = {address for each in addresses if (address := _trusted(each))}
    assert 0 < len(found) < 1_000
    for address in found:
        prepared = Request("GET", address).prepare()
        split, parsed = urlsplit(address), parse_url(prepared.url or "")
        connected = HTTPAdapter().get_connection_with_tls_context(prepared, True)
        host = host_of(address)
        assert host and (is_loopback(host) or host.endswith(".harvestapp.com"))
        hosts = {split.hostname, (parsed.host or "").strip("[]"), connected.host.strip("[]")}
        assert (address, hosts) == (address, {host})
        assert (split.port or 443) == (parsed.port or 443) == connected.port


def _trusted(address: str) -> str | None:
    try:
        return trusted(address)
    except ValueError:
        return None


def test_cookies_of_a_server_do_not_reach_another(
    evil: FaultServer, make_client: MakeClient
) -> None:
    cookie = {"Set-Cookie": "session=cookie-canary; Path=/; Domain=.example"}
    with FaultServer(script(fault.answer({}, headers=cookie))) as server:
        client = make_client(server.url)
        for _ in range(2):
            client.get(f"{client.api_url}/thing", ANY)
        assert "cookie" not in server.requests[1].headers
