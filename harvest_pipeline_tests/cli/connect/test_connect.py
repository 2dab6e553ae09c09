"""`harvest-pipeline connect`, as a person or a script runs it, against the sandbox over HTTP."""

import re
import socket
import stat
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from harvest_pipeline.cli import connect as connect_command
from harvest_pipeline.harvest.redirect import RedirectServer
from harvest_pipeline.sandbox.oauth import CLIENT_ID, CLIENT_SECRET
from harvest_pipeline.settings import SettingsError
from harvest_pipeline_tests.cli.connect.person import Person, decide
from harvest_pipeline_tests.harvest import fault_server as fault
from harvest_pipeline_tests.harvest.fault_server import FaultServer
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.sandbox.truth import days_of
from harvest_pipeline_tests.servers import free_port
from harvest_pipeline_tests.waiting import PATIENCE

APPLICATION = {"HARVEST_CLIENT_ID": CLIENT_ID, "HARVEST_CLIENT_SECRET": CLIENT_SECRET}
TOKEN_PATH = "/api/v2/oauth2/token"


def connect(*more: str) -> tuple[str, ...]:
    return ("connect", "--port", str(free_port()), *more)


def test_allowing_stores_the_account(person: Person, sandbox: SandboxServer) -> None:
    first = sandbox.account
    with person.start(*connect("--sandbox")) as command:
        address = command.address()
        redirect = urlsplit(decide(address, str(first.id)))
        here = (redirect.hostname or "", redirect.port or 0)
        with socket.create_connection(here) as silent:  # as browsers open them ahead of time
            silent.send(b"GET /callb")
            elsewhere = redirect._replace(path="/favicon.ico").geturl()
            assert requests.get(elsewhere, timeout=PATIENCE).status_code == 404
        page = requests.get(redirect.geturl(), timeout=PATIENCE)
        assert command.wait() == 0
    asked = {name: value for name, [value] in parse_qs(urlsplit(address).query).items()}
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/callback", asked["redirect_uri"])
    assert (page.status_code, "Go back to the terminal" in page.text) == (200, True)
    assert not any(value in page.text for value in parse_qs(redirect.query)["code"])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(here)
    facts = (first.name, str(first.id), first.instance, "administrator", str(person.store))
    for fact in (*facts, sandbox.api_url, "make dev"):
        assert fact in command.output
    assert person.stored() == ["harvest"]
    assert stat.S_IMODE((person.store / "accounts.json").stat().st_mode) == 0o600
    paths = sandbox.account.request_log.paths()
    assert paths[:6] == [
        "/oauth2/authorize",
        "/oauth2/authorize",
        TOKEN_PATH,
        "/api/v2/accounts",
        "/v2/users/me",
        "/v2/company",
    ]
    assert set(paths[6:]) == {"/v2/time_entries", "/v2/expenses", "/v2/invoices"}
    assert (
        f"HARVEST_START_DATE={days_of(sandbox.account.records, 'time_entries')[0]} loads all of it"
        in command.output
    )


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("refused", "Access was refused on Harvest's page"),
        ("late", "has expired or has been used"),
    ],
)
def test_an_answer_without_a_good_code_stores_nothing(
    what: str, said: str, person: Person, sandbox: SandboxServer
) -> None:
    with person.start(*connect("--sandbox")) as command:
        redirect = decide(command.address(), decision="deny" if what == "refused" else "allow")
        if what == "late":
            sandbox.world.clock.advance(601)
        assert requests.get(redirect, timeout=PATIENCE).status_code == 200
        assert command.wait() == 1
    assert person.stored() == []
    assert f"Error: {said}" in command.output or said in command.output
    assert "Traceback" not in command.output
    assert (TOKEN_PATH in sandbox.account.request_log.paths()) == (what == "late")


