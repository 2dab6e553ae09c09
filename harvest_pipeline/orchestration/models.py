"""The assets of the models, and of the exchange rates that models may join.

A model is a view, so it is always current; materializing it creates it as the code now says, and
tells its rows, and whether its grain is unique. That needs no request to Harvest.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.models import Model
from harvest_pipeline.orchestration.checks import evaluation
from harvest_pipeline.orchestration.metadata import markdown
from harvest_pipeline.orchestration.steps import Retries, explained
from harvest_pipeline.settings import Account
from harvest_pipeline.warehouse import exchange_rates
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.lineage import origins
from harvest_pipeline.warehouse.models import Described, create, describe

_GRAIN = "grain_is_unique"
#: For the models of this group, whose rows are what is wrong.
_EMPTY = "nothing_differs"
_DIFFERENCES = "checks"


def model_keys(account: Account) -> list[dg.AssetKey]:
    """The keys of the account's models, and of the exchange rates if there are models."""
    names = [model.name for model in account.models]
    return [dg.AssetKey([account.name, each]) for each in (*names, exchange_rates.TABLE.name)]


def model_assets(account: Account, io_manager_key: str) -> list[dg.AssetsDefinition]:
    """The models of an account as assets `<schema>/<model>`, and `<schema>/exchange_rates`."""
    return [
        *(_model_asset(model, account, io_manager_key) for model in account.models),
        _exchange_rates_asset(account, io_manager_key),
    ]


def model_events(
    account: Account, warehouse: Warehouse
) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    """Fill the exchange rates and create the models of the account whose SQL has changed, in one
    transaction; then the events of these and of the checks, for an op. Raises WarehouseError."""
    with warehouse.transaction() as connection:
        rates = exchange_rates.fill(connection, account.project.exchange_rates)
        names = [model.name for model in account.models]
        made = create(connection, names, account.project.timezone)
    # A view is current by itself; those whose rows say what is wrong are looked at every night.
    shown = [each for each in account.models if each in made or each.group == _DIFFERENCES]
    with warehouse.reader() as connection:  # others can read while the views are computed
        described = [(model, describe(connection, model)) for model in shown]
    if made or account.project.exchange_rates:
        yield dg.AssetMaterialization(
            dg.AssetKey([account.name, exchange_rates.TABLE.name]), metadata=_rates(rates)
        )
    for model, found in described:
        key = dg.AssetKey([account.name, model.name])
        yield dg.AssetMaterialization(key, metadata=_metadata(model, account, found))
        for result in _results(model, key, found):
            yield evaluation(key, result)


