"""The tables and models as sources of a dbt project: docs/dbt/sources.yml (`make docs`)."""

from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from harvest_pipeline.catalogue.columns import Column, Record
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.catalogue.reports import views_on
from harvest_pipeline.models import Model, models
from harvest_pipeline.settings.environment import project_folder
from harvest_pipeline.warehouse.exchange_rates import TABLE as EXCHANGE_RATES
from harvest_pipeline.warehouse.ledger import LEDGER
from harvest_pipeline.warehouse.rejected import REJECTED
from harvest_pipeline.warehouse.tables import LOADED_AT, NOTICED_AT, deleted_table, table_of

_HEADER = """\
# Every table and model of a Harvest account, as sources of a dbt project (dbt 1.10 or newer).
# Written by `make docs`; copy it into the project's models/ folder. Where they are is set by the
# variables harvest_schema and harvest_database (docs/bi-tools.md).
"""
#: Each night asks Harvest for everything that a model is computed from.
_FRESHNESS = {"warn_after": {"count": 36, "period": "hour"}}


def sources() -> str:
    """docs/dbt/sources.yml, as YAML."""
    source = {
        "name": "harvest",
        "description": "A Harvest account, as harvest_pipeline brings it into DuckDB.",
        "database": "{{ var('harvest_database', target.database) }}",
        "schema": "{{ var('harvest_schema', 'harvest') }}",
        "loader": "harvest_pipeline",
        "tables": [*_tables()],
    }
    written = {"version": 2, "sources": [source]}
    return _HEADER + yaml.safe_dump(written, sort_keys=False, allow_unicode=True, width=100)


def _tables() -> Iterator[dict[str, Any]]:
    yield from map(_model, models().values())
    for record in RECORDS.values():
        table = table_of(record)
        yield _table(table.name, table.description, table.columns, **_of_record(record))
        for report in views_on(record):
            yield _table(report.name, report.description, table.columns, **_of_record(record))
        # The other columns are those of the table above: they would double the file.
        deleted = deleted_table(record)
        yield _table(deleted.name, deleted.description, [NOTICED_AT], key=record.key)
    for table in (EXCHANGE_RATES, LEDGER, REJECTED):
        yield _table(table.name, table.description, table.columns)


def _model(model: Model) -> dict[str, Any]:
    config: dict[str, Any] = {
        "meta": {"group": model.group, "grain": [*model.grain], "reads": [*model.reads]}
    }
    if "as_of" in model.columns and model.name != "freshness":
        config |= {"loaded_at_field": "as_of", "freshness": _FRESHNESS}
    columns = [{"name": name, "description": text} for name, text in model.columns.items()]
    return {
        "name": model.name,
        "description": model.description,
        "config": config,
        "columns": columns,
    }


def _of_record(record: Record) -> dict[str, str]:
    about = {"key": record.key, "documentation": record.documentation}
    return {**about, "permission": record.permission}


def _table(name: str, description: str, columns: Iterable[Column], **meta: str) -> dict[str, Any]:
    config: dict[str, Any] = {"meta": meta} if meta else {}
    columns = [*columns]
    if LOADED_AT in columns:
        config["loaded_at_field"] = LOADED_AT.name
    return {
        "name": name,
        "description": description,
        **({"config": config} if config else {}),
        "columns": [
            {"name": each.name, "description": each.description, "data_type": each.type}
            for each in columns
        ],
    }


if __name__ == "__main__":
    (project_folder() / "docs" / "dbt" / "sources.yml").write_text(sources(), "utf-8")
