"""`harvest-pipeline connect`, as a person or a script runs it, against the sandbox over HTTP."""

import base64
import re
import stat
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from harvest_pipeline.connect import callback
from harvest_pipeline.sandbox.oauth import CLIENT_ID, CLIENT_SECRET
from harvest_pipeline_tests.connect.person import Person, decide
from harvest_pipeline_tests.harvest import fault_server as fault
from harvest_pipeline_tests.harvest.fault_server import FaultServer
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.ui.conftest import free_port
from harvest_pipeline_tests.waiting import PATIENCE

APPLICATION = {"HARVEST_CLIENT_ID": CLIENT_ID, "HARVEST_CLIENT_SECRET": CLIENT_SECRET}
TOKEN_PATH = "/api/v2/oauth2/token"


def connect(*more: str) -> tuple[str, ...]:
    return ("connect", "--port", str(free_port()), *more)


def test_allowing_stores_the_account(person: Person, sandbox: SandboxServer) -> None:
    first = sandbox.account
    with person.start(*connect("--sandbox")) as command:
        address = command.address()
        page = requests.get(decide(address, str(first.id)), timeout=PATIENCE)
        assert command.wait() == 0
    assert page.status_code == 200
    assert "The account is connected." in page.text
    for fact in (first.name, str(first.id), first.instance, "administrator", str(person.store)):
        assert fact in command.output
    assert f"export HARVEST_API_URL={sandbox.api_url}" in command.output
    assert f"export HARVEST_ID_URL={sandbox.id_url}" in command.output
    assert "make dev" in command.output
    assert person.stored() == ["harvest.json", "harvest.secret"]
    assert stat.S_IMODE((person.store / "harvest.secret").stat().st_mode) == 0o600
    assert sandbox.account.request_log.paths() == [
        "/oauth2/authorize",
        "/oauth2/authorize",
        TOKEN_PATH,
        "/api/v2/accounts",
        "/v2/users/me",
        "/v2/company",
    ]


def test_the_address_asks_with_state_and_pkce_for_a_code(person: Person) -> None:
    with person.start(*connect("--sandbox")) as command:
        asked = {k: v for k, [v] in parse_qs(urlsplit(command.address()).query).items()}
    assert len(base64.urlsafe_b64decode(asked["state"] + "==")) * 8 >= 128
    assert len(base64.urlsafe_b64decode(asked["code_challenge"] + "=")) == 32
    assert (asked["code_challenge_method"], asked["response_type"]) == ("S256", "code")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/callback", asked["redirect_uri"])
    assert "scope" not in asked


def test_refusing_stores_nothing(person: Person) -> None:
    with person.start(*connect("--sandbox")) as command:
        page = requests.get(decide(command.address(), decision="deny"), timeout=PATIENCE)
        assert command.wait() == 1
    assert (page.status_code, person.stored()) == (400, [])
    assert "Error: Access was refused on Harvest's page" in command.output
    assert "Traceback" not in command.output


def test_a_wrong_state_costs_no_token_request(person: Person, sandbox: SandboxServer) -> None:
    with person.start(*connect("--sandbox")) as command:
        redirect = decide(command.address())
        page = requests.get(re.sub(r"state=[^&]+", "state=another", redirect), timeout=PATIENCE)
        assert command.wait() == 1
    assert (page.status_code, person.stored()) == (400, [])
    assert TOKEN_PATH not in sandbox.account.request_log.paths()
    assert "does not belong to this request" in command.output


def test_a_code_that_has_expired_stores_nothing(person: Person, sandbox: SandboxServer) -> None:
    with person.start(*connect("--sandbox")) as command:
        redirect = decide(command.address())
        sandbox.world.clock.advance(601)
        page = requests.get(redirect, timeout=PATIENCE)
        assert command.wait() == 1
    assert (page.status_code, person.stored()) == (400, [])
    assert "has expired or has been used" in command.output
    assert "has expired or has been used" in page.text


