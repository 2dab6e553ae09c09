"""Databases for the tests of models: one that holds an account of the sandbox, and one with a few
rows that a test gives."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.models import models as all_models
from harvest_pipeline.sandbox.records import Records
from harvest_pipeline.scope import Window
from harvest_pipeline.warehouse import ledger, models, tables
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.exchange_rates import TABLE as EXCHANGE_RATES
from harvest_pipeline.warehouse.loading import load_together
from harvest_pipeline_tests.places import place_at
from harvest_pipeline_tests.sandbox.truth import truth
from harvest_pipeline_tests.warehouse.records import CONTEXT, SpoolFolder

#: The records that models read.
READ = (
    "clients", "expenses", "invoice_item_categories", "invoice_payments", "invoices", "projects",
    "roles", "task_assignments", "time_entries", "user_assignments", "users",
)  # fmt: skip
#: The invoice item category of expenses.
PRODUCT = {"id": 1, "name": "Product", "use_as_expense": True, "use_as_service": False}
_JSON = msgspec.json.Encoder(decimal_format="number")


class Answers:
    """A database with the views of all models."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection

    def add(self, table: str, *rows: dict[str, Any]) -> None:
        """Insert rows into a table; what a row does not give is empty."""
        for row in rows:
            columns = ", ".join(row)
            values = ", ".join("?" for _ in row)
            self.connection.execute(
                f"INSERT INTO {table} ({columns}) VALUES ({values})", list(row.values())
            )

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return self.connection.execute(sql, parameters).fetchall()

    def records(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        """The rows of a query, each by its columns."""
        cursor = self.connection.execute(sql, parameters)
        names = [each[0] for each in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def make_empty(path: Path, today: date) -> Path:
    """A database of a company in euros in which everything was last read on `today`, without any
    row; returns its path."""
    with opened(path) as answers:
        connection = answers.connection
        for record in RECORDS.values():
            if not record.inside:
                tables.prepare(connection, record)
        tables.prepare_tables(connection, ledger.LEDGER, EXCHANGE_RATES)
        models.create(connection, all_models(), "UTC")
        answers.add("company", {"account_id": 1, "currency": "EUR"})
        read_at = datetime.combine(today, time(12), UTC)
        for name in RECORDS:
            row = {"load_id": name, "record": name, "proof": "counted", "read_at": read_at}
            answers.add("_loads", row)
    return path


@contextmanager
def opened(path: Path) -> Iterator[Answers]:
    """The database in a file."""
    with duckdb.connect(path) as connection:
        yield Answers(connection)


@contextmanager
def of_account(records: Records, now: datetime, folder: Path) -> Iterator[Answers]:
    """A database that holds the records of an account, read at `now`."""
    warehouse = Warehouse(place_at(folder / "account.duckdb"), "harvest")
    everything = Window(date(2000, 1, 1), now.date())
    spools = [
        replace(
            SpoolFolder(folder).write(
                kind,
                everything if RECORDS[kind].day else None,
                [_JSON.encode(row).decode() for row in _sent(records, kind)],
            ),
            read_at=now,
        )
        for kind in READ
    ]
    load_together(warehouse, spools, folder, CONTEXT)
    with warehouse.connect() as connection:
        tables.prepare(connection, RECORDS["company"])
        answers = Answers(connection)
        company = records.company
        answers.add(
            "company",
            {
                "account_id": 1,
                "currency": company.currency,
                "week_start_day": company.week_start_day,
            },
        )
        models.create(connection, all_models(), "UTC")
        yield answers


def _sent(records: Records, kind: str) -> list[dict[str, Any]]:
    """The records of a kind as they stand in a spool: payments with what their invoice gives."""
    rows = truth(records, kind)
    if kind != "invoice_payments":
        return rows
    invoices = {invoice.id: invoice for invoice in records.invoices}
    return [
        {
            **row,
            "invoice_issue_date": invoices[row["invoice_id"]].issue_date,
            "invoice_currency": invoices[row["invoice_id"]].currency,
        }
        for row in rows
    ]


def rounded(amount: Decimal, currency: str) -> Decimal:
    """Money, rounded half up to the digits of these tests' currencies."""
    unit = {"JPY": Decimal(1), "KWD": Decimal("0.001")}.get(currency, Decimal("0.01"))
    return amount.quantize(unit, "ROUND_HALF_UP")


def project(id: int = 1, **fields: Any) -> dict[str, Any]:
    """A project billed by the hour, of a client in euros, without a budget."""
    return {
        "id": id,
        "name": f"Project {id}",
        "client_id": 7,
        "client_name": "Aster Foods",
        "client_currency": "EUR",
        "is_active": True,
        "is_billable": True,
        "is_fixed_fee": False,
        "budget_by": "none",
        "budget_is_monthly": False,
        "cost_budget_include_expenses": False,
        **fields,
    }


def entry(id: int, day: date, hours: Any, **fields: Any) -> dict[str, Any]:
    """A billable time entry that counts towards the budget: 100 an hour, at a cost of 40."""
    return {
        "id": id,
        "spent_date": day,
        "hours": hours,
        "rounded_hours": hours,
        "billable": True,
        "budgeted": True,
        "is_billed": False,
        "billable_rate": 100,
        "cost_rate": 40,
        "user_id": 5,
        "task_id": 3,
        "project_id": 1,
        "client_id": 7,
        "client_currency": "EUR",
        **fields,
    }


def expense(id: int, day: date, cost: Any, **fields: Any) -> dict[str, Any]:
    """A billable expense."""
    return {
        "id": id,
        "spent_date": day,
        "total_cost": cost,
        "billable": True,
        "is_billed": False,
        "project_id": 1,
        "client_id": 7,
        "client_currency": "EUR",
        **fields,
    }


def invoice(id: int, amount: Any, **fields: Any) -> dict[str, Any]:
    """An open invoice of October 2026, due in the middle of November."""
    return {
        "id": id,
        "number": str(id),
        "amount": amount,
        "due_amount": amount,
        "state": "open",
        "issue_date": date(2026, 10, 16),
        "due_date": date(2026, 11, 15),
        "client_id": 7,
        "client_name": "Aster Foods",
        "currency": "EUR",
        **fields,
    }


def line(id: int, invoice_id: int, amount: Any, **fields: Any) -> dict[str, Any]:
    """A line of an invoice that bills time of the project 1."""
    return {
        "id": id,
        "invoice_id": invoice_id,
        "kind": "Service",
        "amount": amount,
        "project_id": 1,
        **fields,
    }


def payment(id: int, invoice_id: int, amount: Any, day: date) -> dict[str, Any]:
    """A payment of an invoice."""
    return {"id": id, "invoice_id": invoice_id, "amount": amount, "paid_date": day}
