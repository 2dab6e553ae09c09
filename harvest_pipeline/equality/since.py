"""What changed at Harvest after the warehouse was loaded: no difference that it explains is wrong.

Belongs here: asking for those records, and which figures they touch.
Does not belong here: loading them.

A deletion leaves no trace at Harvest, so the difference that it makes stays unexplained until the
days are read again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import cast

import duckdb
import msgspec

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.equality.pairs import Pair
from harvest_pipeline.equality.spans import loaded_days
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import PermissionMissing
from harvest_pipeline.scope import Window
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.sql import identifier

_PER_PAGE, _MOST_PAGES = 2000, 10
_LARGEST_PAGE = 64 * 2**20
#: Whether `updated_since` takes the instant itself is unconfirmed (REFERENCE 8).
_OVERLAP = timedelta(seconds=5)

#: The columns that rows of reports are about, by the record's own column for each.
_SUBJECTS: Mapping[str, Mapping[str, str]] = {
    "time_entries": {name: name for name in ("client_id", "project_id", "task_id", "user_id")},
    "expenses": {
        name: name for name in ("client_id", "project_id", "user_id", "expense_category_id")
    },
    "projects": {"project_id": "id", "client_id": "client_id"},
    "invoices": {},
}


class _Ref(msgspec.Struct):
    id: int


class _Line(msgspec.Struct):
    project: _Ref | None = None


class _Head(msgspec.Struct):
    """What is looked at of a record that may have changed."""

    id: int
    updated_at: datetime
    is_running: bool = False
    client: _Ref | None = None
    project: _Ref | None = None
    task: _Ref | None = None
    user: _Ref | None = None
    expense_category: _Ref | None = None
    line_items: list[_Line] = []


class _Page(msgspec.Struct):
    records: list[_Head]


@dataclass(slots=True)
class Changed:
    """How many records of each kind changed since, and the ids of what they are about: before and
    now. `all_of` are columns of which any id may be touched."""

    counts: dict[str, int] = field(default_factory=dict[str, int])
    ids: dict[str, set[int]] = field(default_factory=dict[str, set[int]])
    all_of: set[str] = field(default_factory=set[str])

    def explains(self, pair: Pair) -> bool:
        """Whether the difference may come from one of them."""
        subject = pair.question.subject
        return subject in self.all_of or pair.subject_id in self.ids.get(subject, set())

    def add(self, column: str, ids: Iterable[int]) -> None:
        """Some of these were touched."""
        self.ids.setdefault(column, set()).update(ids)


def changed_since(
    client: HarvestClient, warehouse: Warehouse, records: Iterable[str], window: Window
) -> Changed:
    """What changed in these records, as far as they lie on days of `window` or have none.

    A request for each record, another for running timers, more only for thousands of changes.
    Raises what `HarvestClient.get` raises.
    """
    with warehouse.reader() as connection:
        reads = {record: loaded_days(connection, record, window) for record in records}
    heads = {
        record: _changed_in(client, record, min(days.values()) - _OVERLAP, window)
        for record, days in reads.items()
        if days
    }
    changed = Changed()
    with warehouse.reader() as connection:
        for record, found in heads.items():
            _note(connection, changed, record, found)
    return changed


def _changed_in(client: HarvestClient, record: str, since: datetime, window: Window) -> list[_Head]:
    """The records that changed since then, and running timers, whose hours grow without a change;
    none that this person may not see."""
    # Invoices of any day are deducted from a fee.
    dated = RECORDS[record].day is not None and record != "invoices"
    days = {"from": f"{window.first}", "to": f"{window.last}"} if dated else {}
    try:
        heads = _ask(client, record, {**days, "updated_since": f"{since:%Y-%m-%dT%H:%M:%SZ}"})
        if record == "time_entries":
            heads += _ask(client, record, {**days, "is_running": "true"})
    except PermissionMissing:
        return []
    return heads


def _ask(client: HarvestClient, record: str, asked: Mapping[str, str]) -> list[_Head]:
    """The records that were asked for, but no more than ten pages."""
    known = RECORDS[record]
    named = ("records", list[_Head], msgspec.field(name=known.envelope))
    form = cast("type[_Page]", msgspec.defstruct("_Page", [named], bases=(_Page,)))
    decoder = msgspec.json.Decoder(form)
    heads: list[_Head] = []
    for number in range(1, _MOST_PAGES + 1):
        page, _ = client.get(
            f"{client.api_url}{known.endpoint}",
            decoder,
            {**asked, "per_page": str(_PER_PAGE), "page": str(number)},
            known.permission,
            largest=_LARGEST_PAGE,
        )
        heads += page.records
        if len(page.records) < _PER_PAGE:
            break
    return heads


def _note(
    connection: duckdb.DuckDBPyConnection, changed: Changed, record: str, heads: list[_Head]
) -> None:
    """Keep those that the warehouse does not have as they are now, and what they are about."""
    ours: dict[int, datetime] = dict(
        connection.execute(
            f"SELECT id, updated_at FROM {identifier(record)} WHERE list_contains(?, id)",
            [[head.id for head in heads]],
        ).fetchall()
    )
    new = [head for head in heads if head.is_running or ours.get(head.id) != head.updated_at]
    if not new:
        return
    changed.counts[record] = len({head.id for head in new})
    ids = [head.id for head in new]
    for column, own in _SUBJECTS[record].items():
        before = connection.execute(
            f"SELECT DISTINCT {identifier(own)} FROM {identifier(record)}"
            " WHERE list_contains(?, id)",
            [ids],
        ).fetchall()
        changed.add(column, (row[0] for row in before))
    for head in new:
        _note_now(changed, record, head)
    if record == "projects":
        # A fee that became fixed moves the amounts of all who worked there.
        changed.all_of |= {"task_id", "user_id"}
    if record == "invoices":
        lines = connection.execute(
            "SELECT DISTINCT project_id FROM invoice_line_items WHERE project_id IS NOT NULL"
            " AND list_contains(?, invoice_id)",
            [ids],
        ).fetchall()
        changed.add("project_id", (row[0] for row in lines))


def _note_now(changed: Changed, record: str, head: _Head) -> None:
    refs = {
        "client_id": head.client,
        "project_id": head.project,
        "task_id": head.task,
        "user_id": head.user,
        "expense_category_id": head.expense_category,
    }
    for column, ref in refs.items():
        if ref is not None and column in _SUBJECTS[record]:
            changed.add(column, [ref.id])
    if record == "projects":
        changed.add("project_id", [head.id])
    changed.add("project_id", (line.project.id for line in head.line_items if line.project))
