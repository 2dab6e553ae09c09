"""Secrets made up for one purpose each, and the search for them in whatever a program leaves.

Belongs here: what a canary looks like, the forms in which it may turn up, and reading each kind of
place (files, SQLite, DuckDB, compressed text) to its ground.
Does not belong here: where to look, and what is provoked before (failures.py, test_leaks.py).
"""

import gzip
import re
import sqlite3
import zlib
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import duckdb

#: So many letters and digits in a row are no word of any language.
_LONG_ENOUGH = 16
_RUN = re.compile(rf"[A-Za-z0-9]{{{_LONG_ENOUGH},}}")


def run_of(name: str) -> str:
    """Letters and digits that look random, the same ones for the same name."""
    letters = b64encode(sha256(name.encode()).digest()).decode()
    return "".join(letter for letter in letters if letter.isalnum())[:24]


class Canaries:
    """Secrets by the name of what they stand for."""

    def __init__(self, secrets: Mapping[str, str] | None = None) -> None:
        self._needles: dict[str, tuple[frozenset[bytes], frozenset[bytes]]] = {}
        for name, secret in (secrets or {}).items():
            self.add(name, secret)

    def add(self, name: str, secret: str) -> str:
        """Search for `secret` too, from now on; returns it."""
        self._needles[name] = frozenset(_in_any_case(secret)), frozenset(_exactly(secret))
        return secret

    def names(self) -> set[str]:
        return set(self._needles)

    def without(self, *names: str) -> "Canaries":
        """The same but for some that may be where is searched next."""
        fewer = Canaries()
        fewer._needles = {n: needles for n, needles in self._needles.items() if n not in names}
        return fewer

    def within(self, data: bytes) -> set[str]:
        """The names of those that `data` holds, in any form."""
        lower = data.lower()  # hosts are written in small letters
        return {
            name
            for name, (in_any_case, exactly) in self._needles.items()
            if any(needle in lower for needle in in_any_case)
            or any(needle in data for needle in exactly)
        }

    def within_file(self, path: Path) -> set[str]:
        """The names of those in a file: in its bytes, and in what they mean."""
        # In large pieces: looking through many small ones takes many times as long.
        return self.within(b"\n".join(_contents_of(path)))

    def below(self, folder: Path, but: Iterable[Path] = ()) -> dict[str, set[str]]:
        """The names of those in and in the name of every file below `folder`, `but` for some."""
        left_out = set(but)
        found = {
            str(path.relative_to(folder)): self.within(str(path.relative_to(folder)).encode())
            | (self.within_file(path) if path.is_file() else set())
            for path in sorted(folder.rglob("*"))
            if path not in left_out
        }
        return {place: names for place, names in found.items() if names}


def _parts(secret: str) -> set[str]:
    """A secret, and the runs of letters and digits in it.

    A run comes through every escaping unchanged, however often it is applied (URL, JSON, repr,
    HTML, YAML), so it is searched besides the whole.
    """
    return {secret, *_RUN.findall(secret)}


def _in_any_case(secret: str) -> Iterator[bytes]:
    """The forms that are searched in small letters: as it is, percent-encoded, hexadecimal."""
    for part in _parts(secret):
        text = part.encode()
        yield from (text.lower(), text.hex().encode(), quote(part, safe="").lower().encode())
        yield "".join(f"%{byte:02x}" for byte in text).encode()


def _exactly(secret: str) -> Iterator[bytes]:
    """The forms in which small and large letters differ: base64, and two bytes a letter."""
    for part in _parts(secret):
        yield part.encode("utf-16-le")
        for before in range(3):
            for encode in (b64encode, urlsafe_b64encode):
                yield _core(encode, part.encode(), before)


def _core(encode: Callable[[bytes], bytes], text: bytes, before: int) -> bytes:
    """Of the base64 of `text` behind so many other bytes: the letters that only `text` decides."""
    whole = encode(b"\0" * before + text)
    first = -(-before * 8 // 6)
    last = (before + len(text)) * 8 // 6
    return whole[first:last]


def _contents_of(path: Path) -> Iterator[bytes]:
    data = path.read_bytes()
    yield data
    if data.startswith(b"SQLite format 3\0"):
        yield from _cells_of_sqlite(path)
    elif data[8:12] == b"DUCK":
        yield from _cells_of_duckdb(path)
    yield from unpacked(data)


def unpacked(data: bytes) -> Iterator[bytes]:
    """What `data` holds if it is compressed as Dagster does it; else nothing."""
    for unpack in (zlib.decompress, gzip.decompress):
        try:
            yield unpack(data)
        except (zlib.error, gzip.BadGzipFile, EOFError):
            continue


def _cells_of_sqlite(path: Path) -> Iterator[bytes]:
    """Every value: in the file a long one is cut at the borders of pages, or compressed."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.text_factory = bytes
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (table,) in tables.fetchall():
            for row in connection.execute(f'SELECT * FROM "{table.decode()}"'):
                for value in row:
                    if isinstance(value, bytes):
                        yield value
                        yield from unpacked(value)


def _cells_of_duckdb(path: Path) -> Iterator[bytes]:
    """Every row as text, and every definition: in the file strings may be compressed."""
    with duckdb.connect(path, read_only=True) as connection:
        for function in ("duckdb_tables()", "duckdb_views()"):
            asked = f"SELECT schema_name, {function[7:-3]}_name, sql FROM {function}"
            for schema, table, sql in connection.execute(f"{asked} WHERE NOT internal").fetchall():
                yield sql.encode()
                rows = connection.execute(f'SELECT t::VARCHAR FROM "{schema}"."{table}" AS t')
                for (row,) in rows.fetchall():
                    yield row.encode()
