"""Dagster's event log in SQLite, which stores the events of a batch in one transaction per file.

Dagster 1.13 sends the events of many days as a batch, and its SQLite storage stores them one by
one, each with a connection of its own and a commit in two files. Here the code that stores an event
stays Dagster's own, and so do the rows (docs/decisions.md, Dagster).
"""

import os
import threading
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import dagster as dg
from dagster._core.storage.event_log import SqlEventLogStorage, SqliteEventLogStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage, SqliteStorageConfig
from dagster._serdes import ConfigurableClassData
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy.engine import Connection, Engine, ExceptionContext

from harvest_pipeline.safety.files import DiskFull, disk_full


class _Batch(ExitStack):
    """The connections of a batch, by file, and what is done once for it instead of per event."""

    def __init__(self) -> None:
        super().__init__()
        self.connections: dict[str | None, Connection] = {}
        self.has: dict[str, bool] = {}
        self.latest: dict[tuple[Any, Any], tuple[dg.EventLogEntry, int]] = {}


class Batches(SqlEventLogStorage):
    """What stores a batch at once, to be put before one of Dagster's event logs in SQLite."""

    _batch: _Batch | None = None

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # A batch has all files open at once, and other threads wait until it is stored.
        self._db_lock: Any = threading.RLock()

    def store_event_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        """Store all of the events, or none of them if anything is raised."""
        with self._db_lock, _Batch() as self._batch:
            try:
                # Opened first, it is committed last: what all runs show is in the run's own file.
                with self.index_connection() as connection:
                    super().store_event_batch(events)
                    for event, event_id in self._batch.latest.values():
                        super()._store_asset_event(connection, event, event_id)
            finally:
                self._batch = None

    @contextmanager
    def _connect(self, shard: str | None = None) -> Generator[Connection]:
        """To the file of a run or of all runs; in memory there is one, which has no name. (That of
        events without a run is empty.)"""
        parent: Any = super()
        file = [] if shard is None else [shard]
        with self._db_lock:
            if self._batch is None:
                with parent._connect(*file) as connection:
                    yield connection
                return
            if shard not in self._batch.connections:
                opened = self._batch.enter_context(parent._connect(*file))
                self._batch.connections[shard] = opened
            yield self._batch.connections[shard]

    def _store_asset_event(self, conn: Connection, event: dg.EventLogEntry, event_id: int) -> None:
        """The asset's latest events, of which there is one row: those of earlier days in the batch
        would only be overwritten."""
        if self._batch is None:
            super()._store_asset_event(conn, event, event_id)
        elif event.dagster_event:
            key = (event.dagster_event.asset_key, event.dagster_event_type)
            self._batch.latest.pop(key, None)
            self._batch.latest[key] = event, event_id

    def has_table(self, table_name: str) -> bool:
        """Whether a migration has made the table."""
        known = {} if self._batch is None else self._batch.has
        if table_name not in known:
            known[table_name] = super().has_table(table_name)
        return known[table_name]


class EventLog(Batches, SqliteEventLogStorage):
    """Dagster's event log in the folder `base_dir`: a file for each run, and one of all runs."""


@sqlalchemy_event.listens_for(Engine, "handle_error")
def _say_full(context: ExceptionContext) -> None:
    """Raise DiskFull where one of Dagster's files cannot be written: SQLite names none."""
    home = os.environ.get("DAGSTER_HOME")
    file = context.engine.url.database if context.engine else None
    if home and file and Path(file).is_relative_to(home):
        sentence = disk_full(context.original_exception, Path(home))
        if sentence:
            raise DiskFull(sentence)


class Storage(DagsterSqliteStorage):
    """Dagster's storage in the folder `base_dir`, with this event log."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data)
        self._event_log_storage = EventLog(str(Path(base_dir) / "history" / "runs"))

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: SqliteStorageConfig
    ) -> Self:
        """The storage that dagster.yaml describes."""
        return cls.from_local(inst_data=inst_data, **config_value)
