"""The account and its owner: found with few requests, named with what can be seen."""

import pytest

from harvest_pipeline.harvest.errors import (
    AccountAmbiguous,
    AccountNotFound,
    HarvestError,
    RecordNotFound,
    TokenRejected,
)
from harvest_pipeline_tests.harvest import fault_server as fault
from harvest_pipeline_tests.harvest.conftest import MakeClient
from harvest_pipeline_tests.harvest.fault_server import Action, FaultServer, Request

STUDIO, BAKERY = (1204417, "Northlight Studio"), (1204500, "North  Bakery\n")


class Accounts:
    """A token's accounts, with a Forecast account among them, and who its owner is in them."""

    def __init__(
        self,
        *accounts: tuple[int, str],
        roles: tuple[str, ...] = ("administrator",),
        company_status: int = 200,
    ) -> None:
        self.accounts = dict(accounts)
        self.roles = roles
        self.company_status = company_status

    def __call__(self, request: Request) -> Action:
        if request.path == "/api/v2/accounts":
            assert "harvest-account-id" not in request.headers
            found = [{"id": 1, "name": "Planning", "product": "forecast"}]
            for account, name in self.accounts.items():
                found.append({"id": account, "name": name, "product": "harvest"})
            return fault.answer({"user": {"id": 7}, "accounts": found})
        account = int(request.headers["harvest-account-id"])
        if account not in self.accounts:
            return fault.answer({"status": 404, "error": "Not Found"}, 404)
        if request.path == "/v2/company":
            domain = f"{self.accounts[account].split()[1].lower()}.harvestapp.com"
            return fault.answer({"full_domain": domain}, self.company_status)
        me = {"id": 7, "first_name": "Ada", "last_name": "Okafor", "access_roles": self.roles}
        return fault.answer(me)


def test_the_only_account_is_taken(make_client: MakeClient) -> None:
    with FaultServer(Accounts(STUDIO)) as server:
        identity = make_client(server.url, account_id=None).identity
        assert server.paths() == ["/api/v2/accounts", "/v2/users/me"]
    assert (identity.account_id, identity.account_name) == ("1204417", "Northlight Studio")


def test_of_several_accounts_none_is_guessed(make_client: MakeClient) -> None:
    with FaultServer(Accounts(STUDIO, BAKERY)) as server, pytest.raises(AccountAmbiguous) as caught:
        _ = make_client(server.url, account_id=None).identity
    assert str(caught.value) == (
        "The token reaches: 1204417 Northlight Studio, 1204500 North Bakery. "
        "Set HARVEST_ACCOUNT_ID to the one that you want."
    )


@pytest.mark.parametrize(
    "instance", ["bakery", "Bakery", "bakery.harvestapp.com", "https://bakery.harvestapp.com/time"]
)
def test_an_instance_name_is_looked_up(instance: str, make_client: MakeClient) -> None:
    with FaultServer(Accounts(STUDIO, BAKERY)) as server:
        client = make_client(server.url, account_id=None, instance=instance)
        assert client.identity.account_id == "1204500"
        assert server.paths().count("/v2/company") == 2


def test_an_instance_name_is_compared_with_names_where_the_company_is_hidden(
    make_client: MakeClient,
) -> None:
    with FaultServer(Accounts(STUDIO, BAKERY, company_status=403)) as server:
        client = make_client(server.url, account_id=None, instance="north-bakery")
        assert client.identity.account_id == "1204500"


@pytest.mark.parametrize("company_status", [200, 403])
def test_an_unknown_instance_lists_what_there_is(
    company_status: int, make_client: MakeClient
) -> None:
    with (
        FaultServer(Accounts(STUDIO, company_status=company_status)) as server,
        pytest.raises(AccountNotFound) as caught,
    ):
        _ = make_client(server.url, account_id=None, instance="acme").identity
    assert "1204417 Northlight Studio" in str(caught.value)
    assert "HARVEST_INSTANCE" in str(caught.value)


def test_an_account_out_of_reach_lists_what_is_in_reach(make_client: MakeClient) -> None:
    with FaultServer(Accounts(STUDIO, BAKERY)) as server, pytest.raises(AccountNotFound) as caught:
        _ = make_client(server.url, account_id="99").identity
    assert "99 (HARVEST_ACCOUNT_ID)" in str(caught.value)
    assert "1204417 Northlight Studio, 1204500 North Bakery" in str(caught.value)


def test_an_address_that_is_not_that_of_the_api_is_named_and_not_the_account(
    make_client: MakeClient,
) -> None:
    """The token reaches the account, and no account is known there."""

    def elsewhere(request: Request) -> Action:
        if request.path.startswith("/v2"):
            return fault.answer({"status": 404}, 404)
        return Accounts(STUDIO)(request)

    with FaultServer(elsewhere) as server, pytest.raises(RecordNotFound) as caught:
        _ = make_client(server.url).identity
    assert str(caught.value).startswith(f"{server.url}/v2 (HARVEST_API_URL) is not the address of")


def test_an_address_that_lists_no_accounts_is_named(make_client: MakeClient) -> None:
    with (
        FaultServer(Accounts(STUDIO)) as server,
        FaultServer(fault.script(fault.answer({}, 404))) as other,
    ):
        client = make_client(server.url, id_url=other.url, account_id=None)
        with pytest.raises(RecordNotFound) as caught:
            _ = client.identity
    assert str(caught.value).startswith(f"{other.url} (HARVEST_ID_URL) is not where Harvest lists")


@pytest.mark.parametrize("account_id", ["acme", "12 04", "1204417\nX: y", "", "-1"])
def test_an_account_id_is_a_number(account_id: str, make_client: MakeClient) -> None:
    with pytest.raises(AccountNotFound, match="HARVEST_ACCOUNT_ID"):
        make_client("http://127.0.0.1:1", account_id=account_id)


def test_a_failure_to_find_the_account_is_not_remembered(make_client: MakeClient) -> None:
    with FaultServer(accounts := Accounts()) as server:
        client = make_client(server.url, account_id=None)
        with pytest.raises(HarvestError):
            _ = client.identity
        accounts.accounts = dict([STUDIO])
        assert client.identity.account_id == "1204417"


def test_a_revoked_token_is_told_at_once(make_client: MakeClient) -> None:
    with FaultServer(fault.script(fault.answer({}, 401))) as server:
        with pytest.raises(TokenRejected, match="HARVEST_ACCESS_TOKEN"):
            _ = make_client(server.url).identity
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("roles", "role"),
    [
        (("administrator",), "administrator"),
        (("manager", "project_creator"), "manager"),
        ((), "member"),
    ],
)
def test_an_account_that_is_given_costs_one_request_which_says_whose_token_it_is(
    roles: tuple[str, ...], role: str, make_client: MakeClient
) -> None:
    with FaultServer(Accounts(STUDIO, BAKERY, roles=roles)) as server:
        client = make_client(server.url, account_id="1204417")
        identity = client.identity
        assert client.identity is identity
        assert server.paths() == ["/v2/users/me"]
    assert (identity.account_id, identity.account_name) == ("1204417", None)
    assert (identity.user_id, identity.user_name, identity.role) == (7, "Ada Okafor", role)
    assert identity.is_administrator == (role == "administrator")
