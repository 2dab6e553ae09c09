"""The assets of the models, and of the exchange rates that models may join.

A model is a view, so it is always current; materializing it creates it as the code now says, and
tells its rows, and whether its grain is unique. That needs no request to Harvest.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.models import Model, file_of
from harvest_pipeline.orchestration.checks import evaluation
from harvest_pipeline.orchestration.metadata import CURRENT, CURRENT_TAGS, markdown
from harvest_pipeline.orchestration.narrow import assets_of
from harvest_pipeline.orchestration.steps import Retries, explained
from harvest_pipeline.settings import Account
from harvest_pipeline.warehouse import exchange_rates
from harvest_pipeline.warehouse.database import Warehouse, warehouse_of
from harvest_pipeline.warehouse.lineage import origins
from harvest_pipeline.warehouse.models import Described, create, describe, version
from harvest_pipeline.warehouse.tables import Table

_GRAIN = "grain_is_unique"
#: For the models of this group, whose rows are what is wrong.
_EMPTY = "nothing_differs"
_DIFFERENCES = "checks"


def model_keys(account: Account) -> list[dg.AssetKey]:
    """The keys of the account's models, and of the exchange rates if there are models."""
    return [_key(account, each) for each in (*account.models, exchange_rates.TABLE)]


def _key(account: Account, shown: Model | Table) -> dg.AssetKey:
    return dg.AssetKey([account.name, shown.name])


def models_step(schema: str) -> str:
    """The name of the step that creates the models of an account: all of a run in one, since a step
    takes longer than a view."""
    return f"models_of_{schema}"


def model_assets(account: Account, io_manager_key: str) -> dg.AssetsDefinition:
    """The models of an account as assets `<schema>/<model>`, and `<schema>/exchange_rates`."""
    origin = _assets(account)

    def create_views(
        context: dg.AssetExecutionContext, inputs: Mapping[str, object]
    ) -> Iterator[dg.MaterializeResult[Any]]:
        warehouse = warehouse_of(account, context.log.info)
        chosen = [
            each for each in account.models if _key(account, each) in context.selected_asset_keys
        ]
        of_rates = _key(account, exchange_rates.TABLE)
        with explained(Retries.of(None)):
            with warehouse.transaction() as connection:
                if of_rates in context.selected_asset_keys:
                    rates = exchange_rates.fill(connection, account.project.exchange_rates)
                    yield dg.MaterializeResult(
                        asset_key=of_rates, metadata=_rates(rates), data_version=CURRENT
                    )
                create(connection, [each.name for each in chosen], account.project.timezone)
            described = _described(warehouse, chosen)
        for model, found in described:
            selected = [each.name for each in context.selected_asset_check_keys]
            results = [
                each for each in _results(model, account, found) if each.check_name in selected
            ]
            yield dg.MaterializeResult(
                asset_key=_key(account, model),
                metadata=_metadata(model, account, found),
                check_results=results,
                data_version=CURRENT,
            )

    return assets_of(
        models_step(account.name),
        create_views,
        [
            _exchange_rates_spec(account),
            *(_spec(model, account, origin) for model in account.models),
        ],
        [spec for model in account.models for spec in _check_specs(model, account)],
        # Another asset can read a view as a DataFrame.
        io_manager_key=io_manager_key,
        can_subset=True,
    )


def model_events(
    account: Account, warehouse: Warehouse
) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    """Fill the exchange rates and create the models of the account whose SQL has changed, in one
    transaction; then the events of these and of the checks, for an op. Raises WarehouseError."""
    with warehouse.transaction() as connection:
        rates = exchange_rates.fill(connection, account.project.exchange_rates)
        names = [model.name for model in account.models]
        made = create(connection, names, account.project.timezone)
    if made or account.project.exchange_rates:
        key = _key(account, exchange_rates.TABLE)
        yield dg.AssetMaterialization(key, metadata=_rates(rates), tags=CURRENT_TAGS)
    # A view is current by itself; those whose rows say what is wrong are looked at every night.
    shown = [each for each in account.models if each in made or each.group == _DIFFERENCES]
    for model, found in _described(warehouse, shown):
        key = _key(account, model)
        metadata = _metadata(model, account, found)
        yield dg.AssetMaterialization(key, metadata=metadata, tags=CURRENT_TAGS)
        for result in _results(model, account, found):
            yield evaluation(key, result)


def _described(warehouse: Warehouse, models: Sequence[Model]) -> list[tuple[Model, Described]]:
    with warehouse.reader() as connection:  # others can read while the views are computed
        return [(model, describe(connection, model)) for model in models]


def _spec(model: Model, account: Account, origin: Mapping[str, list[dg.AssetKey]]) -> dg.AssetSpec:
    return dg.AssetSpec(
        _key(account, model),
        description=model.description,
        group_name=account.group(model.group),
        owners=account.project.owners,
        kinds={"duckdb", "view"},
        metadata={
            "dagster/table_name": f"{account.name}.{model.name}",
            "grain": ", ".join(model.grain),
            "dagster/code_references": dg.CodeReferencesMetadataValue(
                code_references=[dg.LocalFileCodeReference(file_path=str(file_of(model.name)))]
            ),
        },
        code_version=version(model.name, account.project.timezone),
        deps=[key for name in model.reads for key in origin.get(name, ())],
    )


def _exchange_rates_spec(account: Account) -> dg.AssetSpec:
    return dg.AssetSpec(
        _key(account, exchange_rates.TABLE),
        description=exchange_rates.TABLE.description,
        group_name=account.group("answers"),
        owners=account.project.owners,
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
    )


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


def _check_specs(model: Model, account: Account) -> list[dg.AssetCheckSpec]:
    descriptions = {_GRAIN: f"No two rows have the same {', '.join(model.grain)}."}
    if model.group == _DIFFERENCES:
        descriptions[_EMPTY] = "There are no rows: each would be a difference."
    return [
        dg.AssetCheckSpec(name, asset=_key(account, model), description=description)
        for name, description in descriptions.items()
    ]


def _results(model: Model, account: Account, found: Described) -> list[dg.AssetCheckResult]:
    results = [
        dg.AssetCheckResult(
            asset_key=_key(account, model),
            check_name=_GRAIN,
            passed=not found.duplicates,
            severity=dg.AssetCheckSeverity.ERROR,
            metadata={"duplicated": found.duplicates} if found.duplicates else {},
        )
    ]
    if model.group == _DIFFERENCES:
        results.append(
            dg.AssetCheckResult(
                asset_key=_key(account, model),
                check_name=_EMPTY,
                passed=not found.rows,
                # It may be an entry that somebody changed while the two were read.
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"differences": found.rows} if found.rows else {},
            )
        )
    return results
