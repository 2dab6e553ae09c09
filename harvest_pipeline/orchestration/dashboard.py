"""The asset `<schema>/dashboard`: one HTML file with charts and tables of the models."""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from harvest_pipeline.dashboard.figures import PARTS
from harvest_pipeline.dashboard.file import Dashboard, parts_of, path_of, write
from harvest_pipeline.orchestration.metadata import EVERY_NIGHT
from harvest_pipeline.orchestration.steps import Retries, explained
from harvest_pipeline.settings import Account
from harvest_pipeline.warehouse.database import Warehouse, warehouse_of


def dashboard_key(account: Account) -> dg.AssetKey:
    """The key of the asset of an account."""
    return dg.AssetKey([account.name, "dashboard"])


def dashboard_assets(accounts: Sequence[Account]) -> list[dg.AssetsDefinition]:
    """The asset of each account that has any of the models that it shows."""
    return [_asset(account) for account in accounts if parts_of(account)]


def dashboard_events(account: Account, warehouse: Warehouse) -> Iterator[dg.AssetMaterialization]:
    """Write the dashboard; its materialization, for an op. Raises WarehouseError."""
    if parts_of(account):
        metadata = _metadata(write(account, warehouse))
        yield dg.AssetMaterialization(dashboard_key(account), metadata=metadata)


def _asset(account: Account) -> dg.AssetsDefinition:
    shown = {name for part in parts_of(account) for name in PARTS[part].models}

    @dg.asset(
        key=dashboard_key(account),
        description="Who works on what, what is to be invoiced, who owes how much, which budgets "
        "run out: charts and tables of the models, in one HTML file that needs no network. The "
        f"job {account.name}_reconcile writes it every night, and `harvest-pipeline dashboard` "
        "opens it.",
        group_name=account.group("answers"),
        owners=account.project.owners,
        kinds={"dashboard"},
        metadata={"file": dg.PathMetadataValue(str(path_of(account)))},
        deps=[dg.AssetKey([account.name, name]) for name in sorted(shown)],
        backfill_policy=dg.BackfillPolicy.single_run(),
        freshness_policy=EVERY_NIGHT,
    )
    def write_dashboard(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        warehouse = warehouse_of(account, context.log.info)
        with explained(Retries.of(None)):
            return dg.MaterializeResult(metadata=_metadata(write(account, warehouse)))

    return write_dashboard


def _metadata(dashboard: Dashboard) -> dict[str, Any]:
    images = {
        title: dg.MetadataValue.md(f"![{title}](data:image/svg+xml;base64,{_base64(image)})")
        for title, image in dashboard.images().items()
    }
    return {
        "file": dg.PathMetadataValue(str(dashboard.path)),
        "compared": dashboard.compared.text,
        **images,
    }


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()
