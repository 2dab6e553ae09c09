"""Secrets made up for one purpose each, and the search for them in whatever a program leaves."""

import gzip
import re
import sqlite3
import zlib
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import duckdb

#: So many letters and digits in a row are no word of any language. They come through every escaping
#: unchanged, however often it is applied (URL, JSON, repr, HTML, YAML).
_RUN = re.compile(r"[A-Za-z0-9]{16,}")
#: URL-safe base64 into the usual one.
_USUAL = bytes.maketrans(b"-_", b"+/")


def run_of(name: str) -> str:
    """Letters and digits that look random, the same ones for the same name."""
    letters = b64encode(sha256(name.encode()).digest()).decode()
    return "".join(letter for letter in letters if letter.isalnum())[:24]


class Canaries:
    """Secrets by the name of what they stand for."""

    def __init__(self, secrets: Mapping[str, str] | None = None) -> None:
        self._needles: dict[str, tuple[set[bytes], set[bytes]]] = {}
        for name, secret in (secrets or {}).items():
            self.add(name, secret)

    def add(self, name: str, secret: str) -> None:
        """Search for `secret` too, from now on: for all of it, and for the runs in it."""
        parts = [part.encode() for part in {secret, *_RUN.findall(secret)}]
        # Hosts and hexadecimal digits are written in small letters or large ones.
        in_any_case = {form.lower() for part in parts for form in (part, part.hex().encode())}
        in_any_case |= {quote(part, safe="").lower().encode() for part in parts}
        exactly = {_core_of_base64(part, before) for part in parts for before in range(3)}
        exactly |= {part.decode().encode("utf-16-le") for part in parts}
        self._needles[name] = in_any_case, exactly

    def within(self, data: bytes) -> set[str]:
        """The names of those that `data` holds, in any form."""
        lower, usual = data.lower(), data.translate(_USUAL)
        return {
            name
            for name, (in_any_case, exactly) in self._needles.items()
            if any(needle in lower for needle in in_any_case)
            or any(needle in usual for needle in exactly)
        }

    def below(self, folder: Path, but: Iterable[Path] = ()) -> dict[str, set[str]]:
        """The names of those in and in the name of every file below `folder`, `but` for some."""
        left_out = set(but)
        found: dict[str, set[str]] = {}
        for path in sorted(set(folder.rglob("*")) - left_out):
            place = str(path.relative_to(folder))
            # In large pieces: looking through many small ones takes many times as long.
            contents = b"\n".join(_contents_of(path)) if path.is_file() else b""
            if names := self.within(place.encode() + b"\n" + contents):
                found[place] = names
        return found


def _core_of_base64(text: bytes, before: int) -> bytes:
    """Of the base64 of `text` behind so many other bytes: the letters that only `text` decides."""
    whole = b64encode(b"\0" * before + text)
    return whole[-(-before * 8 // 6) : (before + len(text)) * 8 // 6]


def _contents_of(path: Path) -> Iterator[bytes]:
    """The bytes of a file, and what they mean."""
    data = path.read_bytes()
    yield data
    if data.startswith(b"SQLite format 3\0"):
        yield from _cells_of_sqlite(path)
    elif data[8:12] == b"DUCK":
        yield from _cells_of_duckdb(path)
    yield from _unpacked(data)


def _unpacked(data: bytes) -> Iterator[bytes]:
    """What `data` holds if it is compressed as Dagster does it; else nothing."""
    for unpack in (zlib.decompress, gzip.decompress):
        try:
            yield unpack(data)
        except (zlib.error, gzip.BadGzipFile, EOFError):
            continue


def _cells_of_sqlite(path: Path) -> Iterator[bytes]:
    """Every value: in the file a long one is cut at the borders of pages, or compressed."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        connection.text_factory = bytes
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (table,) in tables.fetchall():
            for row in connection.execute(f'SELECT * FROM "{table.decode()}"'):
                for value in row:
                    if isinstance(value, bytes):
                        yield value
                        yield from _unpacked(value)


def _cells_of_duckdb(path: Path) -> Iterator[bytes]:
    """Every row as text, and every definition: in the file strings may be compressed."""
    with duckdb.connect(path, read_only=True) as connection:
        for kind in ("table", "view"):
            asked = f"SELECT schema_name, {kind}_name, sql FROM duckdb_{kind}s()"
            for schema, name, sql in connection.execute(f"{asked} WHERE NOT internal").fetchall():
                yield sql.encode()
                rows = connection.execute(f'SELECT t::VARCHAR FROM "{schema}"."{name}" AS t')
                yield from (row.encode() for (row,) in rows.fetchall())
