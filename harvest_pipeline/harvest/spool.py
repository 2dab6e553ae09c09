"""Records on local disk, one per line, while a list is being read."""

import tempfile
import threading
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import msgspec

from harvest_pipeline.catalogue.columns import ROW_KEY, Record
from harvest_pipeline.harvest.errors import RecordUnusable, StateUnusable
from harvest_pipeline.safety.files import disk_full, make_folder
from harvest_pipeline.scope import Proof, Rejected, Spool

#: An id, and the record's JSON on one line.
Line = tuple[int, bytes]

#: The size of a page, in bytes.
_MOST_REJECTED = 64 * 2**20


class SpoolFile:
    """A new file for the records of one read, readable by its owner only.

    A context manager: the file stays if the block succeeds and is removed if it does not. `add` is
    thread-safe. All but the properties raise StateUnusable, for example if the disk is full.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        with self._writing():
            make_folder(folder)
            self._file = tempfile.NamedTemporaryFile(  # noqa: SIM115 - closed in __exit__
                "wb", dir=folder, prefix=f"{name}-", suffix=".ndjson", delete=False
            )
        self._lock = threading.Lock()
        self._ids: set[int] = set()
        self.path = Path(self._file.name)
        self.rejected: list[Rejected] = []
        self.rows = 0

    @property
    def repeated(self) -> int:
        """How many records have the id of an earlier one."""
        return self.rows - len(self._ids)

    def add(self, records: Sequence[Line], rejected: Sequence[Rejected] = ()) -> None:
        """Append records: each with its id, and its JSON on one line; and unusable ones.

        Raises RecordUnusable if there are too many of the latter to keep in memory.
        """
        with self._lock, self._writing():
            for _, line in records:
                self._file.write(line)
                self._file.write(b"\n")
            self._ids.update(record_id for record_id, _ in records)
            self._ids.update(each.id for each in rejected)
            self.rejected += rejected
            self.rows += len(records) + len(rejected)
        if rejected and sum(len(each.raw) for each in self.rejected) > _MOST_REJECTED:
            first = self.rejected[0]
            raise RecordUnusable(
                f"The records that cannot be used, such as {first.id} ({first.field}"
                f" {first.reason}), have more than {_MOST_REJECTED // 2**20} MiB; nothing was"
                " loaded. Look at HARVEST_API_URL, and for a proxy in between: Harvest sends no"
                " such thing."
            )

    def restart(self) -> None:
        """Discard all records."""
        with self._lock, self._writing():
            self._file.seek(0)
            self._file.truncate()
            self._ids.clear()
            self.rejected.clear()
            self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        kept = False
        try:
            with self._writing():
                self._file.close()
            kept = kind is None
        finally:
            if not kept:
                self.path.unlink()

    @contextmanager
    def _writing(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise StateUnusable(
                disk_full(error, self._folder)
                or f"Records cannot be kept in the folder {self._folder} while they are read: "
                f"{error.strerror}. Make it writable."
            ) from error


class _Key(msgspec.Struct):
    id: int


_key_decoder = msgspec.json.Decoder(_Key)


def only(spool: Spool, ids: Collection[int]) -> Spool:
    """The spool with only the records that have these ids; its file is rewritten.

    It no longer contains its whole scope, and its proof says so.
    """
    lines = spool.path.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if _key_decoder.decode(line).id in ids]
    spool.path.write_bytes(b"".join(kept))
    rejected = tuple(each for each in spool.rejected if each.id in ids)
    return replace(spool, rows=len(kept) + len(rejected), rejected=rejected, proof=Proof.FOLLOWED)


class Front:
    """Writes, in front of the records of one list, what they do not hold themselves: values of
    their parent, `given` by the names of `Column.from_parent`, and the number of the row."""

    def __init__(self, record: Record, given: Mapping[str, object]) -> None:
        columns = record.parent_columns
        self._record = record
        self._given = given
        self._key = next((c.name for c in columns if c.from_parent == ROW_KEY), None)
        self._values = {
            column.name: given[column.from_parent or ""]
            for column in columns
            if column.name != self._key
        }
        self._start = msgspec.json.encode(self._values)[:-1] + b","

    def lines(self, lines: Sequence[Line]) -> Sequence[Line]:
        """Records with these values, under the key of their row."""
        if not self._values:
            return lines
        return [(self._key_of(id), self._before(id, line)) for id, line in lines]

    def rejected(self, rejected: Sequence[Rejected]) -> Sequence[Rejected]:
        """The same for unusable records."""
        if not self._values:
            return rejected
        parent_id = cast("int", self._given["id"]) if self._record.parent else None
        day = self._values.get(self._record.day or "")
        return [
            replace(
                each,
                id=self._key_of(each.id),
                day=cast("date | None", day),
                raw=self._before(each.id, each.raw),
                parent_id=parent_id,
            )
            for each in rejected
        ]

    def _key_of(self, record_id: int) -> int:
        if self._key is None:
            return record_id
        parts = msgspec.json.encode([*self._values.values(), record_id])
        return int.from_bytes(blake2b(parts, digest_size=8).digest()) >> 1  # fits a BIGINT

    def _before(self, record_id: int, line: bytes) -> bytes:
        key = f'"{self._key}":{self._key_of(record_id)},'.encode() if self._key else b""
        return self._start + key + line[1:]
