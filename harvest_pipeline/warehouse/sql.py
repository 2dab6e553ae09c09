"""Names and texts written into SQL so that they can only be read as what they are.

Belongs here: quoting. Values of queries are bound instead wherever DuckDB takes parameters; DDL
and the options of table functions are where it does not.
"""

from collections.abc import Iterable


def identifier(name: str) -> str:
    """`name` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """`text` as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def comma(parts: Iterable[str]) -> str:
    """The parts, separated by commas."""
    return ", ".join(parts)
