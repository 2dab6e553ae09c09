"""The models of `harvest.yaml` (accounts, datasets, reports that are switched off, alerts), the
rules between its entries, and its JSON schema, for completion in editors."""

import re
from collections import Counter
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from harvest_pipeline.settings.datasets import TAKEN, AnyReport, Dataset, report_datasets
from harvest_pipeline.settings.values import Instance, Model, Name, misplaced

#: As Dagster takes them.
_OWNER = re.compile(r"team:[\w.-]+|[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}")
_VARIABLE = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*")
#: The query parameters that an address without a secret can have.
_OPEN_QUERY = {"to", "from", "name", "reply", "smtp", "mode"}
#: Names that an account cannot have: each is used for something else in the definitions.
_RESERVED = ("io_manager", "all_accounts", "main", "temp", "system", "pg_catalog")


class AccountEntry(Model):
    """An account of Harvest. Where it has neither `account_id` nor `instance`, the stored account
    of that name says which one it is, or the token, if it reaches only one."""

    name: Name = Field(
        description="Prefix of the asset keys, DuckDB schema, and name of the stored account.",
        json_schema_extra={"not": {"enum": list(_RESERVED)}},
    )
    account_id: int | None = Field(
        default=None, gt=0, description="Harvest's number of it.", examples=[1204911]
    )
    instance: Instance | None = Field(
        default=None,
        description="The acme of acme.harvestapp.com, instead of the number.",
        examples=["acme"],
    )

    @field_validator("name")
    @classmethod
    def _is_free(cls, name: str) -> str:
        if name in _RESERVED:
            raise ValueError(f"{name!r} is taken; choose another name")
        return name


class ReportsEntry(Model):
    """Which reports and datasets there are."""

    disabled_reports: tuple[AnyReport, ...] = Field(
        default=(),
        description="Reports that get no asset. A dataset can be built on them all the same.",
        examples=[["invoice_messages", "daily"]],
    )
    datasets: tuple[Dataset, ...] = Field(
        default=(),
        description="Reports with parameters of your own, beside the 18.",
        examples=[[{"name": "support_time", "report": "daily"}]],
    )

    @field_validator("*", mode="before")
    @classmethod
    def _may_be_empty(cls, value: object, info: ValidationInfo) -> object:
        # The result of a list whose entries are all commented out.
        name = info.field_name or ""
        return () if value is None and cls.model_fields[name].default == () else value


class ProjectFile(ReportsEntry):
    """All of `harvest.yaml`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"accounts": [{"name": "acme"}]}]})

    accounts: tuple[AccountEntry, ...] = Field(
        default=(),
        description="The accounts; with none there is one, from the environment.",
        examples=[[{"name": "acme"}]],
    )
    alerts: tuple[str, ...] = Field(
        default=(),
        description="Who gets a message when a run or a check fails: addresses of Apprise, or "
        "`$NAME` for the one in a variable. Nobody without it.",
        examples=[["$HARVEST_ALERTS"]],
    )
    owners: tuple[str, ...] = Field(
        default=(),
        description="Who owns the assets, as the Dagster UI shows it: e-mail addresses, and teams "
        "as `team:name`.",
        examples=[["team:finance", "ada@example.com"]],
    )

    @field_validator("owners")
    @classmethod
    def _are_people_or_teams(cls, owners: tuple[str, ...]) -> tuple[str, ...]:
        for index, owner in enumerate(owners):
            if not _OWNER.fullmatch(owner):
                reason = "an owner is an e-mail address, or a team as team:finance"
                raise misplaced(reason, index)
        return owners

    @field_validator("alerts")
    @classmethod
    def _hold_no_secret(cls, alerts: tuple[str, ...]) -> tuple[str, ...]:
        for index, address in enumerate(alerts):
            if not _VARIABLE.fullmatch(address) and not _is_open(address):
                # The value is never repeated.
                reason = (
                    "an address can hold a secret, so it is kept in a variable: put it into "
                    "HARVEST_ALERTS, say, and write $HARVEST_ALERTS here"
                )
                raise misplaced(reason, index)
        return alerts

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        names = [entry.name for entry in self.accounts]
        for name, count in Counter(names).items():
            if count > 1:
                reason = f"the name {name!r} is there {count} times; each needs its own"
                raise misplaced(reason, "accounts")
        accounts = names or [None]
        used = {label for name in accounts for each in TAKEN for label in _labels(name, each)}
        for index, dataset in enumerate(self.datasets):
            if reason := _wrong_account(dataset.account, names):
                raise misplaced(reason, "datasets", index, "account")
            labels = _labels(dataset.account or accounts[0], dataset.name)
            if used & labels:
                reason = f"{dataset.name!r} is the name of another dataset, report, table or job"
                raise misplaced(f"{reason}; choose another name", "datasets", index, "name")
            used |= labels
        for name in accounts:
            if not self.datasets_of(name):
                of_it = f"of the account {name} " if name else ""
                reason = f"nothing {of_it}is left: leave a report, or add a dataset"
                raise misplaced(reason, "disabled_reports")
        return self

    def datasets_of(self, account: str | None) -> tuple[Dataset, ...]:
        """All datasets of an account: the reports that are not switched off, then its own.

        `account` is a name in `accounts`, None if there are none.
        """
        only = len(self.accounts) < 2
        own = (each for each in self.datasets if only or each.account == account)
        return (*report_datasets(report.name for report in self.disabled_reports), *own)


def _is_open(address: str) -> bool:
    """Whether an Apprise address contains no secret: e-mail or a plain webhook, without a
    password or headers. Addresses of other services contain a token."""
    try:
        parts = urlsplit(address)
        has_password = "@" in parts.netloc and ":" in parts.netloc.partition("@")[0]
    except ValueError:
        return False
    query = parse_qs(parts.query, keep_blank_values=True)
    return (
        parts.scheme in ("mailto", "mailtos", "json", "jsons")
        and not has_password
        and query.keys() <= _OPEN_QUERY
    )


def _labels(account: str | None, dataset: str) -> set[str]:
    """The names of Dagster's jobs and ops of a dataset: `a` with `b__c` is `a__b` with `c`."""
    return {f"{account}_{dataset}", f"{account}__{dataset}"}


def _wrong_account(account: str | None, names: list[str]) -> str | None:
    """What is wrong with the `account` of a dataset."""
    if account in names or (account is None and len(names) < 2):
        return None
    if account is None:
        return f"there are several accounts; choose one of {', '.join(names)}"
    if not names:
        return "`accounts:` names none; name it there, or leave account out"
    return f"there is no such account; choose one of {', '.join(names)}"


def json_schema() -> dict[str, Any]:
    """The JSON schema of the file (draft 2020-12)."""
    schema = ProjectFile.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "harvest.yaml"
    for part in (schema, *schema["$defs"].values()):
        # Docstrings are wrapped at the width of the code; a blank line starts a new paragraph.
        paragraphs = part["description"].split("\n\n")
        part["description"] = "\n\n".join(" ".join(text.split()) for text in paragraphs)
    return schema
