"""The value types of the catalogue: Column, Record, Report.

What it rests on stands in docs/harvest-api.md.
"""

from dataclasses import dataclass, field
from enum import StrEnum

#: Ids of every kind are 64-bit.
ID = "BIGINT"
INTEGER = "BIGINT"
#: Hours, quantities, amounts: what Harvest calculates, and may print with all 17 digits of a float,
#: such as 0.30000000000000004.
DECIMAL = "DECIMAL(38,18)"
#: Rates, prices and percentages, which people enter: Harvest has two or three decimals of them. An
#: amount times a rate has 24 decimals, which leaves 14 of DuckDB's 38 digits before the point.
RATE = "DECIMAL(38,6)"
TEXT = "VARCHAR"
BOOLEAN = "BOOLEAN"
#: A calendar day as a person entered it, without a time zone.
DAY = "DATE"
#: An instant; Harvest writes UTC.
INSTANT = "TIMESTAMPTZ"
#: A list without keys of its own, kept as Harvest sent it.
LIST = "JSON"


#: The column (and query parameter) that a parameter of a run is compared with.
FILTER_COLUMNS = {"project_ids": "project_id", "user_ids": "user_id", "invoice_status": "state"}


class Paging(StrEnum):
    """How a list is read to its end."""

    PAGE = "page"
    CURSOR = "cursor"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a record's table, and where its value stands in the record's JSON.

    `path` leads from the record to the value (`client.id` is `("client", "id")`). `from_parent`
    names the key of the parent record that the value is taken from, for values that the record
    itself does not hold. `nullable`: Harvest may send null. `optional`: the key may be missing
    altogether (a missing key is stored as NULL). `references` is the record whose id this is.
    `copy_of` are the columns of that record which the column repeats, joined by a blank; the id
    stands under the same key. `through` is the column with the id of another record that has this
    column too: the client of a time entry is that of its project, and changes with it.
    """

    name: str
    type: str
    description: str
    path: tuple[str, ...]
    nullable: bool = False
    optional: bool = False
    references: str | None = None
    from_parent: str | None = None
    copy_of: tuple[str, ...] = ()
    through: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One kind of thing that Harvest stores; one table of the same name.

    `endpoint` is the path of its list, with `{parent}_id` in braces where there is one request per
    parent record; None for a list that stands inside another record (`inside`, under the key
    `envelope`). `day` is the column that a window is compared with; None means that the record is
    small and replaced whole. `module` is the `/company` flag that must be on. `measure` is the
    column that is totalled for people (`measure_unit`: "hours", or the column with the currency).
    `filters` are the query parameters of its list; `endpoint_of_project` is the path of a list of
    one project's, for a record whose own list has no parameter for it.
    """

    name: str
    title: str
    description: str
    envelope: str
    columns: tuple[Column, ...]
    documentation: str
    permission: str
    endpoint: str | None = None
    paging: Paging = Paging.CURSOR
    key: str = "id"
    day: str | None = None
    parent: str | None = None
    inside: str | None = None
    filters: tuple[str, ...] = ()
    endpoint_of_project: str | None = None
    module: str | None = None
    measure: str | None = None
    measure_unit: str | None = None

    def column(self, name: str) -> Column:
        """The column of that name; raises KeyError if there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.name} has no column {name}")

    @property
    def parent_columns(self) -> tuple[Column, ...]:
        """The columns whose values come from the parent record."""
        return tuple(column for column in self.columns if column.from_parent)


@dataclass(frozen=True, slots=True)
class Report:
    """A window onto a record, as people ask for it; one asset each.

    A report whose name is not its record's name is a view on the record's table. `parameters` are
    those that Harvest applies to it: window, updated_since, invoice_status,
    project_ids, user_ids.
    """

    name: str
    record: str
    group: str
    description: str
    parameters: tuple[str, ...] = field(default=())

    @property
    def is_view(self) -> bool:
        """Whether the report is a view on the table of another name."""
        return self.name != self.record