def test_a_request_of_another_page_neither_ends_the_waiting_nor_says_anything(
    person: Person, sandbox: SandboxServer
) -> None:
    with person.start(*connect("--sandbox")) as command:
        redirect = decide(command.address(), str(sandbox.account_id))
        callback, _, query = redirect.partition("?")
        state = re.findall(r"state=[^&]+", query)[0]
        for other in (
            "",
            "error=canary&error_description=canary",
            "error=access_denied&state=canary",
            f"code=canary&{state}&state=canary",
            f"code=canary&{state}&{state}",
            f"code=canary&STATE{state[5:]}",
        ):
            answer = requests.get(f"{callback}?{other}", timeout=PATIENCE)
            assert (answer.status_code, "canary" in answer.text) == (404, False)
        assert requests.post(redirect, timeout=PATIENCE).status_code == 501
        assert requests.get(redirect, timeout=PATIENCE).status_code == 200
        assert command.wait() == 0
    assert person.stored() == ["harvest"]
    assert "canary" not in command.output


def test_a_browser_that_never_comes_back_is_not_waited_for(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert connect_command.BROWSER_SECONDS == 300
    monkeypatch.setattr(connect_command, "BROWSER_SECONDS", 0.2)
    command = person.run(*connect("--sandbox"))
    assert (command.code, person.stored()) == (1, [])
    assert "Harvest did not send the browser back" in command.output


def test_a_port_that_is_taken_is_told_in_one_sentence() -> None:
    port = free_port()
    with (
        RedirectServer(port, bool),
        pytest.raises(SettingsError, match=f"Port {port} .*--port"),
    ):
        RedirectServer(port, bool)


def test_without_an_application_a_script_is_told_what_to_set(person: Person) -> None:
    command = person.run(*connect(), HARVEST_CLIENT_ID=CLIENT_ID)
    assert command.code == 1
    assert command.output.startswith("Error: HARVEST_CLIENT_ID and HARVEST_CLIENT_SECRET are not")


def test_a_wrong_client_secret_is_told_and_not_shown(person: Person) -> None:
    wrong = {**APPLICATION, "HARVEST_CLIENT_SECRET": "wrong-canary-4711"}
    with person.start("connect", "--no-browser", **wrong) as command:
        command.type(decide(command.address()) + "\n")
        assert command.wait() == 1
    assert person.stored() == []
    assert "HARVEST_CLIENT_SECRET" in command.output
    assert "canary" not in command.output


def test_a_person_is_asked_for_the_application_and_the_secret_does_not_show(
    person: Person, sandbox: SandboxServer
) -> None:
    port = str(free_port())
    with person.start("connect", "--port", port, terminal=True) as command:
        command.see(rf"https://id.getharvest.com/developers\n.*http://127.0.0.1:{port}/callback")
        command.see("Client id: ")
        command.type(f"{CLIENT_ID}\n")
        command.see("Client secret .*: ")
        command.type(f"{CLIENT_SECRET}\n")
        redirect = decide(command.address(), str(sandbox.account_id))
        arguments = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
        requests.get(redirect, timeout=PATIENCE)
        assert command.wait() == 0
    assert person.stored() == ["harvest"]
    assert CLIENT_SECRET not in command.output
    assert b"harvest_pipeline.cli" in b"".join(arguments)
    assert CLIENT_SECRET.encode() not in b"".join(arguments)


def test_of_several_accounts_the_person_chooses_by_number(
    person: Person, sandbox: SandboxServer
) -> None:
    _, second = sandbox.accounts
    with person.start(*connect("--sandbox"), terminal=True) as command:
        requests.get(decide(command.address(), "all"), timeout=PATIENCE)
        command.see(rf"2  {second.id} {re.escape(second.name)}\n")
        for answer in ("3", "x", "2"):
            command.see(r"Number: $")
            command.type(f"{answer}\n")
            command.see(rf"Number: {answer}\n")
        assert command.wait() == 0
    assert f"account {second.id}, instance {second.instance}" in command.output


def test_of_several_accounts_a_script_has_to_name_one(
    person: Person, sandbox: SandboxServer
) -> None:
    token = f"{sandbox.tokens['administrator']}\n"
    command = person.run("connect", "--token", "-", typed=token)
    assert (command.code, person.stored()) == (1, [])
    for account in sandbox.accounts:
        assert f"{account.id} {account.name}" in command.output
    assert "--account-id" in command.output


@pytest.mark.parametrize("way", ["--account-id", "--instance", "HARVEST_INSTANCE"])
def test_an_account_is_named_by_argument_or_variable(
    way: str, person: Person, sandbox: SandboxServer
) -> None:
    _, second = sandbox.accounts
    value = str(second.id) if way.upper().endswith("ID") else second.instance
    arguments, variables = ((way, value), {}) if way.startswith("-") else ((), {way: value})
    token = f"{sandbox.tokens['administrator']}\r\n"
    command = person.run("connect", "--token", "-", *arguments, typed=token, **variables)
    assert command.code == 0, command.output
    assert f"account {second.id}" in command.output


@pytest.mark.parametrize("way", ["--instance", "HARVEST_ACCOUNT_ID"])
def test_an_account_out_of_reach_is_named_with_where_it_was_set(
    way: str, person: Person, sandbox: SandboxServer
) -> None:
    arguments, variables = ((way, "99"), {}) if way.startswith("-") else ((), {way: "99"})
    token = f"{sandbox.tokens['administrator']}\n"
    command = person.run("connect", "--token", "-", *arguments, typed=token, **variables)
    assert (command.code, person.stored()) == (1, [])
    assert f"{way} is an account that this token is not known to reach" in command.output
    assert str(sandbox.account_id) in command.output


def test_a_personal_token_is_stored_under_a_name_of_its_own(
    person: Person, sandbox: SandboxServer
) -> None:
    arguments = ("--token", "-", "--name", "acme", "--account-id", str(sandbox.account_id))
    with person.start("connect", *arguments, terminal=True) as command:
        command.see("Personal access token")
        command.type(f"{sandbox.tokens['administrator']}\n")
        assert command.wait() == 0
    assert person.stored() == ["acme"]
    assert "in harvest.yaml (below `accounts:`, `- name: acme`)" in command.output
    assert sandbox.tokens["administrator"] not in command.output


def test_a_person_who_is_no_administrator_is_warned(person: Person, sandbox: SandboxServer) -> None:
    arguments = ("connect", "--token", "-", "--account-id", str(sandbox.account_id))
    command = person.run(*arguments, typed=sandbox.tokens["member"] + "\n")
    assert command.code == 0
    assert "shows a member less than an administrator" in command.output
    assert "instance not shown to this person" in command.output


@pytest.mark.parametrize("token", ["", "two words\n", "wrong-token-canary\n"])
def test_a_token_that_cannot_be_stores_nothing(token: str, person: Person) -> None:
    command = person.run("connect", "--token", "-", typed=token)
    assert (command.code, person.stored()) == (1, [])
    assert command.output.count("\n") == 1
    assert "standard input" in command.output
    assert "canary" not in command.output


def test_a_token_as_an_argument_is_refused_with_the_reason(person: Person) -> None:
    command = person.run("connect", "--token", "pat-canary-4711")
    assert (command.code, person.stored()) == (1, [])
    assert "Others can read the arguments of a command" in command.output
    assert "canary" not in command.output


def test_a_person_with_forecast_only_is_told_so(person: Person) -> None:
    forecast = {"id": 7, "name": "Planning", "product": "forecast"}
    found = fault.answer({"user": {"id": 1}, "accounts": [forecast]})
    with FaultServer(fault.routes(accounts=found)) as server:
        command = person.run("connect", "--token", "-", typed="t\n", HARVEST_ID_URL=server.url)
    assert (command.code, person.stored()) == (1, [])
    assert "reaches no Harvest account (Forecast does not count)" in command.output


def test_a_sandbox_that_is_not_running_is_told_how_to_start(person: Person) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    command = person.run(*connect("--sandbox"), HARVEST_ID_URL=nowhere)
    assert command.code == 1
    assert "start `harvest-pipeline sandbox` in another terminal" in command.output


def test_the_redirect_address_can_be_pasted(person: Person, sandbox: SandboxServer) -> None:
    with person.start("connect", "--no-browser", **APPLICATION) as command:
        command.type(decide(command.address(), str(sandbox.account_id)) + "\n")
        assert command.wait() == 0
    assert person.stored() == ["harvest"]


@pytest.mark.parametrize(
    "paste", ["http://127.0.0.1:7358/callback?code=abc&state=wrong\n", "abc\n", "\n"]
)
def test_a_pasted_address_with_a_wrong_state_or_none_stores_nothing(
    paste: str, person: Person, sandbox: SandboxServer
) -> None:
    command = person.run("connect", "--no-browser", typed=paste, **APPLICATION)
    assert (command.code, person.stored()) == (1, [])
    assert "Error: " in command.output and "run the command again" in command.output
    assert TOKEN_PATH not in sandbox.account.request_log.paths()


@pytest.mark.parametrize("asked", ["Ctrl-C stops", "Client id"])
def test_ctrl_c_ends_with_one_line(asked: str, person: Person) -> None:
    sandbox = ("--sandbox",) if asked == "Ctrl-C stops" else ()
    with person.start(*connect(*sandbox), terminal=True) as command:
        command.see(asked)
        command.type("\x03")
        assert command.wait() == 130
    assert command.output.endswith("\nStopped; nothing was stored.\n")
    assert "Traceback" not in command.output
    assert person.stored() == []


def test_the_same_company_is_replaced_and_another_one_only_if_that_is_said(
    person: Person, sandbox: SandboxServer
) -> None:
    first, second = sandbox.accounts
    arguments = ("connect", "--token", "-", "--account-id")
    for role in ("administrator", "manager"):
        token = f"{sandbox.tokens[role]}\n"
        assert person.run(*arguments, str(first.id), typed=token).code == 0
    stored = (person.store / "accounts.json").read_text()
    assert "manager" in stored
    token = f"{sandbox.tokens['administrator']}\n"
    refused = person.run(*arguments, str(second.id), typed=token)
    assert refused.code == 1
    assert f"{first.name} ({first.id})" in refused.output and "--replace" in refused.output
    assert (person.store / "accounts.json").read_text() == stored
    assert person.run(*arguments, str(second.id), "--replace", typed=token).code == 0
    assert str(second.id) in (person.store / "accounts.json").read_text()


@pytest.mark.parametrize("name", ["Acme", "../acme"])
def test_a_name_that_cannot_be_is_told_before_anything_is_asked(name: str, person: Person) -> None:
    command = person.run("connect", "--sandbox", "--name", name)
    assert command.code == 1
    assert "small letters" in command.output
    assert "oauth2/authorize" not in command.output


def test_an_unusable_store_is_told_before_the_browser_is_opened(person: Person) -> None:
    person.store.mkdir()
    person.store.chmod(0o777)
    command = person.run(*connect("--sandbox"))
    assert command.code == 1
    assert "oauth2/authorize" not in command.output
    assert str(person.store) in command.output


def test_credentials_of_the_environment_that_win_are_pointed_out(
    person: Person, sandbox: SandboxServer
) -> None:
    arguments = ("connect", "--token", "-", "--account-id", str(sandbox.account_id))
    token = sandbox.tokens["administrator"]
    command = person.run(*arguments, typed=f"{token}\n", HARVEST_ACCESS_TOKEN=token, **APPLICATION)
    assert command.code == 0
    assert "remove HARVEST_ACCESS_TOKEN from the environment" in command.output


def test_of_the_accounts_in_harvest_yaml_one_is_named_and_found_by_its_id(
    person: Person, sandbox: SandboxServer, tmp_path: Path
) -> None:
    _, second = sandbox.accounts
    file = tmp_path / "harvest.yaml"
    file.write_text(f"accounts: [{{name: acme}}, {{name: other, account_id: {second.id}}}]")
    arguments, token = ("connect", "--token", "-"), f"{sandbox.tokens['administrator']}\n"
    unnamed = person.run(*arguments, typed=token, HARVEST_CONFIG=str(file))
    assert (unnamed.code, person.stored()) == (1, [])
    assert "acme, other" in unnamed.output
    named = person.run(*arguments, "--name", "other", typed=token, HARVEST_CONFIG=str(file))
    assert named.code == 0
    assert f"account {second.id}" in named.output
    assert "accounts:" not in named.output
