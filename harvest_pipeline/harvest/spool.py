"""Records on local disk, one a line, while a list is being read.

Belongs here: the file, the ids in it, and what is left of it for some ids.
Does not belong here: where records come from, and whether they are all of them (reading.py).
"""

import tempfile
import threading
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from harvest_pipeline.harvest.errors import StateUnusable
from harvest_pipeline.private import make_folder
from harvest_pipeline.scope import Proof, Spool


class SpoolFile:
    """A new file for the records of one read, readable by its owner only.

    A context manager: the file stays if the block ends well and is removed if it does not. Several
    threads may `add`. All but the properties raise StateUnusable, for a full disk say.
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
        self.rows = 0

    @property
    def repeated(self) -> int:
        """How many lines have an id that an earlier line has."""
        return self.rows - len(self._ids)

    def add(self, records: Sequence[tuple[int, bytes]]) -> None:
        """Append records: each its id, and its JSON on one line."""
        with self._lock, self._writing():
            for _, line in records:
                self._file.write(line)
                self._file.write(b"\n")
            self._ids.update(record_id for record_id, _ in records)
            self.rows += len(records)

    def restart(self) -> None:
        """Forget all records."""
        with self._lock, self._writing():
            self._file.seek(0)
            self._file.truncate()
            self._ids.clear()
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
                f"Records cannot be kept in the folder {self._folder} while they are read: "
                f"{error.strerror}. Make room there, or make it writable."
            ) from error


class _Key(msgspec.Struct):
    id: int


_key_decoder = msgspec.json.Decoder(_Key)


def only(spool: Spool, ids: Collection[int]) -> Spool:
    """The spool without the records that have other ids; its file is rewritten.

    It is no longer all of its scope, and says so.
    """
    lines = spool.path.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if _key_decoder.decode(line).id in ids]
    spool.path.write_bytes(b"".join(kept))
    return replace(spool, rows=len(kept), proof=Proof.FOLLOWED)
