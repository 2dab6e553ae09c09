"""The DuckDB IO manager: stores an asset's value as rows, and loads an input as a DataFrame."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, cast

import dagster as dg
import duckdb
import pandas as pd
from dagster._core.storage.db_io_manager import (
    DbIOManager,
    DbTypeHandler,
    TablePartitionDimension,
    TableSlice,
)
from dagster_duckdb import DuckDBIOManager
from dagster_duckdb.io_manager import DuckDbClient
from pydantic import ConfigDict, Field

from harvest_pipeline.orchestration.checks import check_results
from harvest_pipeline.orchestration.metadata import materialization_metadata
from harvest_pipeline.orchestration.publishing import published_afterwards
from harvest_pipeline.orchestration.resources import Initialize, unless_changed
from harvest_pipeline.orchestration.steps import Retries, explained
from harvest_pipeline.scope import Spool
from harvest_pipeline.settings.datasets import Dataset
from harvest_pipeline.settings.resolve import Resolved
from harvest_pipeline.warehouse import frames, statistics, tables
from harvest_pipeline.warehouse.database import WAIT_SECONDS, Warehouse
from harvest_pipeline.warehouse.dataset_tables import bring_up_to_date
from harvest_pipeline.warehouse.errors import NotLoaded
from harvest_pipeline.warehouse.gate import refuse_narrower
from harvest_pipeline.warehouse.ledger import Load, LoadContext
from harvest_pipeline.warehouse.loading import load_each
from harvest_pipeline.warehouse.place import Place
from harvest_pipeline.warehouse.sql import comma, identifier, literal
from harvest_pipeline.warehouse.statistics import Statistics


@dataclass(slots=True)
class Reading:
    """The value of a dataset's asset: what is being read from Harvest, spool by spool.

    The IO manager requests a spool, loads it in its own transaction, deletes its file and requests
    the next; the database is only open during the load. Exceptions from `spools` reach Dagster
    unchanged. Then it updates the dataset's table, describes the days of the scope, which are the
    partitions of the run, if it has any, and evaluates the `checks`; `today` is the day that is not
    over yet.
    """

    dataset: Dataset
    ask: Resolved
    spools: Iterable[Spool]
    context: LoadContext
    today: date
    checks: Sequence[dg.AssetCheckResult] = ()


class HarvestDuckDBIOManager(DuckDBIOManager):
    """Stores readings and pandas DataFrames in DuckDB, and loads DataFrames.

    Either all that an asset stores is there afterwards, or nothing of it. The settings are those
    of the code: a launch whose config changes them is refused.
    """

    # Dagster's resources ignore a misspelt argument, and pydantic shows values in its errors.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    ducklake_data: str = Field(
        default="",
        description="Where the Parquet files of a DuckLake are. Set through HARVEST_DUCKLAKE_DATA.",
    )
    lock_wait_seconds: float = Field(
        default=WAIT_SECONDS,
        description="How long to wait for a program that holds the database, seconds.",
    )
    publish: str = Field(
        default="",
        description="Where each run that used it publishes a copy of the database in the end; "
        "empty: nowhere. Set through HARVEST_PUBLISH.",
    )

    @staticmethod
    def type_handlers() -> Sequence[DbTypeHandler[Any]]:
        return [_FrameHandler()]

    def create_io_manager(self, context: dg.InitResourceContext) -> DbIOManager:
        return _ReadingIOManager(
            type_handlers=self.type_handlers(),
            db_client=_TransactionalClient(),
            database=self.database,
            schema=self.schema_,
            io_manager_name="HarvestDuckDBIOManager",
        )

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator[DbIOManager]:
        """The IO manager, and at the end of a run the copy for readers. Raises NotPublished."""
        with ExitStack() as stack:
            if self.publish:
                warehouse = Warehouse(
                    Place.of(self.database, self.ducklake_data),
                    "",  # all of them
                    wait_seconds=self.lock_wait_seconds,
                    log=context.log.info if context.log else print,
                    settings=self.connection_config,
                )
                target = Path(self.publish)
                stack.enter_context(published_afterwards(context, warehouse, target))
            yield self.create_io_manager(context)

    def _get_initialize_and_run_fn(self) -> Initialize:
        # A person who can launch a run must not be able to write any file of this machine.
        # Dagster's return type has no type arguments.
        usual = super()._get_initialize_and_run_fn  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        initialize = cast("Initialize", usual())
        names = "HARVEST_DUCKDB, HARVEST_DUCKLAKE_DATA, HARVEST_SCHEMA, HARVEST_PUBLISH"
        return unless_changed(self, initialize, names)


class _ReadingIOManager(DbIOManager):
    """Dagster's own for DataFrames, extended to load readings."""

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        with explained(Retries.of(None)):
            if isinstance(obj, Reading):
                self._load(context, obj)
            else:
                super().handle_output(context, obj)

    def load_input(self, context: dg.InputContext) -> object:
        with explained(Retries.of(None)):
            return super().load_input(context)

    def _load(self, context: dg.OutputContext, reading: Reading) -> None:
        table_slice = self._get_table_slice(context, context)
        warehouse = _warehouse(context, table_slice)
        dataset, scope = reading.dataset, reading.ask.scope
        loads = list(load_each(warehouse, reading.spools, reading.context, context.log.info))
        with warehouse.transaction() as connection:
            if not loads:  # nothing was left to read; in another schema or with a new view
                tables.prepare(connection, dataset.record)
            full_refresh = reading.ask.full_refresh
            bring_up_to_date(connection, dataset, scope, full_refresh=full_refresh)
            every = _metadata(connection, reading, loads, by_day=context.has_asset_partitions)
            reading.checks = list(
                check_results(
                    connection,
                    dataset,
                    scope,
                    reading.context.reader,
                    context.asset_key,
                    reading.today,
                )
            )
        # Everything that the person may read is loaded at this point.
        refuse_narrower(loads)
        table = {"dagster/table_name": _TransactionalClient.get_table_name(table_slice)}
        context.add_output_metadata(  # pyright: ignore[reportUnknownMemberType]
            {**table, **every.pop(None, {})}
        )
        for day, metadata in every.items():
            # Output metadata would be the same for all days.
            context.step_context.add_asset_metadata(metadata, context.asset_key, f"{day}")