def test_a_code_that_was_used_stores_nothing(person: Person, sandbox: SandboxServer) -> None:
    with person.start(*connect("--sandbox")) as command:
        redirect = decide(command.address())
        stolen = {
            "grant_type": "authorization_code",
            "code": parse_qs(urlsplit(redirect).query)["code"],
        }
        theirs = {
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "redirect_uri": "http://x",
        }
        agent = {"User-Agent": "thief"}
        requests.post(
            sandbox.id_url + TOKEN_PATH, {**stolen, **theirs}, headers=agent, timeout=PATIENCE
        )
        requests.get(redirect, timeout=PATIENCE)
        assert command.wait() == 1
    assert person.stored() == []
    assert "has expired or has been used" in command.output


def test_a_wrong_client_secret_stores_nothing(person: Person) -> None:
    wrong = {**APPLICATION, "HARVEST_CLIENT_SECRET": "wrong-canary-4711"}
    with person.start(*connect(), **wrong) as command:
        page = requests.get(decide(command.address()), timeout=PATIENCE)
        assert command.wait() == 1
    assert (page.status_code, person.stored()) == (400, [])
    assert "HARVEST_CLIENT_SECRET" in command.output
    assert "canary" not in command.output + page.text


def test_without_an_application_a_script_is_told_what_to_set(person: Person) -> None:
    command = person.run(*connect(), HARVEST_CLIENT_ID=CLIENT_ID)
    assert command.code == 1
    assert command.output.startswith("Error: HARVEST_CLIENT_ID and HARVEST_CLIENT_SECRET are not")


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
    assert person.stored() == ["harvest.json", "harvest.secret"]
    assert CLIENT_SECRET not in command.output
    assert b"harvest_pipeline.cli" in b"".join(arguments)
    assert CLIENT_SECRET.encode() not in b"".join(arguments)


def test_of_several_accounts_the_person_chooses_by_number(
    person: Person, sandbox: SandboxServer
) -> None:
    _, second = sandbox.accounts
    with person.start(*connect("--sandbox"), terminal=True) as command:
        page = requests.get(decide(command.address(), "all"), timeout=PATIENCE)
        assert "Go back to the terminal" in page.text
        command.see(rf"2  {second.id} {re.escape(second.name)}\n")
        for answer in ("3", "x", "", "2"):
            command.see(r"Number \(1-2\): $")
            command.type(f"{answer}\n")
        assert command.wait() == 0
    assert f"account id  {second.id}" in command.output
    assert second.instance in command.output


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
    assert f"account id  {second.id}" in command.output


@pytest.mark.parametrize("way", ["--instance", "HARVEST_ACCOUNT_ID"])
def test_an_account_out_of_reach_is_named_with_where_it_was_set(
    way: str, person: Person, sandbox: SandboxServer
) -> None:
    arguments, variables = ((way, "99"), {}) if way.startswith("-") else ((), {way: "99"})
    token = f"{sandbox.tokens['administrator']}\n"
    command = person.run("connect", "--token", "-", *arguments, typed=token, **variables)
    assert (command.code, person.stored()) == (1, [])
    assert f"{way} is '99'" in command.output
    assert str(sandbox.account_id) in command.output


def test_a_personal_token_is_stored_under_a_name_of_its_own(
    person: Person, sandbox: SandboxServer
) -> None:
    arguments = ("--token", "-", "--name", "acme", "--account-id", str(sandbox.account_id))
    with person.start("connect", *arguments, terminal=True) as command:
        command.see("Personal access token")
        command.type(f"{sandbox.tokens['administrator']}\n")
        assert command.wait() == 0
    assert person.stored() == ["acme.json", "acme.secret"]
    assert "accounts:\n  - name: acme" in command.output
    assert sandbox.tokens["administrator"] not in command.output


def test_who_is_not_an_administrator_is_warned(person: Person, sandbox: SandboxServer) -> None:
    account = str(sandbox.account_id)
    command = person.run(
        "connect", "--token", "-", "--account-id", account, typed=sandbox.tokens["member"] + "\n"
    )
    assert command.code == 0
    assert "shows a member less than an administrator" in command.output
    assert "(only an administrator is shown it)" in command.output


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


def test_a_network_that_is_down_is_told_in_a_sentence(person: Person) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    command = person.run("connect", "--token", "-", typed="t\n", HARVEST_ID_URL=nowhere)
    assert (command.code, person.stored()) == (1, [])
    assert "there is no connection to the host" in command.output
    assert "Traceback" not in command.output


