"""SQL quoting: names, strings and paths, so that they can only be read as what they are."""

import re
from collections.abc import Iterable
from pathlib import Path

_NUL = "\0"


def identifier(name: str) -> str:
    """`name` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """`text` as an SQL string literal."""
    quoted = "'" + text.replace("'", "''") + "'"
    if _NUL in text:  # it ends the statement for the parser of DuckDB 1.5
        quoted = "(" + quoted.replace(_NUL, "' || chr(0) || '") + ")"
    return quoted


def file_pattern(path: Path) -> str:
    """The pattern that only `path` matches: a folder named `a[1]` is written `a[[]1]`."""
    return re.sub(r"([*?\[])", r"[\1]", str(path.absolute()))


def comma(parts: Iterable[str]) -> str:
    """The parts, separated by commas."""
    return ", ".join(parts)
