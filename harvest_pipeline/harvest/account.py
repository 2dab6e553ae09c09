"""The account that a token is for, and the role of its owner in that account.

The facts about Harvest that it relies on are in docs/harvest-api.md.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from harvest_pipeline.harvest.calls import Caller
from harvest_pipeline.harvest.errors import (
    AccountAmbiguous,
    AccountNotFound,
    HarvestError,
    PermissionMissing,
    RecordNotFound,
)
from harvest_pipeline.safety.text import one_line
from harvest_pipeline.scope import Reader

#: The domain after the instance name in an account's address.
_DOMAIN = ".harvestapp.com"

Role = Literal["administrator", "manager", "member"]


@dataclass(frozen=True, slots=True)
class Identity:
    """The owner of the token, in the account that is read.

    `account_name` is None if the account was given by id: then the name was not requested.
    """

    account_id: str
    account_name: str | None
    user_id: int
    user_name: str
    access_roles: tuple[str, ...]

    @property
    def role(self) -> Role:
        """The level of access."""
        if "administrator" in self.access_roles:
            return "administrator"
        return "manager" if "manager" in self.access_roles else "member"

    @property
    def reader(self) -> Reader:
        """The person, as recorded in the warehouse."""
        return Reader(self.role, self.user_id, self.user_name)

    @property
    def is_administrator(self) -> bool:
        """Whether the person sees the whole account; others get shorter lists without an error."""
        return self.role == "administrator"


class Account(msgspec.Struct, frozen=True):
    """An account that a token gives access to."""

    id: int
    name: str
    product: str

    def __str__(self) -> str:
        return f"{self.id} {one_line(self.name)}"


class _Accounts(msgspec.Struct):
    accounts: list[Account]


class _Company(msgspec.Struct):
    full_domain: str


class _Me(msgspec.Struct):
    id: int
    first_name: str = ""
    last_name: str = ""
    access_roles: list[str] = []


_accounts_decoder = msgspec.json.Decoder(_Accounts)
_company_decoder = msgspec.json.Decoder(_Company)
_me_decoder = msgspec.json.Decoder(_Me)


class AccountFinder:
    """Finds the account to read, and its owner's role in it, with as few requests as possible."""

    def __init__(self, caller: Caller, api_url: str, id_url: str) -> None:
        self._caller = caller
        self._api_url = api_url
        self._id_url = id_url

    def find(self, instance: str | None) -> Account:
        """The account of that instance name; without a name, the token's only account.

        Raises AccountNotFound, AccountAmbiguous, and what `Caller.get` raises.
        """
        accounts = self.reachable()
        if instance is None:
            if len(accounts) == 1:
                return accounts[0]
            raise AccountAmbiguous(
                f"{listed(accounts)} Set HARVEST_ACCOUNT_ID to the one that you want."
            )
        found = self.at(instance, accounts)
        if found is None:
            raise AccountNotFound(
                "No account of this token is known to have the instance of HARVEST_INSTANCE or "
                f"harvest.yaml. {listed(accounts)} Correct it, or set the account id; with the "
                "token of a person who is not an administrator only the id will do."
            )
        return found

    def reachable(self) -> list[Account]:
        """The Harvest accounts that the token gives access to, without Forecast accounts."""
        try:
            found, _ = self._caller.get(f"{self._id_url}/api/v2/accounts", _accounts_decoder)
        except RecordNotFound:
            raise RecordNotFound(
                f"{self._id_url} (HARVEST_ID_URL) is not where Harvest lists the accounts of a "
                "token (404). Correct that address, or remove the variable."
            ) from None
        return [account for account in found.accounts if account.product == "harvest"]

    def at(self, instance: str, accounts: Sequence[Account]) -> Account | None:
        """The account among these whose instance is known to be `instance`, if any.

        If the company cannot be read, names are compared instead.
        """
        wanted = instance_host(instance)
        for account in accounts:
            host = self._host_of(str(account.id))
            known = host == wanted if host else _is_named(account, wanted)
            if known:
                return account
        return None

    def instance_of(self, account_id: str) -> str | None:
        """The `acme` of acme.harvestapp.com; None if it is shown to administrators only."""
        host = self._host_of(account_id)
        return one_line(host.removesuffix(_DOMAIN)) if host else None

    def identify(self, account_id: str, account_name: str | None) -> Identity:
        """Who the owner of the token is in that account. Raises AccountNotFound, and RecordNotFound
        if the API is somewhere else."""
        try:
            me, _ = self._caller.get(
                f"{self._api_url}/users/me", _me_decoder, account=account_id, permission="everyone"
            )
        except RecordNotFound:
            accounts = self._reachable_if_possible()
            if account_id in [str(account.id) for account in accounts or ()]:
                raise RecordNotFound(
                    f"{self._api_url} (HARVEST_API_URL) is not the address of Harvest's API: it "
                    f"does not know the account {account_id}, which the token reaches. Correct "
                    "that address, or remove the variable."
                ) from None
            raise AccountNotFound(
                f"The token does not reach the account {account_id} (HARVEST_ACCOUNT_ID). "
                f"{'' if accounts is None else listed(accounts)}"
            ) from None
        return Identity(
            account_id=account_id,
            account_name=account_name,
            user_id=me.id,
            user_name=one_line(f"{me.first_name} {me.last_name}"),
            access_roles=tuple(me.access_roles),
        )

    def _host_of(self, account_id: str) -> str | None:
        try:
            company, _ = self._caller.get(
                f"{self._api_url}/company", _company_decoder, account=account_id
            )
        except (PermissionMissing, RecordNotFound):  # for administrators only
            return None
        return company.full_domain.lower()

    def _reachable_if_possible(self) -> list[Account] | None:
        try:
            return self.reachable()
        except HarvestError:
            return None


def listed(accounts: Sequence[Account]) -> str:
    """A sentence that lists the accounts that the token gives access to."""
    if not accounts:
        return "The token reaches no Harvest account."
    return f"The token reaches: {', '.join(map(str, accounts))}."


def instance_host(instance: str) -> str:
    """`acme.harvestapp.com`, from that, from `acme`, or from the address in a browser."""
    host = re.sub(r"^https?://", "", instance.strip().lower()).partition("/")[0]
    return host if "." in host else f"{host}{_DOMAIN}"


def _is_named(account: Account, host: str) -> bool:
    return _letters(account.name) == _letters(host.partition(".")[0])


def _letters(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
