"""The script of a year: what people do in two accounts, and what the network does, day by day.

Some lines reach far back, so that they are late by every clock; some are in silence: Harvest moves
nothing when a message or a payment is edited by itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from harvest_pipeline_tests.sandbox.faults import AnswerWith, Fault, Reset, Truncate

#: The evening before the first day. The accounts have two months behind them by then.
EVE = date(2025, 11, 20)
LAST = date(2026, 11, 20)
#: The two accounts, by their names in harvest.yaml.
F, L = "fernhill", "larkspur"


@dataclass(frozen=True)
class Deed:
    """One thing that is done to the record `which` (its place in its list, or what it was called).

    `back`: of the day so many days before; `called`: what the record is called from then on.
    """

    account: str
    verb: str
    kind: str = ""
    which: int | str = -1
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    back: int | None = None
    called: str = ""


def d(text: str) -> date:
    """25-12-01 as a date."""
    return date.fromisoformat(f"20{text}")


STORY: dict[date, tuple[Deed, ...]] = {
    d("25-12-02"): (
        Deed(F, "create", "time_entries", back=60, fields={"hours": "2.25"}, called="late"),
        Deed(L, "create", "time_entries", back=1, fields={"hours": "1"}, called="mistake"),
    ),
    d("25-12-03"): (
        Deed(L, "delete", "time_entries", "mistake"),
        Deed(F, "move", "time_entries", 40, back=50),
        Deed(F, "create", "contacts", fields={"first_name": "Noor"}, called="Noor"),
        Deed(F, "edit message", "invoices", 1, fields={"subject": "Your invoice, once more"}),
        Deed(L, "remind", "invoices", 1),
    ),
    d("25-12-04"): (
        Deed(F, "restate", "time_entries", -40),
        Deed(F, "create", "time_entries", back=-3, called="planned"),
        Deed(F, "move", "time_entries", 30, back=-100, called="put off"),
        Deed(F, "move", "time_entries", 31, back=200, called="put back"),
        Deed(F, "hand over", "projects", 0),
    ),
    # A Saturday: nothing else happens.
    d("25-12-06"): (Deed(F, "rename", "clients", 0, fields={"name": "Amber & Söhne"}),),
    d("25-12-22"): (
        Deed(F, "create", "time_entries", back=-10, fields={"notes": "leave"}, called="leave"),
        Deed(L, "delete", "time_entries", 3),
        Deed(L, "create", "time_entries", back=75, called="instead"),
    ),
    d("26-01-05"): (
        Deed(F, "edit", "time_entries", 10, fields={"hours": "7.5", "notes": "corrected"}),
        Deed(F, "pay", "invoices", 1, fields={"share": "1"}),
        Deed(F, "pay", "invoices", 2, fields={"share": "0.5"}),
        Deed(L, "pay", "invoices", 1, fields={"share": "1"}),
        Deed(L, "edit", "expenses", 0, fields={"total_cost": "99.95"}),
        Deed(F, "delete", "time_entries", "put off"),
        Deed(F, "delete", "time_entries", "put back"),
        Deed(F, "cost", "time_entries", 20, fields={"cost_rate": "41.25"}),
    ),
    d("26-01-19"): (
        Deed(F, "take back", "invoices", 1),
        Deed(F, "pay", "invoices", 2, fields={"share": "0.25"}),
        Deed(F, "delete", "expenses", 2),
        Deed(L, "archive", "users", -1),
        Deed(L, "move", "expenses", 4, back=100),
        Deed(L, "hand over", "projects", 1),
    ),
    d("26-02-12"): (
        Deed(F, "rename", "tasks", 0, fields={"name": "Thinking"}),
        Deed(L, "rename", "projects", 0, fields={"name": "Old Harbour", "code": "OH-1"}),
        Deed(L, "rename", "users", 1, fields={"first_name": "Ines", "last_name": "d'Arc"}),
    ),
    d("26-02-25"): (
        Deed(F, "delete", "contacts", "Noor"),
        Deed(L, "remind", "invoices", 2),
    ),
    d("26-03-17"): (
        Deed(F, "delete", "time_entries", "late"),
        Deed(F, "delete", "time_entries", 120),
        Deed(F, "create", "time_entries", 120, back=140, fields={"hours": "4"}),
        Deed(L, "edit payment", "invoices", 1, fields={"recorded_by": "Ines d'Arc"}),
    ),
    d("26-04-20"): (
        Deed(L, "delete", "invoices", -1),
        Deed(F, "change payment", "invoices", 2),
        Deed(F, "archive", "projects", 1),
        Deed(F, "archive", "clients", -1),
        Deed(L, "give away", "time_entries", 30),
    ),
    d("26-05-11"): (
        Deed(F, "delete", "projects", -1),
        Deed(F, "create", "task_assignments", called="booked"),
        Deed(L, "rename", "expense_categories", 0, fields={"name": "Trains"}),
    ),
    d("26-06-08"): (
        Deed(F, "edit", "time_entries", 300, fields={"hours": "0.75"}),
        Deed(F, "edit", "invoices", 3, fields={"state": "closed", "notes": "written off"}),
        Deed(F, "edit", "task_assignments", "booked", fields={"hourly_rate": "88"}),
        Deed(L, "delete message", "invoices", 1),
        Deed(L, "rename", "invoice_item_categories", 0, fields={"name": "Labour"}),
    ),
    d("26-06-30"): (
        Deed(F, "archive", "users", -2),
        Deed(F, "edit", "users", 2, fields={"cost_rate": "71.5"}),
        Deed(L, "delete", "projects", 1),
        Deed(L, "pay", "invoices", 5, fields={"share": "1"}),
    ),
    d("26-07-20"): (
        Deed(F, "delete", "task_assignments", "booked"),
        Deed(F, "delete", "invoices", 4),
        Deed(F, "create", "expenses", back=200, fields={"total_cost": "12.40"}),
        Deed(L, "take back", "invoices", 5),
        Deed(L, "move", "time_entries", -20, back=90),
    ),
    d("26-08-24"): (
        Deed(L, "rename", "clients", 1, fields={"name": "Bell & Sons"}),
        Deed(L, "delete", "expenses", 6),
        Deed(F, "edit", "time_entries", 2, fields={"billable": False}),
    ),
    d("26-09-14"): (
        Deed(F, "rename", "users", 3, fields={"first_name": "Zoë"}),
        Deed(F, "edit", "invoices", 6, fields={"issue_date": "2026-05-09"}),
        Deed(F, "pay", "invoices", 6, fields={"share": "1"}),
        Deed(L, "move", "time_entries", 5, back=1),
    ),
    d("26-10-13"): (
        Deed(F, "edit message", "invoices", 8, fields={"body": "With our thanks"}),
        Deed(F, "remind", "invoices", 7),
        Deed(L, "edit payment", "invoices", 1, fields={"recorded_by": "Bookkeeping"}),
        Deed(L, "delete", "time_entries", 200),
        Deed(L, "delete", "time_entries", -1),
    ),
    d("26-11-16"): (
        Deed(F, "create", "time_entries", back=330, fields={"hours": "6"}),
        Deed(F, "delete", "time_entries", -3),
        Deed(F, "delete", "time_entries", 0),
        Deed(L, "edit", "time_entries", 250, fields={"hours": "3.33"}),
        Deed(L, "rename", "tasks", 1, fields={"name": "Review"}),
    ),
}  # fmt: skip

_HTML = {"Content-Type": "text/html"}
#: What goes wrong on a day: a fault waits for the request that meets it.
WEATHER: dict[date, tuple[Fault, ...]] = {
    d("25-12-03"): (AnswerWith(status=503, path="/time_entries", times=2),),
    d("26-02-12"): (Reset(path="/clients"), Truncate(path="/expenses")),
    d("26-03-17"): (AnswerWith(status=429, headers={"Retry-After": "0"}, path="/tasks"),),
    d("26-05-11"): (AnswerWith(status=200, body="<p>Soon</p>", headers=_HTML, path="/projects"),),
    d("26-07-20"): (Reset(path="/invoices"), AnswerWith(status=500, path="/users/", skip=1)),
    d("26-10-13"): (Truncate(path="/time_entries", share=0.9),),
}
#: Days after which Harvest does not answer for an account, all night.
OUTAGES: dict[date, str] = {d("25-12-05"): L, d("26-09-14"): F}
#: Days on which the person behind the token of an account has a smaller role.
DEMOTED: dict[date, tuple[str, str]] = {d("26-01-19"): (L, "member"), d("26-08-24"): (F, "manager")}
#: Days on which the warehouse is put back as it was after the night of another day.
RESTORED: dict[date, date] = {d("26-01-20"): d("25-12-06"), d("26-10-14"): d("26-09-30")}
