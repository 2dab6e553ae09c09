"""The records of a spool as a relation for SQL: every value is exact, or rejected.

DuckDB's own conversions round silently: `read_json` reads 1.5 as 2 into an integer column and
`true` as 1, and reads decimals through floating point.
"""

import json
from collections.abc import Collection, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from harvest_pipeline.catalogue.columns import (
    BOOLEAN,
    DAY,
    DECIMAL,
    INSTANT,
    INTEGER,
    LIST,
    RATE,
    TEXT,
    Column,
    Record,
)
from harvest_pipeline.catalogue.records import records_inside
from harvest_pipeline.warehouse.sql import comma, file_pattern, identifier, literal

#: The keys that lead from a record to a value in it; empty: the record itself.
Keys = tuple[str, ...]

#: The line itself.
LINE = "_line"
#: The key under which `keep_unknown` puts values without a column.
UNKNOWN = Column("_unknown", TEXT, "", ("_unknown",))


_Branches = dict[str, Any]
_members_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list_decoder = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of one record in a spool file.

    For a record that is inside another one, each element of the list is a line, with the values
    from its parent as leading keys: the form that a spool of a child record already has.
    """

    record: Record
    path: Path

    @property
    def whole(self) -> str:
        """A relation with the one column `_line`: each record as JSON."""
        lines = f"(SELECT json AS {LINE} FROM read_ndjson_objects({self._file}))"
        if self.record.inside is None:
            return lines
        from_parent = " || ".join(
            f"{literal(json.dumps(column.name) + ':')}"
            f" || coalesce({LINE} -> {literal(pointer((column.from_parent or '',)))}, 'null')"
            " || ','"
            for column in self.record.parent_columns
        )
        elements = literal(f'$."{self.record.envelope}"[*]')
        # An element that is not an object gets no key, which is detected.
        rest = "CASE WHEN element::VARCHAR LIKE '{\"%' THEN substr(element::VARCHAR, 2)"
        rest += " ELSE '\"\":0}' END"
        return (
            f"(SELECT ('{{' || parent || {rest})::JSON AS {LINE} FROM (SELECT"
            f" {from_parent} AS parent, unnest({LINE} -> {elements}) AS element FROM {lines}))"
        )

    @property
    def owner(self) -> Column:
        """The column with the id of the record that a line is, or is part of."""
        if self.record.inside is None:
            return self.record.column(self.record.key)
        return self.record.link

    def texts(self, columns: Iterable[Column]) -> str:
        """A relation that contains the values of the columns as text; `text_of` selects them.

        Numbers are the shortest text that means the same 64-bit number, so they are exact up to 15
        digits; longer integers are exact as well.
        """
        keys = _tree(columns)
        if self.record.inside is None:
            types = comma(f"{literal(key)}: {literal(_type(inner))}" for key, inner in keys.items())
            return (
                f"read_json({self._file}, format = 'newline_delimited', columns = {{{types}}},"
                " hive_partitioning = false)"
            )
        # Three times slower than read_json, but it can start from a line.
        structure = literal(json.dumps(keys))
        return f"(SELECT unnest(json_transform({LINE}, {structure})) FROM {self.whole})"

    @property
    def _file(self) -> str:
        return literal(file_pattern(self.path))  # DuckDB reads a path as a pattern


def keep_unknown(path: Path, record: Record, unknown: Mapping[str, Collection[Keys]]) -> None:
    """Rewrite a spool file so that the values under the `unknown` paths of each record, by its
    name, are one text with every number as it was sent: DuckDB would turn 1.10 into 1.1.
    """
    trees = {name: _branches(paths) for name, paths in unknown.items()}
    with rewriting(path) as (lines, kept):
        for line in lines:
            members = _members_decoder.decode(line)
            for inner in records_inside(record):
                elements = members.get(inner.envelope)
                if trees[inner.name] and elements is not None and bytes(elements) != b"null":
                    members[inner.envelope] = msgspec.Raw(
                        _encoder.encode(
                            [
                                _apart(each, trees[inner.name])
                                for each in _list_decoder.decode(elements)
                            ]
                        )
                    )
            kept.write(_encoder.encode(_apart(members, trees[record.name])) + b"\n")


@contextmanager
def rewriting(path: Path) -> Generator[tuple[BinaryIO, BinaryIO]]:
    """The lines of a file, and the file that replaces it if the block succeeds."""
    with path.open("rb") as lines, path.with_suffix(".new").open("wb") as kept:
        yield lines, kept
    path.with_suffix(".new").replace(path)


def text_of(column: Column) -> str:
    """The expression for a column's text in `Lines.texts`, whose alias is `texts`."""
    return ".".join(("texts", *(identifier(key) for key in column.path)))


def pointer(keys: Keys) -> str:
    """The JSON Pointer (RFC 6901) to the value under these keys."""
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys)


