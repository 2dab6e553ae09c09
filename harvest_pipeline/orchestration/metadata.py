"""The metadata of assets and of their materializations, for the Dagster UI."""

import re
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from hashlib import sha256
from typing import Any

import dagster as dg
from tabulate import tabulate

from harvest_pipeline.catalogue.columns import Column
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.safety.text import one_line, unlinked
from harvest_pipeline.settings.datasets import Dataset
from harvest_pipeline.settings.resolve import Resolved
from harvest_pipeline.warehouse.ledger import Load, LoadContext
from harvest_pipeline.warehouse.statistics import Statistics

#: The data version of every table and view, whatever is in it. A model is a view, so nothing has to
#: be computed again because rows changed; Dagster would call it unsynced after every load.
CURRENT = dg.DataVersion("current")
#: The same for an op, which reports assets that it does not return.
CURRENT_TAGS = {"dagster/data_version": CURRENT.value}


#: For what each night materializes: red when a night was missed. A report is materialized only if
#: something changed, so an older one is no sign of anything.
EVERY_NIGHT = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36))


def code_version(dataset: Dataset) -> str:
    """Changes with what a read brings into the table: its columns, and the dataset's parameters.
    Dagster marks what was loaded by another one."""
    columns = [(each.name, each.type, each.path) for each in dataset.record.columns]
    asked = {name: getattr(dataset.options, name) for name in dataset.options.given}
    return sha256(repr((columns, asked, str(dataset.update))).encode()).hexdigest()[:16]


def definition_metadata(dataset: Dataset, schema: str) -> dict[str, Any]:
    """The metadata of a dataset before any load: columns, table, documentation."""
    record = dataset.record
    metadata: dict[str, Any] = {
        "dagster/column_schema": _schema(record.name),
        "dagster/table_name": f"{schema}.{dataset.name}",
        "documentation": dg.MetadataValue.url(record.documentation),
        "who_may_read_it": record.permission,
        "parameters": dataset.parameters_in_a_run,
    }
    if dataset.has_partitions:
        # The IO manager compares it with a partition when another asset reads this one.
        metadata["partition_expr"] = record.day
    return metadata


def materialization_metadata(
    day: date | None,
    figures: Statistics,
    loads: Sequence[Load],
    context: LoadContext,
    ask: Resolved,
) -> dict[str, Any]:
    """The figures of one day, or of a table without days (None), and which part of it was read in
    which `loads`, those of parent records included; none if another report of the run had read it
    already."""
    seconds = sum(load.seconds for load in loads)
    return {
        **figures_metadata(
            day, figures, f"{_requests(sum(load.requests for load in loads))}, {seconds:.1f} s"
        ),
        "account": str(context.account_id),
        "role": context.reader.role,
        **({"only": str(ask.scope.filters)} if ask.scope.filters else {}),
        **({"ignored_parameters": ", ".join(ask.ignored)} if ask.ignored else {}),
    }


def reconciled_metadata(
    day: date | None, figures: Statistics, requests: int, deleted: int
) -> dict[str, Any]:
    """The same for what a run of `<account>_changes` or `<account>_reconcile` has touched."""
    return figures_metadata(day, figures, f"{_requests(requests)}; {deleted} deleted")


def figures_metadata(day: date | None, figures: Statistics, read: str) -> dict[str, Any]:
    """Rows and sums as numbers, which the UI plots by day. The newest day of several also has the
    newest rows, the figures of the whole table, and how it was `read`."""
    rows_key = "dagster/row_count" if day is None else "dagster/partition_row_count"
    metadata: dict[str, Any] = {rows_key: figures.rows, "rows": figures.rows}
    for unit, total in sorted(figures.totals.items()):
        metadata["hours" if unit == "hours" else f"amount_{unit}"] = float(total)
    if figures.whole is not None:
        totals = (f"{total:,.2f} {unit}" for unit, total in sorted(figures.whole.totals.items()))
        metadata["table"] = ", ".join([f"{figures.whole.rows:,} rows", *totals])
    if figures.preview is not None:
        metadata["preview"] = dg.MetadataValue.md(markdown(figures.preview))
        metadata["read"] = read
    return metadata


def _requests(number: int) -> str:
    return f"{number} request{'' if number == 1 else 's'}"


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as a Markdown table; values are escaped so that they stay in their cell."""
    if not rows:
        return "no rows"
    cells = [{name: _cell(value) for name, value in row.items()} for row in rows]
    return tabulate(cells, headers="keys", tablefmt="pipe", disable_numparse=True)


def _cell(value: object) -> str:
    """A value as text of a Markdown cell: a note may contain a link, or a tracking image."""
    if isinstance(value, Decimal):  # of 18 decimals most are zeros
        value = f"{value.normalize():f}"
    text = unlinked(one_line("" if value is None else str(value), 60))
    return re.sub(r"([\\`*_\[\]()!|<>#~&:])", r"\\\1", text)


@cache  # one object for all accounts
def _schema(record: str) -> dg.TableSchema:
    return dg.TableSchema([_table_column(each) for each in RECORDS[record].columns])


def _table_column(column: Column) -> dg.TableColumn:
    return dg.TableColumn(
        column.name,
        column.type,
        column.description,
        dg.TableColumnConstraints(nullable=column.nullable, unique=column.name == "id"),
    )
