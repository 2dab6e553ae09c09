"""Where a warehouse is: a DuckDB file, a DuckLake or MotherDuck; how each is opened, and what its
errors mean."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import duckdb

from harvest_pipeline.safety.files import disk_full, make_folder
from harvest_pipeline.safety.text import one_line
from harvest_pipeline.settings import Project
from harvest_pipeline.settings.environment import project_folder
from harvest_pipeline.warehouse.errors import WarehouseError
from harvest_pipeline.warehouse.sql import comma, identifier, literal

#: The database of a place within the instance; no schema has this name.
_ATTACHED = "_attached_file"
#: The first words of the error for a place that this process has open in another way.
IN_USE = "This process has the file open"
#: Rows of one statement that a lake keeps in its catalogue, until the night makes Parquet of them.
_INLINED_ROWS = 500
#: Commits of other accounts that one commit may meet.
RETRIES = 100

_HOLDER = re.compile(r"Conflicting lock is held in (?P<program>.+?) \(PID (?P<pid>\d+)\)")
_DAMAGED = re.compile(
    "Corrupt|checksum|WAL|Could not read enough bytes|No magic bytes|Parquet magic"
)
_NO_LAKE = re.compile("does not exist.*creating a new DuckLake is explicitly disabled", re.DOTALL)
_AWAY = re.compile(
    "nable to connect to Postgres|could not connect|server closed the connection|terminating "
    "connection|connection to server|Connection refused|HTTP (GET|PUT|POST|HEAD|DELETE|code)|"
    "HTTP Error|Could not (establish|connect)|Could not resolve|Timeout was reached"
)
_BEING_MADE = re.compile("Failed to initialize DuckLake.*(duplicate key|already exists)", re.DOTALL)
_CONFLICT = re.compile("Transaction conflict|Failed to commit DuckLake transaction|write-write")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a warehouse is. `address` is what people are shown, and holds no secret.

    `path` is the DuckDB file that it is, or, `is_lake`, the one with the catalogue of its DuckLake;
    None if there is no file: a catalogue in Postgres, or MotherDuck. `data` is the folder or the
    address in S3 of the Parquet files of a lake; empty: beside the catalogue.
    """

    address: str
    path: Path | None = None
    is_lake: bool = False
    data: str = ""

    @classmethod
    def of(cls, address: Path | str, data: str = "") -> "Place":
        """The place of the value of HARVEST_DUCKDB, with that of HARVEST_DUCKLAKE_DATA."""
        kind, _, rest = str(address).partition(":")
        if isinstance(address, Path) or kind not in ("ducklake", "md"):
            return cls(f"{address}", Path(address))
        if kind == "md":
            return cls(address)
        return cls(address, None if rest.startswith("postgres:") else Path(rest), True, data)

    @property
    def is_shared(self) -> bool:
        """Whether many can read and write at once: no file is held."""
        return self.path is None

    @property
    def folder(self) -> Path:
        """The folder on this machine of locks, dashboards and what does not fit into memory."""
        return self.path.parent if self.path else project_folder() / "data"

    @property
    def schema_of_same_name(self) -> str | None:
        """The schema that DuckDB could not tell from the database, in small letters."""
        return self.path.stem.lower() if self.path and not self.is_lake else None

    def beside(self, suffix: str) -> Path:
        """A file on this machine that belongs to the place."""
        return self.folder / f"{self.path.name if self.path else 'warehouse'}{suffix}"

    @property
    def files(self) -> list[Path]:
        """What holds personal data, and others may not read."""
        if self.path is None:
            return []
        return [self.path, self.beside(".wal"), *([self._parquet] if self._parquet else [])]

    @property
    def _parquet(self) -> Path | None:
        """The folder of a lake's Parquet files, if it is on this machine."""
        if not self.is_lake or self._in_s3:
            return None
        return Path(self.data) if self.data else self.beside(".files")

    @property
    def _in_s3(self) -> bool:
        return self.data.startswith("s3://")

    @property
    def _disks(self) -> list[Path]:
        return [self.folder, *([self._parquet] if self._parquet else [])]

    def may_exist(self) -> bool:
        """Whether there can be anything: a file can be looked for, all else only be opened."""
        return self.path is None or self.path.exists()

    def prepare(self) -> None:
        """Make the private folders that are missing. Raises OSError."""
        for folder in self._disks:
            make_folder(folder)

    @property
    def alias(self) -> str:
        """The database within the instance: MotherDuck's have no other name than their own."""
        if self.path is None and not self.is_lake:
            return self.address.partition(":")[2].partition("?")[0]
        return _ATTACHED

    def setup(self) -> Iterator[str]:
        """The statements that prepare an instance for the place. Raises WarehouseError if an
        extension of DuckDB is missing."""
        for name in self._extensions():
            yield f"LOAD {_extension(name)}"
        if self.is_lake:
            yield f"SET ducklake_max_retry_count = {RETRIES}"
        if self._in_s3:
            yield _secret()

    def _extensions(self) -> Iterator[str]:
        if self.is_lake:
            yield "ducklake"
            if self.path is None:
                yield "postgres_scanner"
            if self._in_s3:
                yield "httpfs"
        elif self.path is None:
            yield "motherduck"

    def attach(self, *, read_only: bool) -> str:
        """The statement that opens the place."""
        address = self.address if self.path is None or self.is_lake else str(self.path.absolute())
        options = ["READ_ONLY"] if read_only else []
        if self.is_lake:
            options.append(f"DATA_INLINING_ROW_LIMIT {_INLINED_ROWS}")
            if self.data:
                options.append(f"DATA_PATH {literal(self.data.rstrip('/') + '/')}")
            if read_only:
                options.append("CREATE_IF_NOT_EXISTS false")
        alias = "" if self.alias != _ATTACHED else f" AS {_ATTACHED}"
        return f"ATTACH {literal(address)}{alias}" + (f" ({comma(options)})" if options else "")

    def confine(self) -> Iterator[str]:
        """The settings after which SQL of others reaches nothing else. DuckDB accepts them only
        when the place is attached, and never takes them back."""
        if self.is_lake:
            folder = self.data or str(self._parquet)
            yield f"SET allowed_directories = [{literal(folder.rstrip('/') + '/')}]"
        yield "SET enable_external_access = false"
        yield "SET lock_configuration = true"

    def state(self, connection: duckdb.DuckDBPyConnection) -> str:
        """Changes with every write, whoever writes; `connection` has the place open."""
        if self.is_lake:
            sql = f"SELECT max(snapshot_id) FROM ducklake_snapshots({literal(self.alias)})"
            return f"snapshot {connection.execute(sql).fetchall()[0][0]}"
        files = [each for each in self.files if each.exists()]
        return " ".join(f"{each.stat().st_size}@{each.stat().st_mtime_ns}" for each in files)

    def is_missing(self, error: duckdb.Error) -> bool:
        """Whether a lake was to be read that nobody has made yet."""
        return bool(_NO_LAKE.search(str(error)))

    def obstacle(self, error: duckdb.Error) -> str | None:
        """Why the place cannot be opened now, if that passes: who holds it, or that its server does
        not answer."""
        text = str(error)
        if match := _HOLDER.search(text):
            return f"is held by {match['program']} (process {match['pid']})"
        if IN_USE in text or "Unique file handle conflict" in text:
            return f"is held by another connection of this process ({os.getpid()})"
        if "Could not set lock on file" in text or "being used by another process" in text:
            return "is held by another program"
        if _BEING_MADE.search(text):
            return "is being made by another program"
        return f"does not answer ({one_line(text, 200)})" if self.is_away(error) else None

    def is_away(self, error: duckdb.Error) -> bool:
        """Whether a server of the place does not answer."""
        local = self.path is not None and not self._in_s3
        return not local and bool(_AWAY.search(str(error)))

    def explained(self, error: duckdb.Error) -> str | None:
        """The sentence for an error while the place is open; None if it is about something else."""
        if sentence := disk_full(error, *self._disks):
            return f"The database {self.address} holds what it held before. {sentence}"
        return self._damaged(str(error)) if _DAMAGED.search(str(error)) else None

    def refusal(self, error: duckdb.Error | OSError) -> str:
        """The sentence for an error of opening that waiting does not fix."""
        text = str(error)
        if sentence := disk_full(error, *self._disks):
            return sentence
        if self.path and self.path.is_dir():
            return f"The database path {self.path} is a folder; name a file in it."
        if "not a valid DuckDB database file" in text:
            return f"{self.path} is not a DuckDB database; name another file, or move it away."
        if "version number" in text:
            return (
                f"The database {self.path} was written by a newer DuckDB than the installed "
                f"{duckdb.__version__}; install the newer one."
            )
        if "DATA_PATH" in text:
            return (
                f"The DuckLake {self.address} was made with other files than "
                f"{self.data or self._parquet}: {one_line(text, 300)}. Set "
                "HARVEST_DUCKLAKE_DATA to what it was."
            )
        if "Permission denied" in text or "Read-only file system" in text:
            return (
                f"The database {self.address} cannot be written by this user; change the "
                "permissions or name another path."
            )
        if _DAMAGED.search(text):
            return self._damaged(text)
        return f"The database {self.address} cannot be opened: {text.splitlines()[0]}"

    def _damaged(self, text: str) -> str:
        with_what = "with its .wal"
        if self.is_lake:
            with_what = "with its Parquet files"
        return (
            f"The database {self.address} is damaged ({one_line(text)}); put a backup in its"
            f" place, or move it away {with_what} and load everything again."
        )