def _tree(columns: Iterable[Column]) -> dict[str, Any]:
    """The keys of the columns as nested dicts, with the type to read at each end."""
    tree: dict[str, Any] = {}
    for column in columns:
        node = tree
        for key in column.path[:-1]:
            node = node.setdefault(key, {})
        node[column.path[-1]] = "JSON" if column.type == "JSON" else "VARCHAR"
    return tree


def _type(node: dict[str, Any] | str) -> str:
    """The DuckDB type of a node of `_tree`."""
    if isinstance(node, str):
        return node
    return f"STRUCT({comma(f'{identifier(key)} {_type(inner)}' for key, inner in node.items())})"


def _branches(paths: Collection[Keys]) -> _Branches:
    """Paths as nested dicts, empty at each end."""
    tree: _Branches = {}
    for path in sorted(paths):
        node = tree
        for key in path:
            node = node.setdefault(key, {})
    return tree


def _apart(members: dict[str, msgspec.Raw], unknown: _Branches) -> dict[str, Any]:
    """The members, with the values under their unknown paths first, as one text."""
    found = _taken(members, unknown)
    return {UNKNOWN.name: _encoder.encode(found).decode() if found else None, **members}


def _taken(members: dict[str, msgspec.Raw], unknown: _Branches) -> dict[str, Any]:
    """The values under the unknown paths; they are removed from the members."""
    found: dict[str, Any] = {}
    for key, below in unknown.items():
        if key in members and not below:
            found[key] = members.pop(key)
        elif key in members and bytes(members[key]).startswith(b"{"):
            inner = _members_decoder.decode(members[key])
            if taken := _taken(inner, below):
                found[key] = taken
    return found


#: Fits into 64 bits: DuckDB 1.5 takes 2 microseconds per value to read a wider one.
_NARROW = ("DECIMAL(18,6)", r"-?[0-9]{1,12}(\.[0-9]{1,6})?")
#: DuckDB's own texts for numbers below 1 that are written with an exponent; and its type for them.
_SMALL, _FINE_DECIMAL = r"-?[0-9](\.[0-9]{1,17})?[eE]-[0-9]{1,3}", "DECIMAL(38,37)"
#: And for large ones, which have at most one decimal.
_LARGE = r"-?[0-9](\.[0-9]{1,17})?[eE]\+?(1[6-9]|[2-9][0-9]|[0-9]{3})"

_FORMS = {
    INTEGER: r"-?[0-9]+(\.0+)?",
    DAY: r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
    INSTANT: r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
    r"(Z|[+-][0-9]{2}:?[0-9]{2})",
    BOOLEAN: "true|false",
}


def value_of(column: Column) -> str:
    """The expression for a column's value in `Lines.texts`; NULL if the text is invalid."""
    text = text_of(column)
    if column.type in (TEXT, LIST):
        return text
    if column.type in (DECIMAL, RATE):
        type, form = _NARROW
        return (
            f"CASE WHEN regexp_full_match({text}, {literal(form)}) THEN TRY_CAST({text} AS {type})"
            f" ELSE TRY_CAST({text} AS {column.type}) END"
        )
    return f"TRY_CAST({text} AS {column.type})"


def is_exact(column: Column) -> str | None:
    """The condition that a text which is not NULL means exactly the value of `value_of`.

    None for types that accept every text unchanged. DuckDB accepts more texts than these: `1_000`
    for a number, `infinity` for a day.
    """
    text, value = text_of(column), value_of(column)
    if column.type in (TEXT, LIST):
        return None
    if column.type not in (DECIMAL, RATE):
        form = literal(_FORMS[column.type])
        return f"(regexp_full_match({text}, {form}) AND {value} IS NOT NULL)"
    scale = column.type.removesuffix(")").partition(",")[2]
    plain = rf"-?[0-9]+(\.[0-9]{{1,{scale}}})?"
    # A number with more decimals than the finer type is not 0.
    return (
        f"CASE WHEN regexp_full_match({text}, {literal(_NARROW[1])}) THEN true"
        f" WHEN regexp_full_match({text}, {literal(plain)})"
        f" OR regexp_full_match({text}, {literal(_LARGE)}) THEN {value} IS NOT NULL"
        f" WHEN regexp_full_match({text}, {literal(_SMALL)})"
        f" THEN {value} = TRY_CAST({text} AS {_FINE_DECIMAL})"
        f" AND ({value} <> 0 OR TRY_CAST({text} AS DOUBLE) = 0) ELSE false END"
    )


def exact_value_of(column: Column) -> str:
    """The expression for a column's value; the statement fails if it is not exact."""
    exact = is_exact(column)
    if exact is None:
        return value_of(column)
    return (
        f"CASE WHEN {text_of(column)} IS NULL OR {exact} THEN {value_of(column)}"
        f" ELSE error({literal(f'{column.name} does not fit')}) END"
    )
