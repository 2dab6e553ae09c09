"""The section on the DuckDB file: whether it can be used, and what is in it.

Belongs here: the file, its folder and its holder; each account's schema and last load.
Does not belong here: the rows (warehouse/).
"""

import stat
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb

from harvest_pipeline.doctor.account import AccountCheck
from harvest_pipeline.doctor.findings import Finding, Section, ok, section, told, warning, wrong
from harvest_pipeline.doctor.holder import holder_of
from harvest_pipeline.doctor.machine import existing
from harvest_pipeline.warehouse import ledger
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.errors import AnotherAccount, WarehouseError, WarehouseLocked
from harvest_pipeline.warehouse.last_loads import last_loaded_at


class WarehouseCheck:
    """Looks at the file that all accounts of the project share; never writes to it."""

    def __init__(self, path: Path, accounts: Sequence[AccountCheck]) -> None:
        self._path = path
        self._accounts = accounts
        self._readable = False

    def section(self) -> Section:
        """The findings."""
        return section("warehouse", self._file, self._modes, self._folder, self._schemas)

    def _file(self) -> Iterator[Finding]:
        path = self._path
        if not path.exists():
            yield ok("database", f"{path} does not exist yet; the first load makes it")
            return
        size = path.stat().st_size / 2**20
        text = f"{path}, {size:,.1f} MiB"
        try:
            holder = holder_of(path)
        except OSError as error:
            yield wrong(
                "database",
                f"{path} cannot be opened for writing ({error.strerror}).",
                "Change its permissions, or name another path in HARVEST_DUCKDB.",
            )
            holder = None
        else:
            yield ok("database", text)
        if holder is not None:
            reads = "it is loading, or writing otherwise" if holder.writes else "it only reads"
            yield warning(
                "holder",
                f"{path} is held by {holder}: {reads}, and nobody else can write meanwhile.",
                "Close that program or its connection, or wait until it is done.",
            )
        self._readable = holder is None or not holder.writes

    def _modes(self) -> Iterator[Finding]:
        for path in (self._path, self._path.with_name(f"{self._path.name}.wal")):
            if not path.exists() or not path.stat().st_mode & 0o077:
                continue
            mode = stat.S_IMODE(path.stat().st_mode)
            yield warning(
                "mode",
                f"others on this machine can use {path} ({mode:04o}), which tells who worked on "
                "what.",
                f"chmod 600 {path}",
            )

    def _folder(self) -> Iterator[Finding]:
        folder = existing(self._path.parent)
        try:
            # Permissions say yes to root in places where nobody can write.
            with tempfile.TemporaryFile(dir=folder):
                yield ok("folder", f"{folder} is writable")
        except OSError as error:
            yield wrong(
                "folder",
                f"nothing can be written into {folder} ({error.strerror}).",
                "Make it writable for you, or name another path in HARVEST_DUCKDB.",
            )

    def _schemas(self) -> Iterator[Finding]:
        if not self._readable:
            return
        for account in self._accounts:
            yield from self._schema(account)

    def _schema(self, account: AccountCheck) -> Iterator[Finding]:
        name = account.settings.name
        subject = f"schema {name}"
        try:
            with Warehouse(self._path, name, wait_seconds=0, log=_silently).reader() as connection:
                last = last_loaded_at(connection)
                if account.account_id is not None:
                    ledger.refuse_another_account(connection, account.account_id)
        except AnotherAccount as error:
            yield told(subject, error)
        except WarehouseLocked as error:
            yield told(subject, error, "warning")
        except WarehouseError as error:
            yield told(subject, error)
        else:
            when = f"last load on {last:%Y-%m-%d %H:%M} UTC" if last else "nothing is loaded yet"
            yield ok(subject, f"{when}; opens for reading with DuckDB {duckdb.__version__}")


def _silently(line: str) -> None:
    """For the line that tells of waiting: we do not wait."""
