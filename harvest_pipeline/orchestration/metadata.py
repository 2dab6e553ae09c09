"""The metadata of assets and of their materializations, for the Dagster UI."""

import re
from collections.abc import Sequence
from typing import Any

import dagster as dg
from tabulate import tabulate

from harvest_pipeline.catalogue.columns import Column
from harvest_pipeline.harvest.account import Identity
from harvest_pipeline.orchestration.io_manager import LoadResult
from harvest_pipeline.safety import one_line
from harvest_pipeline.settings.datasets import Dataset
from harvest_pipeline.settings.resolve import Resolved


def definition_metadata(dataset: Dataset, schema: str) -> dict[str, Any]:
    """The metadata of a dataset before any load: columns, table, documentation."""
    record = dataset.record
    metadata: dict[str, Any] = {
        "dagster/column_schema": dg.TableSchema([_table_column(each) for each in record.columns]),
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
    result: LoadResult, identity: Identity, ask: Resolved
) -> dict[str, Any]:
    """The figures of one day, or of a table without days, and which part of it was read.

    `requests` and `seconds` are those of the loads that brought it, so in a range of days they are
    the same for all days of a load; 0 if another report of the run had read it already.
    """
    rows_key = "dagster/row_count" if result.day is None else "dagster/partition_row_count"
    totals = {
        "hours" if unit == "hours" else f"amount_{unit}": float(total)
        for unit, total in sorted(result.statistics.totals.items())
    }
    preview = result.statistics.preview
    return {
        rows_key: result.statistics.rows,
        "rows": result.statistics.rows,
        **totals,
        "requests": sum(load.requests for load in result.loads),
        "seconds": round(sum(load.seconds for load in result.loads), 3),
        **({} if preview is None else {"preview": dg.MetadataValue.md(markdown(preview))}),
        "account": identity.account_id,
        "role": identity.role,
        **({"only": str(ask.scope.filters)} if ask.scope.filters else {}),
        **({"ignored_parameters": ", ".join(ask.ignored)} if ask.ignored else {}),
    }


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as a Markdown table; values are escaped so that they stay in their cell."""
    if not rows:
        return "no rows"
    cells = [{name: _cell(value) for name, value in row.items()} for row in rows]
    return tabulate(cells, headers="keys", tablefmt="pipe", disable_numparse=True)


def _cell(value: object) -> str:
    """A value as text of a Markdown cell: a note may contain a link, or a tracking image."""
    text = one_line("" if value is None else str(value), 60)
    return re.sub(r"([\\`*_\[\]()!|<>#~&:])", r"\\\1", text)


def _table_column(column: Column) -> dg.TableColumn:
    return dg.TableColumn(
        column.name,
        column.type,
        column.description,
        dg.TableColumnConstraints(nullable=column.nullable, unique=column.name == "id"),
    )
