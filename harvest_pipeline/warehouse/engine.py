"""DuckDB in this process, which is made once, and attached to a place only while it is used.

Making an instance takes 20 to 30 ms and closing it 10, attaching a file takes less than one; and
when the file is detached, other programs can open it, as if the instance had been closed. A lake in
Postgres, which nobody has to wait for, stays attached: that takes 50.
"""

import os
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import duckdb

from harvest_pipeline.warehouse.place import IN_USE, Place, missing_extension
from harvest_pipeline.warehouse.sql import identifier

#: New files can be read by DuckDB 1.5 too, whichever version writes them; and no extension is
#: downloaded because some SQL needs it.
CONFIG: dict[str, Any] = {
    "storage_compatibility_version": "v1.4.0",
    "autoinstall_known_extensions": False,
}

#: DuckDB draws progress bars into the logs of processes that it takes for interactive ones.
#: And a missing table is not looked up among Python's variables.
SESSION = (
    "SET GLOBAL TimeZone = 'UTC'; SET enable_progress_bar = false;"
    " SET python_enable_replacements = false"
)


@dataclass(slots=True)
class _Engine:
    """An instance that is attached to a place while it has users, all reading or all writing.

    It is not `sound` after an exception, which may have invalidated it: then it is not kept."""

    instance: duckdb.DuckDBPyConnection
    users: int = 0
    attached: bool = False
    read_only: bool = False
    sound: bool = True


#: The place, DuckDB's settings, and whether it only reads, if others can write meanwhile.
_Key = tuple[Place, tuple[tuple[str, Any], ...], bool | None]
#: Those of the place that was used last, and those that are in use: a process works with one place.
_engines: dict[_Key, _Engine] = {}
_lock = threading.Lock()
#: Instances of a process that forked this one. Their threads are not here: to use or to close them
#: crashes, so they are kept.
_of_parent: list[_Engine] = []


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    _of_parent.extend(_engines.values())
    _engines.clear()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def connected(
    place: Place, settings: Mapping[str, Any], *, read_only: bool, kept: bool = True
) -> Generator[duckdb.DuckDBPyConnection]:
    """A connection to the place, which is free again afterwards if nothing else in this process
    uses it. Its instance is not `kept` if the caller changes its settings for good. Raises
    duckdb.Error if the place cannot be opened, and WarehouseError if an extension is missing."""
    key = place, tuple(sorted(settings.items())), read_only if place.is_shared else None
    engine = _enter(key, read_only)
    sound = False
    try:
        with engine.instance.cursor() as connection:
            connection.execute(f"{SESSION}; USE {identifier(place.alias)}")
            yield connection
        sound = kept
    finally:
        _leave(key, sound)


def _enter(key: _Key, read_only: bool) -> _Engine:
    with _lock:
        engine = _engines.get(key) or _make(key)
        if engine.users and engine.read_only != read_only:
            raise duckdb.ConnectionException(f"{IN_USE} in another way")
        if not engine.attached:
            engine.read_only = read_only
            try:
                engine.instance.execute(key[0].attach(read_only=read_only))
                engine.attached = True
            except BaseException:
                _engines.pop(key).instance.close()
                raise
        engine.users += 1
        return engine


def _leave(key: _Key, sound: bool) -> None:
    with _lock:
        engine = _engines[key]
        engine.users -= 1
        engine.sound &= sound
        if engine.users:
            return
        if engine.sound:
            if key[0].is_shared:
                return
            with suppress(duckdb.Error):  # the log could not be merged into the file: it stays
                engine.instance.execute(f"DETACH {identifier(key[0].alias)}")
                engine.attached = False
                return
        _engines.pop(key).instance.close()


def _make(key: _Key) -> _Engine:
    place, settings, _ = key
    for other in [each for each, engine in _engines.items() if not engine.users]:
        if other[:2] != key[:2]:
            _engines.pop(other).instance.close()
    spilled = place.beside(".tmp").absolute()
    instance = duckdb.connect(config={**CONFIG, "temp_directory": str(spilled), **dict(settings)})
    try:
        for statement in place.setup():
            instance.execute(statement)
    except duckdb.Error as error:
        instance.close()
        raise missing_extension(error) from error
    engine = _engines[key] = _Engine(instance)
    return engine
