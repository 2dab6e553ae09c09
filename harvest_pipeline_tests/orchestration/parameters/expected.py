"""The rows that a run must leave, worked out from what was there before and from the account."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from harvest_pipeline.catalogue.columns import ACCOUNT_ID, LIST, ROW_KEY, Record
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.sandbox.records import Records
from harvest_pipeline_tests.sandbox.truth import identity, truth

Row = dict[str, Any]
#: Rows by id, or what else identifies them.
Rows = dict[int, Row]
#: All records but the snapshots, whose rows are what was so when they were taken.
COMPARED = {name: record for name, record in RECORDS.items() if not record.is_snapshot}
#: What is made of others, and what only the token knows.
_MADE = (ROW_KEY, ACCOUNT_ID)
#: What only the warehouse has.
OURS = ("_loaded_at", "_extra")


@dataclass(frozen=True)
class Part:
    """What a run asks for. `first` to `last` are the days; `since` an instant in UTC."""

    first: date | None = None
    last: date | None = None
    since: datetime | None = None
    status: str | None = None
    projects: frozenset[int] = frozenset()
    users: frozenset[int] = frozenset()

    @property
    def has_filters(self) -> bool:
        return bool(self.status or self.projects or self.users)


@dataclass(frozen=True)
class Account:
    """A state of the account: rows of each record, and the projects of each invoice."""

    rows: Mapping[str, Rows]

    @classmethod
    def of_sandbox(cls, records: Records) -> "Account":
        """The truth, in the columns of the warehouse."""
        found = {name: truth(records, name) for name in COMPARED}
        parents = {
            name: {row["id"]: row for row in found[name]}
            for name in {record.parent for record in COMPARED.values() if record.parent}
        }
        return cls(
            {
                name: {
                    identity(name, row): _flat(
                        RECORDS[name], row, parents.get(RECORDS[name].parent or "", {})
                    )
                    for row in rows
                }
                for name, rows in found.items()
            }
        )

    def holds(self, record: str, row: Row, part: Part, states: "Account") -> bool:
        """Whether a row belongs to a part, whenever it was changed; an invoice's state is that of
        `states`."""
        day = RECORDS[record].day
        if day and not _between(row[day], part):
            return False
        if part.status:
            key = row["id"] if record == "invoices" else row["invoice_id"]
            invoice = states.rows["invoices"].get(key) or self.rows["invoices"][key]
            state = row["state"] if record == "invoices" else invoice["state"]
            if state != part.status:
                return False
        if part.projects and not part.projects & self._projects(record, row):
            return False
        return not part.users or row["user_id"] in part.users

    def _projects(self, record: str, row: Row) -> set[int]:
        if record != "invoices":
            return {row["project_id"]}
        lines = self.rows["invoice_line_items"].values()
        return {line["project_id"] for line in lines if line["invoice_id"] == row["id"]}


#: Columns that follow the record that they are copied from.
_COPIES = {
    column.name for record in RECORDS.values() for column in record.columns
    if column.copy_of or column.from_parent
}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """`fresh` are the rows that must have been read again, `kept` those that must be as they were,
    but for copies of what the run has loaded besides; those of `either` may be there or not."""

    fresh: Rows
    kept: Rows
    either: Collection[int] = ()

    def assert_is(self, after: Rows, loaded: datetime) -> None:
        """The rows are these; the fresh ones were loaded after `loaded`."""
        wanted = {*self.fresh, *self.kept}
        too_much, missing = set(after) - wanted - set(self.either), wanted - set(after)
        assert not too_much, f"should not be there: {too_much}"
        assert not missing, f"should be there: {missing}"
        for key, row in self.kept.items():
            assert {n: v for n, v in after[key].items() if n not in _COPIES} == {
                n: v for n, v in row.items() if n not in _COPIES
            }
        for key, row in self.fresh.items():
            found = after[key]
            assert {name: found[name] for name in row} == row
            assert found["_loaded_at"] > loaded
            assert found["_extra"] is None


@dataclass(frozen=True)
class Differences:
    """What a run had to notice, and what it had to leave alone: ids."""

    edited_inside: set[int]
    deleted_inside: set[int]
    came: set[int]
    left: set[int]
    changed_outside: set[int]
    deleted_outside: set[int]
    unchanged_inside: set[int]


def expected(record: str, part: Part, before: Account, now: Account) -> Outcome:
    """The rows after a run that asks for `part`."""
    old, new = before.rows[record], now.rows[record]
    inside_now = {k: r for k, r in new.items() if now.holds(record, r, part, now)}
    if part.since:
        fresh = {k: r for k, r in inside_now.items() if r["updated_at"] >= part.since}
        # The invoices of these days are read whole: what belonged to a deleted one goes with it.
        gone = {
            k
            for k, r in old.items()
            if RECORDS[record].parent
            and r["invoice_id"] not in now.rows["invoices"]
            and _between(before.rows["invoices"][r["invoice_id"]]["issue_date"], part)
        }
        return Outcome(fresh, {k: r for k, r in old.items() if k not in fresh.keys() | gone})
    inside_then = {k for k, r in old.items() if before.holds(record, r, part, now)}
    fresh = dict(inside_now)
    either = set[int]()
    if RECORDS[record].parent:
        # Messages and payments go with their invoice to its new day, whose turn it is to tell
        # which of them there still are.
        invoices = now.rows["invoices"]
        either = {
            k
            for k, row in old.items()
            if (invoice := invoices.get(row["invoice_id"]))
            and _between(invoice["issue_date"], part) != (k in inside_then)
        }
    if RECORDS[record].parent is None:
        # Whoever leaves a part for another one, or its days for others, is followed there.
        fresh |= {k: new[k] for k in inside_then if k in new}
    kept = {k: r for k, r in old.items() if k not in fresh.keys() | inside_then | either}
    return Outcome(fresh, kept, either - fresh.keys())


def differences(record: str, part: Part, before: Account, now: Account) -> Differences:
    """What was changed in the account, seen from a part of it."""
    old, new = before.rows[record], now.rows[record]
    then = {k for k, r in old.items() if before.holds(record, r, part, now)}
    there = {k for k, r in new.items() if now.holds(record, r, part, now)}
    changed = {k for k in old.keys() & new if not _same(old[k], new[k])}
    return Differences(
        edited_inside=then & there & changed,
        deleted_inside=then - new.keys(),
        came=there - then,
        left=(then - there) & new.keys(),
        changed_outside=changed - then - there,
        deleted_outside=old.keys() - new.keys() - then,
        unchanged_inside=(then & there) - changed,
    )


def of_table(name: str, columns: list[str], values: list[tuple[Any, ...]]) -> Rows:
    """Rows of the warehouse by id; lists as Python has them."""
    found: Rows = {}
    lists = {c.name for record in RECORDS.values() for c in record.columns if c.type == LIST}
    for each in values:
        row = dict(zip(columns, each, strict=True))
        for column in lists & row.keys():
            row[column] = None if row[column] is None else json.loads(row[column])
        snapshot = name in RECORDS and RECORDS[name].is_snapshot
        key = row["key"] if snapshot else identity(name, row)
        assert key not in found, f"{key} is there twice"
        found[key] = row
    return found


def _same(old: Row, new: Row) -> bool:
    return {name: old[name] for name in new} == new


def _between(day: date, part: Part) -> bool:
    return part.first is None or part.last is None or part.first <= day <= part.last


def _flat(record: Record, row: Row, parents: Mapping[int, Row]) -> Row:
    found: Row = {}
    for column in record.columns:
        if column.from_parent in _MADE:
            continue
        if column.from_parent:
            found[column.name] = parents[row[record.link.name]][column.from_parent]
            continue
        value: Any = row
        for key in column.path:
            value = value.get(key) if value is not None else None
        found[column.name] = value
    return found