def place_of(project: Project) -> Place:
    """The place of a project's warehouse."""
    return Place.of(project.duckdb, project.ducklake_data)


def is_conflict(error: duckdb.Error) -> bool:
    """Whether another program changed the same tables at the same time, so that nothing of a
    transaction was stored."""
    return not isinstance(error, duckdb.InternalException) and bool(_CONFLICT.search(str(error)))


def _extension(name: str) -> str:
    """What LOAD takes for an extension: its file in a Python package, else its name. Nothing is
    downloaded."""
    spec = find_spec(f"duckdb_extension_{name}")
    for folder in (spec and spec.submodule_search_locations) or ():
        for file in Path(folder).rglob(f"v{duckdb.__version__}/{name}.duckdb_extension"):
            return literal(str(file))
    return identifier(name)


def missing_extension(error: duckdb.Error) -> WarehouseError:
    """The error of an instance that has not the extensions of a place."""
    return WarehouseError(
        "HARVEST_DUCKDB needs extensions of DuckDB that are not installed for DuckDB "
        f"{duckdb.__version__}; install this package with [ducklake]: pip install "
        f"'harvest_pipeline[ducklake]'. ({one_line(str(error), 150)})"
    )


def _secret() -> str:
    """The statement that gives an instance the key of S3, from the usual variables."""
    given = {
        "KEY_ID": os.environ.get("AWS_ACCESS_KEY_ID"),
        "SECRET": os.environ.get("AWS_SECRET_ACCESS_KEY"),
        "SESSION_TOKEN": os.environ.get("AWS_SESSION_TOKEN"),
        "REGION": os.environ.get("AWS_REGION"),
    }
    options = [f"{name} {literal(value)}" for name, value in given.items() if value]
    if endpoint := os.environ.get("AWS_ENDPOINT_URL"):
        parts = urlsplit(endpoint)
        options.append(f"ENDPOINT {literal(parts.netloc + parts.path.rstrip('/'))}")
        options.append("URL_STYLE 'path'")
        options.append(f"USE_SSL {'true' if parts.scheme == 'https' else 'false'}")
    return f"CREATE OR REPLACE SECRET ({comma(['TYPE s3', *options])})"
