"""`harvest.yaml` as a whole: accounts, datasets, reports that are switched off, alerts.

Belongs here: the model of the file, how its entries go together, and its JSON schema, by which
editors complete it.
Does not belong here: the entries (entries.py), reading the file (config_file.py).
"""

import re
from collections import Counter
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import ConfigDict, Field, field_validator, model_validator

from harvest_pipeline.datasets import Dataset, report_datasets
from harvest_pipeline.entries import AccountEntry, DatasetEntry, Entry, ReportName, misplaced
from harvest_pipeline.text import shown

_VARIABLE = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*")
#: What an address without a secret can say after its question mark.
_OPEN_QUERY = {"to", "from", "name", "reply", "smtp", "mode"}


class ProjectFile(Entry):
    """All of `harvest.yaml`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"accounts": [{"name": "acme"}]}]})

    accounts: tuple[AccountEntry, ...] = Field(
        default=(),
        description="The accounts; with none there is one, from the environment.",
        examples=[[{"name": "acme"}]],
    )
    disabled_reports: tuple[ReportName, ...] = Field(
        default=(),
        description="Reports that get no asset. A dataset can be built on them all the same.",
        examples=[["invoice_messages", "daily"]],
    )
    datasets: tuple[DatasetEntry, ...] = Field(
        default=(),
        description="Reports with parameters of your own, beside the 18.",
        examples=[[{"name": "support_time", "report": "daily"}]],
    )
    alerts: tuple[str, ...] = Field(
        default=(),
        description="Who gets a message when a run or a check fails: addresses of Apprise, or "
        "`$NAME` for the one in a variable. Nobody without it.",
        examples=[["$HARVEST_ALERTS"]],
    )

    @field_validator("accounts", "disabled_reports", "datasets", "alerts", mode="before")
    @classmethod
    def _may_be_empty(cls, value: object) -> object:
        # What is left of a list whose entries have all been commented out.
        return () if value is None else value

    @field_validator("accounts")
    @classmethod
    def _are_different(cls, accounts: tuple[AccountEntry, ...]) -> tuple[AccountEntry, ...]:
        for name, count in Counter(entry.name for entry in accounts).items():
            if count > 1:
                raise ValueError(f"the name {name!r} is there {count} times; each needs its own")
        return accounts

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
        named: set[tuple[str | None, str]] = set()
        for index, entry in enumerate(self.datasets):
            if reason := self._wrong_account(entry.account):
                raise misplaced(reason, "datasets", index, "account")
            account = entry.account or next((one.name for one in self.accounts), None)
            if (account, entry.name) in named:
                reason = f"another dataset is called {entry.name!r} too; each needs a name"
                raise misplaced(reason, "datasets", index, "name")
            named.add((account, entry.name))
            if other := self._namesake(account, entry.name):
                reason = (
                    f"what is called {account}_{entry.name} would be taken for the account "
                    f"{other}'s; choose another name"
                )
                raise misplaced(reason, "datasets", index, "name")
        for account in [entry.name for entry in self.accounts] or [None]:
            if not self.datasets_of(account, "UTC"):
                of_it = f"of the account {account} " if account else ""
                reason = f"nothing {of_it}is left: leave a report, or add a dataset"
                raise misplaced(reason, "disabled_reports")
        return self

    def _wrong_account(self, account: str | None) -> str | None:
        """What is wrong with the `account` of a dataset."""
        names = [entry.name for entry in self.accounts]
        if account in names or (account is None and len(names) < 2):
            return None
        if account is None:
            return f"there are several accounts; choose one of {', '.join(names)}"
        if not names:
            return "`accounts:` names none; name it there, or leave account out"
        return f"there is no account {shown(account)}; choose one of {', '.join(names)}"

    def _namesake(self, account: str | None, dataset: str) -> str | None:
        """Another account whose jobs, schedules or ops could have the name of this dataset's."""
        return next(
            (
                other.name
                for other in self.accounts
                for gap in ("_", "__")  # of jobs and schedules; of ops
                if other.name != account
                and f"{account}{gap}{dataset}".startswith(f"{other.name}{gap}")
            ),
            None,
        )

    def datasets_of(self, account: str | None, timezone: str) -> tuple[Dataset, ...]:
        """All datasets of an account: the reports that are not switched off, then its own.

        `account` is a name in `accounts`, None where there are none. `timezone` (an IANA name) is
        that of schedules without one of their own.
        """
        only = len(self.accounts) < 2
        own = [entry for entry in self.datasets if only or entry.account == account]
        return (
            *report_datasets(self.disabled_reports),
            *(entry.dataset(timezone) for entry in own),
        )


def _is_open(address: str) -> bool:
    """Whether an address of Apprise holds no secret: of e-mail or a plain webhook, without a
    password or headers. Those of other services have a token in them."""
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


def json_schema() -> dict[str, Any]:
    """The JSON schema of the file (draft 2020-12)."""
    schema = ProjectFile.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "harvest.yaml"
    for part in (schema, *schema["$defs"].values()):
        # Docstrings are broken at the width of the code; a blank line is a new paragraph.
        paragraphs = part["description"].split("\n\n")
        part["description"] = "\n\n".join(" ".join(text.split()) for text in paragraphs)
    return schema
