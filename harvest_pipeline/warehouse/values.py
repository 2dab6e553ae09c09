"""From the text of a JSON value to a column's type, exactly or not at all.

DuckDB's own conversions round without a word: `read_json` makes 2 of 1.5 for an integer column
and 1 of `true`, and reads decimals through floating point.
"""

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
)
from harvest_pipeline.warehouse.lines import text_of
from harvest_pipeline.warehouse.sql import literal

#: Fits into 64 bits: DuckDB 1.5 takes 2 microseconds a value to read a wider one.
_NARROW = ("DECIMAL(18,6)", r"-?[0-9]{1,12}(\.[0-9]{1,6})?")
#: DuckDB's own texts of numbers below 1 that are written with an exponent; and its type for them.
_SMALL, _FINE_DECIMAL = r"-?[0-9](\.[0-9]{1,17})?[eE]-[0-9]{1,3}", "DECIMAL(38,37)"
#: And of the large ones, which have at most one decimal.
_LARGE = r"-?[0-9](\.[0-9]{1,17})?[eE]\+?(1[6-9]|[2-9][0-9]|[0-9]{3})"

_FORMS = {
    INTEGER: r"-?[0-9]+(\.0+)?",
    DAY: r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
    INSTANT: r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
    r"(Z|[+-][0-9]{2}:?[0-9]{2})",
    BOOLEAN: "true|false",
}


def value_of(column: Column) -> str:
    """The expression for a column's value in `Lines.texts`; NULL where the text is not one."""
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

    None for types that take every text as it is. DuckDB takes more texts than these: `1_000` for a
    number, `infinity` for a day.
    """
    text, value = text_of(column), value_of(column)
    if column.type in (TEXT, LIST):
        return None
    if column.type not in (DECIMAL, RATE):
        form = literal(_FORMS[column.type])
        return f"(regexp_full_match({text}, {form}) AND {value} IS NOT NULL)"
    scale = column.type.removesuffix(")").partition(",")[2]
    plain = rf"-?[0-9]+(\.[0-9]{{1,{scale}}})?"
    # What has more decimals than the finer type is not 0.
    return (
        f"CASE WHEN regexp_full_match({text}, {literal(_NARROW[1])}) THEN true"
        f" WHEN regexp_full_match({text}, {literal(plain)})"
        f" OR regexp_full_match({text}, {literal(_LARGE)}) THEN {value} IS NOT NULL"
        f" WHEN regexp_full_match({text}, {literal(_SMALL)})"
        f" THEN {value} = TRY_CAST({text} AS {_FINE_DECIMAL})"
        f" AND ({value} <> 0 OR TRY_CAST({text} AS DOUBLE) = 0) ELSE false END"
    )


def exact_value_of(column: Column) -> str:
    """The expression for a column's value; where it is not exact, the statement fails."""
    exact = is_exact(column)
    if exact is None:
        return value_of(column)
    return (
        f"CASE WHEN {text_of(column)} IS NULL OR {exact} THEN {value_of(column)}"
        f" ELSE error({literal(f'{column.name} does not fit')}) END"
    )