def test_a_sandbox_that_is_not_running_is_told_how_to_start(person: Person) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    command = person.run(*connect("--sandbox"), HARVEST_ID_URL=nowhere)
    assert command.code == 1
    assert "start `harvest-pipeline sandbox` in another terminal" in command.output


def test_the_redirect_address_can_be_pasted(person: Person, sandbox: SandboxServer) -> None:
    with person.start("connect", "--no-browser", **APPLICATION) as command:
        command.type(decide(command.address(), str(sandbox.account_id)) + "\n")
        assert command.wait() == 0
    assert person.stored() == ["harvest.json", "harvest.secret"]


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


def test_ctrl_c_ends_with_one_line(person: Person) -> None:
    with person.start(*connect("--sandbox"), terminal=True) as command:
        command.see("Ctrl-C stops")
        command.type("\x03")
        assert command.wait() == 130
    assert command.output.endswith("\nStopped; nothing was stored.\n")
    assert "Traceback" not in command.output
    assert person.stored() == []


def test_connecting_the_same_company_again_replaces_it(
    person: Person, sandbox: SandboxServer
) -> None:
    arguments = ("connect", "--token", "-", "--account-id", str(sandbox.account_id))
    for role in ("administrator", "manager"):
        command = person.run(*arguments, typed=f"{sandbox.tokens[role]}\n")
        assert command.code == 0, command.output
    assert "manager" in (person.store / "harvest.json").read_text()


def test_another_company_replaces_it_only_if_that_is_said(
    person: Person, sandbox: SandboxServer
) -> None:
    first, second = sandbox.accounts
    token = f"{sandbox.tokens['administrator']}\n"
    arguments = ("connect", "--token", "-", "--account-id")
    assert person.run(*arguments, str(first.id), typed=token).code == 0
    refused = person.run(*arguments, str(second.id), typed=token)
    assert refused.code == 1
    assert f"{first.name} ({first.id})" in refused.output
    assert "--replace" in refused.output
    for answer, stored, code in (("\n", first, 1), ("y\n", second, 0)):
        with person.start(*arguments, str(second.id), terminal=True) as command:
            command.see("Personal access token")
            command.type(token)
            command.see(r"Replace it by .* \[y/N\] $")
            command.type(answer)
            assert command.wait() == code
        assert str(stored.id) in (person.store / "harvest.json").read_text()
    assert person.run(*arguments, str(first.id), "--replace", typed=token).code == 0
    assert str(first.id) in (person.store / "harvest.json").read_text()


@pytest.mark.parametrize("name", ["Acme", "../acme"])
def test_a_name_that_cannot_be_is_told_before_anything_is_asked(name: str, person: Person) -> None:
    command = person.run("connect", "--sandbox", "--name", name)
    assert command.code == 1
    assert "small letters" in command.output
    assert "oauth2/authorize" not in command.output


def test_credentials_of_the_environment_that_win_are_pointed_out(
    person: Person, sandbox: SandboxServer
) -> None:
    arguments = ("connect", "--token", "-", "--account-id", str(sandbox.account_id))
    token = sandbox.tokens["administrator"]
    command = person.run(*arguments, typed=f"{token}\n", HARVEST_ACCESS_TOKEN=token, **APPLICATION)
    assert command.code == 0
    assert "remove HARVEST_ACCESS_TOKEN from the environment" in command.output


def test_an_unusable_store_is_told_before_the_browser_is_opened(person: Person) -> None:
    person.store.mkdir(mode=0o777)
    person.store.chmod(0o777)
    command = person.run(*connect("--sandbox"))
    assert command.code == 1
    assert "oauth2/authorize" not in command.output
    assert str(person.store) in command.output


def test_a_browser_that_never_comes_back_is_not_waited_for(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callback.LIMIT_SECONDS == 300
    monkeypatch.setattr(callback, "LIMIT_SECONDS", 0.2)
    command = person.run(*connect("--sandbox"))
    assert (command.code, person.stored()) == (1, [])
    assert "Harvest did not send the browser back" in command.output


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
    assert f"account id  {second.id}" in named.output
    assert "accounts:" not in named.output
