"""The records of a spool as something that SQL can select from.

Belongs here: where a value stands in a line, and the table functions that read lines.
Does not belong here: what type a value has to have (values.py, contract.py).
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harvest_pipeline.catalogue.columns import Column, Record
from harvest_pipeline.warehouse.sql import comma, file_pattern, identifier, literal

#: The keys that lead from a record to a value in it; empty: the record itself.
Keys = tuple[str, ...]

#: The line itself, beside the columns of `Lines.texts`. No key of Harvest begins like this.
LINE = "_line"


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of one record in a spool file.

    For a record that stands inside another one, each element of the list is a line, with the
    values from its parent as leading keys: the form that a spool of a child record has anyway.
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
        return (
            f"(SELECT ('{{' || parent || substr(element::VARCHAR, 2))::JSON AS {LINE} FROM (SELECT"
            f" {from_parent} AS parent, unnest({LINE} -> {elements}) AS element FROM {lines}))"
        )

    def texts(self, columns: Iterable[Column], *, with_line: bool = False) -> str:
        """A relation that holds the values of the columns as text; `text_of` finds them there.

        Numbers stand as the shortest text that means the same 64-bit number, so they are exact up
        to 15 digits; longer integers are exact as well. `with_line` adds `_line`.
        """
        keys = _tree(columns)
        if self.record.inside is None and not with_line:
            types = comma(f"{literal(key)}: {literal(_type(inner))}" for key, inner in keys.items())
            return (
                f"read_json({self._file}, format = 'newline_delimited', columns = {{{types}}},"
                " hive_partitioning = false)"
            )
        # Three times slower than read_json, but it can start from a line.
        structure = literal(json.dumps(keys))
        return f"(SELECT {LINE}, unnest(json_transform({LINE}, {structure})) FROM {self.whole})"

    @property
    def _file(self) -> str:
        return literal(file_pattern(self.path))  # DuckDB reads a path as a pattern


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