def _model_asset(model: Model, account: Account, io_manager_key: str) -> dg.AssetsDefinition:
    key = dg.AssetKey([account.name, model.name])
    origin = _assets(account)

    @dg.asset(
        key=key,
        description=model.description,
        group_name=model.group,
        kinds={"duckdb", "view"},
        metadata={
            "dagster/table_name": f"{account.name}.{model.name}",
            "grain": ", ".join(model.grain),
        },
        deps=[key for name in model.reads for key in origin.get(name, ())],
        check_specs=_check_specs(model, key),
        backfill_policy=dg.BackfillPolicy.single_run(),
        # Another asset can read the view as a DataFrame.
        io_manager_key=io_manager_key,
    )
    def create_view(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        warehouse = Warehouse(account.project.duckdb, account.name, log=context.log.info)
        with explained(Retries.of(None)):
            with warehouse.transaction() as connection:
                create(connection, [model.name], account.project.timezone)
            with warehouse.reader() as connection:  # others can read while the view is computed
                found = describe(connection, model)
        yield dg.MaterializeResult(
            metadata=_metadata(model, account, found),
            check_results=_results(model, key, found),
        )

    return create_view


def _exchange_rates_asset(account: Account, io_manager_key: str) -> dg.AssetsDefinition:
    @dg.asset(
        key=dg.AssetKey([account.name, exchange_rates.TABLE.name]),
        description=exchange_rates.TABLE.description,
        group_name="answers",
        kinds={"duckdb", "table"},
        metadata={
            "dagster/table_name": f"{account.name}.{exchange_rates.TABLE.name}",
            "dagster/column_schema": dg.TableSchema(
                [
                    dg.TableColumn(each.name, each.type, each.description)
                    for each in exchange_rates.TABLE.columns
                ]
            ),
        },
        backfill_policy=dg.BackfillPolicy.single_run(),
        io_manager_key=io_manager_key,
    )
    def fill_rates(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        warehouse = Warehouse(account.project.duckdb, account.name, log=context.log.info)
        with explained(Retries.of(None)), warehouse.transaction() as connection:
            rows = exchange_rates.fill(connection, account.project.exchange_rates)
        yield dg.MaterializeResult(metadata=_rates(rows))

    return fill_rates


def _assets(account: Account) -> dict[str, list[dg.AssetKey]]:
    """The assets that show each table and model: of a record the report of its name, where there is
    none the reports on it, and for a list inside a record those of that record."""
    shown: dict[str, list[str]] = {each.name: [each.name] for each in account.models}
    shown[exchange_rates.TABLE.name] = [exchange_rates.TABLE.name]
    for record in RECORDS.values():
        there = [
            each.name
            for each in account.datasets
            if each.is_report and each.record.name in (record.name, record.inside)
        ]
        own = record.inside or record.name
        shown[record.name] = [own] if own in there else there
    return {name: [dg.AssetKey([account.name, each]) for each in s] for name, s in shown.items()}


def _rates(rows: int) -> dict[str, Any]:
    return {"dagster/row_count": rows, "rows": rows}


def _metadata(model: Model, account: Account, found: Described) -> dict[str, Any]:
    schema = [
        dg.TableColumn(
            name,
            found.types[name],
            description,
            dg.TableColumnConstraints(unique=model.grain == (name,)),
        )
        for name, description in model.columns.items()
    ]
    metadata: dict[str, Any] = {
        "dagster/row_count": found.rows,
        "rows": found.rows,
        "dagster/table_name": f"{account.name}.{model.name}",
        "dagster/column_schema": dg.TableSchema(schema),
        "dagster/column_lineage": _lineage(model, _assets(account)),
        "preview": dg.MetadataValue.md(markdown(found.preview)),
    }
    if found.as_of:
        metadata["as_of"] = dg.MetadataValue.timestamp(found.as_of)
    return metadata


def _lineage(model: Model, assets: Mapping[str, list[dg.AssetKey]]) -> dg.TableColumnLineage:
    deps: dict[str, list[dg.TableColumnDep]] = {}
    for column, found in origins(model.name).items():
        deps[column] = [
            dg.TableColumnDep(key, _column(table, name))
            for table, name in found
            for key in assets.get(table, ())
        ]
    return dg.TableColumnLineage(deps)


def _column(table: str, name: str) -> str:
    """A column of a list inside a record is none of the asset that shows the record."""
    inside = table in RECORDS and RECORDS[table].inside
    return f"{table}.{name}" if inside else name


def _check_specs(model: Model, key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    descriptions = {_GRAIN: f"No two rows have the same {', '.join(model.grain)}."}
    if model.group == _DIFFERENCES:
        descriptions[_EMPTY] = "There are no rows: each would be a difference."
    return [
        dg.AssetCheckSpec(name, asset=key, description=description)
        for name, description in descriptions.items()
    ]


def _results(model: Model, key: dg.AssetKey, found: Described) -> list[dg.AssetCheckResult]:
    results = [
        dg.AssetCheckResult(
            asset_key=key,
            check_name=_GRAIN,
            passed=not found.duplicates,
            severity=dg.AssetCheckSeverity.ERROR,
            metadata={"duplicated": found.duplicates} if found.duplicates else {},
        )
    ]
    if model.group == _DIFFERENCES:
        results.append(
            dg.AssetCheckResult(
                asset_key=key,
                check_name=_EMPTY,
                passed=not found.rows,
                # It may be an entry that somebody changed while the two were read.
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"differences": found.rows} if found.rows else {},
            )
        )
    return results
