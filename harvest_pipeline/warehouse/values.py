"""From the text of a JSON value to a column's type, exactly or not at all.

Belongs here: what "exactly" means for each type of the catalogue.
Does not belong here: which keys a record has (contract.py).

DuckDB's own conversions round without a word: `read_json` makes 2 of 1.5 for an integer column
and 1 of `true`, and reads decimals through floating point.
"""

import json
from collections.abc import Collection
from itertools import groupby

from harvest_pipeline.catalogue.columns import DECIMAL, INSTANT, LIST, TEXT, Column
from harvest_pipeline.warehouse.lines import LINE, Keys, pointer, text_of
from harvest_pipeline.warehouse.sql import comma, literal

#: A number that DECIMAL(28,10) holds as it is written.
_PLAIN_DECIMAL = r"-?[0-9]{1,18}(\.[0-9]{1,10})?"
#: DECIMAL that fits 64 bits: DuckDB 1.5 takes 2 microseconds a value to read a wider one.
_NARROW_DECIMAL = "DECIMAL(18,10)"
#: More decimals than DECIMAL has, to notice that some would be lost.
_FINE_DECIMAL = "DECIMAL(38,20)"


def value_of(column: Column) -> str:
    """The expression for a column's value in `Lines.texts`; NULL where the text is not one."""
    text = text_of(column)
    if column.type in (TEXT, LIST):
        return text
    if column.type == DECIMAL:
        return f"coalesce(TRY_CAST({text} AS {_NARROW_DECIMAL}), TRY_CAST({text} AS {DECIMAL}))"
    return f"TRY_CAST({text} AS {column.type})"


def is_exact(column: Column) -> str | None:
    """The condition that a text which is not NULL means exactly the value of `value_of`.

    None for types that take every text as it is.
    """
    text, value = text_of(column), value_of(column)
    if column.type in (TEXT, LIST):
        return None
    if column.type == INSTANT:
        return f"{value} IS NOT NULL"
    if column.type == DECIMAL:
        # The rest are forms like 1e-07. What has more decimals than the finer type is not 0.
        return (
            f"CASE WHEN regexp_full_match({text}, {literal(_PLAIN_DECIMAL)}) THEN true ELSE"
            f" coalesce({value} = TRY_CAST({text} AS {_FINE_DECIMAL})"
            f" AND ({value} <> 0 OR TRY_CAST({text} AS DOUBLE) = 0), false) END"
        )
    return f"coalesce(CAST({value} AS VARCHAR) = {text}, false)"


def exact_value_of(column: Column) -> str:
    """The expression for a column's value; where it is not exact, the statement fails."""
    exact = is_exact(column)
    if exact is None:
        return value_of(column)
    return (
        f"CASE WHEN {text_of(column)} IS NULL OR {exact} THEN {value_of(column)}"
        f" ELSE error({literal(f'{column.name} does not fit')}) END"
    )


def remainder(paths: Collection[Keys]) -> str:
    """The expression for a JSON object of what stands under these paths of `_line`, and nothing
    else; NULL where nothing stands there. Objects are kept: `{"client": {"new": 1}}`."""
    return _object_of(sorted(paths), 0) if paths else "NULL"


def _object_of(paths: Collection[Keys], depth: int) -> str:
    members: list[str] = []
    for key, group in groupby(paths, lambda path: path[depth]):
        below = list(group)
        value = (
            f"json_extract({LINE}, {literal(pointer(below[0]))})::VARCHAR"
            if len(below[0]) == depth + 1
            else _object_of(below, depth + 1)
        )
        # Text plus NULL is NULL, which concat_ws leaves out.
        members.append(f"{literal(json.dumps(key) + ':')} || {value}")
    return f"nullif('{{' || concat_ws(',', {comma(members)}) || '}}', '{{}}')"
