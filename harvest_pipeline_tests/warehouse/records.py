"""Records as Harvest sends them, and the spools that hold them.

The shapes are those of /v2 answers: time entries with all embedded objects, invoices with lines.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb

from harvest_pipeline.scope import Proof, Reader, Scope, Spool, Window
from harvest_pipeline.warehouse import ledger
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.ledger import LoadContext

#: The person behind the loads of tests that ask Harvest for nobody.
ADMINISTRATOR = Reader("administrator", 1, "Ada Okafor")
JANUARY = Window(date(2026, 1, 1), date(2026, 1, 31))
FIRST, SECOND, THIRD = date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 3)
CONTEXT = LoadContext(run_id="run-1", report="daily", account_id=1204417, reader=ADMINISTRATOR)

Json = dict[str, Any]


def on(first: date, last: date | None = None) -> Window:
    """The window of one day, or of some."""
    return Window(first, last or first)


def time_entry(id: int, day: date = FIRST, **fields: Any) -> Json:
    """A time entry with every field of the reference."""
    created = {"created_at": "2025-01-20T09:15:02Z", "updated_at": "2025-01-20T09:15:02Z"}
    return {
        "id": id,
        "spent_date": day.isoformat(),
        "hours": 3.5,
        "hours_without_timer": 3.5,
        "rounded_hours": 3.5,
        "notes": "Checkout form\r\n\u2014 na\u00efve caf\u00e9 \U0001f600",
        "is_locked": False,
        "locked_reason": None,
        "is_closed": False,
        "approval_status": "approved",
        "is_billed": False,
        "timer_started_at": None,
        "started_time": "9:00am",
        "ended_time": "12:30pm",
        "is_running": False,
        "billable": True,
        "budgeted": True,
        "billable_rate": 120.0,
        "cost_rate": 60.0,
        "created_at": "2026-01-12T16:31:02Z",
        "updated_at": "2026-01-12T23:59:59Z",
        "user": {"id": 4810023, "name": "Chi Tanaka"},
        "client": {"id": 13700101, "name": "Aster Foods", "currency": "USD"},
        "project": {"id": 38800301, "name": "Website Relaunch", "code": "AST-WEB"},
        "task": {"id": 20900402, "name": "Development"},
        "user_assignment": {
            "id": 391000603,
            "is_project_manager": False,
            "is_active": True,
            "use_default_rates": True,
            "budget": None,
            **created,
            "hourly_rate": 120.0,
        },
        "task_assignment": {
            "id": 412000502,
            "billable": True,
            "is_active": True,
            **created,
            "hourly_rate": None,
            "budget": None,
        },
        "invoice": None,
        "external_reference": None,
        **fields,
    }


def line_item(id: int, **fields: Any) -> Json:
    """A line of an invoice."""
    return {
        "id": id,
        "kind": "Service",
        "description": "",
        "quantity": 12.5,
        "unit_price": 120.0,
        "amount": 1500.0,
        "taxed": True,
        "taxed2": False,
        "project": {"id": 38800301, "name": "Website Relaunch", "code": "AST-WEB"},
        **fields,
    }


def invoice(id: int, day: date = FIRST, lines: Iterable[Json] = (), **fields: Any) -> Json:
    """An invoice with every field of the reference."""
    return {
        "id": id,
        "client_key": "9be2f41c07d85a3366ee10b7c4d2a95f8e01c6b7",
        "number": str(id),
        "purchase_order": "",
        "amount": 1500.0,
        "due_amount": 1500.0,
        "tax": None,
        "tax_amount": 0.0,
        "tax2": None,
        "tax2_amount": 0.0,
        "discount": None,
        "discount_amount": 0.0,
        "subject": "March",
        "notes": None,
        "state": "open",
        "period_start": None,
        "period_end": None,
        "issue_date": day.isoformat(),
        "due_date": day.isoformat(),
        "payment_term": "net 30",
        "sent_at": "2026-01-12T15:20:11Z",
        "paid_at": None,
        "closed_at": None,
        "recurring_invoice_id": None,
        "created_at": "2026-01-12T15:12:08Z",
        "updated_at": "2026-01-12T15:20:11Z",
        "paid_date": None,
        "currency": "EUR",
        "payment_options": ["ach", "credit_card"],
        "client": {"id": 13700101, "name": "Aster Foods"},
        "estimate": None,
        "retainer": None,
        "creator": {"id": 4810021, "name": "Ada Okafor"},
        "line_items": list(lines),
        **fields,
    }


def payment(id: int, of: Json, **fields: Any) -> Json:
    """A payment as its line stands in a spool: what comes from the invoice first."""
    return {
        "invoice_id": of["id"],
        "invoice_issue_date": of["issue_date"],
        "invoice_currency": of["currency"],
        "id": id,
        "amount": 672.0,
        "paid_at": "2026-01-15T00:00:00Z",
        "recorded_by": "Ada Okafor",
        "recorded_by_email": "ada.okafor@northlight.example",
        "notes": "",
        "transaction_id": None,
        "created_at": "2026-01-15T08:31:55Z",
        "updated_at": "2026-01-15T08:31:55Z",
        "paid_date": "2026-01-15",
        "payment_gateway": {"id": None, "name": None},
        **fields,
    }


def client(id: int, **fields: Any) -> Json:
    """A client: a record without a day."""
    return {
        "id": id,
        "name": "Aster Foods",
        "is_active": True,
        "address": "12 Orchard Lane\r\nBurlington",
        "statement_key": "5c1f0b7e2a94d36885e0c7721ab94f3d",
        "created_at": "2025-01-14T10:02:41Z",
        "updated_at": "2025-04-01T15:12:09Z",
        "currency": "USD",
        **fields,
    }


@dataclass(frozen=True)
class SpoolFolder:
    """Writes spools into a folder."""

    folder: Path

    def write(
        self,
        record: str,
        window: Window | None,
        rows: Iterable[Json | str],
        proof: Proof = Proof.TOTAL_ENTRIES,
    ) -> Spool:
        """A spool of these records; text is written as it stands."""
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        path = self.folder / f"{record}-{uuid4()}.ndjson"
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return Spool(
            scope=Scope(record, window),
            path=path,
            rows=len(lines),
            requests=1,
            seconds=0.25,
            proof=proof,
            total_entries=len(lines),
            read_at=datetime.now(UTC),
        )

    def time_entries(self, window: Window, rows: Iterable[Json | str]) -> Spool:
        """A spool of time entries."""
        return self.write("time_entries", window, rows)


def select(warehouse: Warehouse, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    with warehouse.reader() as connection:
        return connection.execute(sql).fetchall()


def dump(warehouse: Warehouse) -> dict[str, list[tuple[Any, ...]]]:
    """Every table and view of the schema that holds records, without the times of loading."""
    with warehouse.reader() as connection:
        names = connection.execute(
            "SELECT table_name FROM information_schema.tables"
            " WHERE table_schema = current_schema() AND table_name NOT IN ('_loads', '_rejected')"
            f" AND NOT list_contains({[each.name for each in ledger.MEANINGS]}, table_name)"
        ).fetchall()
        return {name: _rows(connection, name) for (name,) in names}


def _rows(connection: duckdb.DuckDBPyConnection, table: str) -> list[tuple[Any, ...]]:
    return connection.execute(f"SELECT * EXCLUDE (_loaded_at) FROM {table} ORDER BY ALL").fetchall()