def _metadata(
    connection: duckdb.DuckDBPyConnection, reading: Reading, loads: Sequence[Load], *, by_day: bool
) -> dict[date | None, dict[str, Any]]:
    """The metadata of each day of the scope; under None if the dataset has none."""
    record, table, window = reading.dataset.record, reading.dataset.name, reading.ask.scope.window
    figures: Mapping[Any, Statistics]
    if window is None or not by_day:
        figures = {None: statistics.of_table(connection, record, table)}
    else:
        figures = statistics.of_days(connection, record, window, table)
    return {
        day: materialization_metadata(day, found, loads, reading.context, reading.ask)
        for day, found in figures.items()
    }


class _TransactionalClient(DuckDbClient):
    """Dagster's statements in one transaction, on a connection that is always closed."""

    @staticmethod
    @contextmanager
    def connect(  # pyright: ignore[reportIncompatibleMethodOverride]
        context: dg.OutputContext | dg.InputContext, table_slice: TableSlice
    ) -> Generator[duckdb.DuckDBPyConnection]:
        warehouse = _warehouse(context, table_slice)
        opened = (
            warehouse.reader() if isinstance(context, dg.InputContext) else warehouse.transaction()
        )
        with opened as connection:
            yield connection

    @staticmethod
    def ensure_schema_exists(
        context: dg.OutputContext, table_slice: TableSlice, connection: duckdb.DuckDBPyConnection
    ) -> None:
        """Do nothing: connecting does that."""

    @staticmethod
    def delete_table_slice(
        context: dg.OutputContext, table_slice: TableSlice, connection: duckdb.DuckDBPyConnection
    ) -> None:
        # Dagster's own statement fails and ignores the error, which would abort the transaction.
        if tables.kind(connection, table_slice.table):
            connection.execute(f"DELETE FROM {identifier(table_slice.table)}{_where(table_slice)}")

    @staticmethod
    def get_select_statement(table_slice: TableSlice) -> str:
        columns = ", ".join(map(identifier, table_slice.columns or ())) or "*"
        name = f"{identifier(table_slice.schema)}.{identifier(table_slice.table)}"
        return f"SELECT {columns} FROM {name}{_where(table_slice)}"

    @staticmethod
    def get_table_name(table_slice: TableSlice) -> str:
        return f"{table_slice.schema}.{table_slice.table}"


class _FrameHandler(DbTypeHandler[pd.DataFrame]):
    """pandas DataFrames."""

    def handle_output(
        self,
        context: dg.OutputContext,
        table_slice: TableSlice,
        obj: pd.DataFrame,
        connection: duckdb.DuckDBPyConnection,
    ) -> Mapping[str, Any]:
        frames.store(connection, table_slice.table, obj)
        columns = tables.column_types(connection, table_slice.table)
        schema = dg.TableSchema([dg.TableColumn(name, type) for name, type in columns.items()])
        return {"rows": len(obj), "dagster/column_schema": schema}

    def load_input(
        self,
        context: dg.InputContext,
        table_slice: TableSlice,
        connection: duckdb.DuckDBPyConnection,
    ) -> pd.DataFrame:
        if not tables.kind(connection, table_slice.table):
            raise NotLoaded(
                f"{table_slice.schema}.{table_slice.table} does not exist yet; materialize"
                f" {context.asset_key.to_user_string()} first."
            )
        return connection.execute(_TransactionalClient.get_select_statement(table_slice)).df()

    @property
    def supported_types(self) -> Sequence[type[object]]:
        return [pd.DataFrame]


def _warehouse(context: dg.OutputContext | dg.InputContext, table_slice: TableSlice) -> Warehouse:
    config: Mapping[str, Any] = context.resource_config or {}
    return Warehouse(
        Place.of(config["database"], config["ducklake_data"]),
        table_slice.schema,
        wait_seconds=config["lock_wait_seconds"],
        log=context.log.info,
        settings=config["connection_config"],
    )


def _where(table_slice: TableSlice) -> str:
    """The condition for the rows of the partitions of a slice."""
    conditions = [_condition(each) for each in table_slice.partition_dimensions or ()]
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _condition(dimension: TablePartitionDimension) -> str:
    """The expression is the asset's own code; keys may come from anyone who can launch a run."""
    expression, partitions = f"({dimension.partition_expr})", dimension.partitions
    if isinstance(partitions, dg.TimeWindow):
        first, end = (literal(f"{edge:%Y-%m-%d %H:%M:%S}") for edge in partitions)
        return f"{expression} >= {first} AND {expression} < {end}"
    return f"{expression} IN ({comma(map(literal, partitions))})" if partitions else "false"
