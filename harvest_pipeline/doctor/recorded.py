"""The section on what Dagster shows as loaded: whether the database still has it.

Belongs here: the findings. Does not belong here: the comparison (recorded.py of the package).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import dagster as dg
import duckdb

from harvest_pipeline.doctor.account import AccountCheck
from harvest_pipeline.doctor.findings import Finding, Section, ok, section, wrong
from harvest_pipeline.recorded import Recorded
from harvest_pipeline.settings import Settings
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.errors import WarehouseError

_SHOWN = 5


def recorded_sections(home: Path, accounts: Sequence[AccountCheck]) -> Iterator[Section]:
    """A section for each account; changes neither the instance of `home` nor the database."""
    for account in accounts:
        settings = account.settings

        def loads(settings: Settings = settings) -> Iterator[Finding]:
            yield from _findings(home, settings)

        yield section("what Dagster has recorded", loads, account=settings.schema)


def _findings(home: Path, settings: Settings) -> Iterator[Finding]:
    warehouse = Warehouse(settings.duckdb, settings.schema, wait_seconds=0, log=_silently)
    try:
        instance = dg.DagsterInstance.from_config(str(home))
    except Exception:  # for a mistake in dagster.yaml: errors of many kinds
        return  # the section on Dagster says so
    try:
        with instance, warehouse.reader() as connection:
            lost = list(_lost(settings, instance, connection))
    except WarehouseError:
        return  # the section on the warehouse says so
    yield from lost or [ok("loads", "the database holds every load that Dagster has recorded")]


def _silently(line: str) -> None:
    """For the line that tells of waiting: we do not wait."""


def _lost(
    settings: Settings, instance: dg.DagsterInstance, connection: duckdb.DuckDBPyConnection
) -> Iterator[Finding]:
    for dataset in settings.datasets:
        key = dg.AssetKey([settings.schema, dataset.name])
        loss = Recorded.until_now(instance, key, connection).loss(connection)
        if loss is None:
            continue
        days = loss.stretches
        more = f" and {len(days) - _SHOWN} more stretches" if len(days) > _SHOWN else ""
        what = f"{', '.join(days[:_SHOWN])}{more}" if days else "its last load"
        yield wrong(
            dataset.name,
            f"Dagster shows as loaded what the database does not hold: {what}.",
            "Materialize it again, or restore a backup that has it (`harvest-pipeline restore`).",
        )
