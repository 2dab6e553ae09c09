"""The value types of the catalogue: Column, Record, Report.

The facts about Harvest that it relies on are in docs/harvest-api.md.
"""

from dataclasses import dataclass, field
from enum import StrEnum

#: Ids of every kind are 64-bit.
ID = "BIGINT"
INTEGER = "BIGINT"
#: Hours, quantities, amounts: Harvest calculates them, and may print all 17 digits of a float, such
#: as 0.30000000000000004.
DECIMAL = "DECIMAL(38,18)"
#: Rates, prices and percentages, entered by people: Harvest keeps two or three decimals. An amount
#: times a rate has 24 decimals, which leaves 14 of DuckDB's 38 digits before the point.
RATE = "DECIMAL(38,6)"
TEXT = "VARCHAR"
BOOLEAN = "BOOLEAN"
#: A calendar day as a person entered it, without a time zone.
DAY = "DATE"
#: An instant; Harvest writes it in UTC.
INSTANT = "TIMESTAMPTZ"
#: A list without keys of its own, kept as Harvest sent it.
LIST = "JSON"


#: What a `from_parent` names besides columns of the parent: the id of the account, today's date in
#: the project's time zone, and a number made of the other ones and of the id that Harvest sends,
#: for records whose id alone identifies no row.
ACCOUNT_ID, TODAY, ROW_KEY = "account_id", "today", "row_key"


#: The column (and query parameter) that a run's parameter is compared with.
FILTER_COLUMNS = {"project_ids": "project_id", "user_ids": "user_id", "invoice_status": "state"}


class Paging(StrEnum):
    """How a list is read to its end."""

    PAGE = "page"
    CURSOR = "cursor"
    #: It is no list: the response is the one record.
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a record's table, and the path of its value in the record's JSON.

    `path` leads from the record to the value (`client.id` is `("client", "id")`). `from_parent`
    names the column of the parent record that the value is taken from, for values that the record
    itself does not hold, or is ACCOUNT_ID, TODAY or ROW_KEY. `nullable`: Harvest may send null.
    `optional`: the key may be missing, which is stored as NULL. `references` is the record whose id
    this is.
    `copy_of` lists the columns of that record which this column repeats, joined by a blank; the id
    is under the same key. `through` is the column with the id of another record that has this
    column too: the client of a time entry is its project's client, and changes with it.
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
    """One kind of record in Harvest; one table of the same name.

    `endpoint` is the path of its list, with `{parent}_id` in braces if there is one request per
    parent record; None for a list inside another record (`inside`, under the key `envelope`).
    `day` is the column that a window is compared with; None means that the record is small and
    always replaced as a whole. `module` is the `/company` flag that must be on. `measure` is the
    column that is summed for display (`measure_unit`: "hours", or the column with the currency).
    `parent_has` is a column of the parent and a text: only parents whose list there contains the
    text have such records. `id_key` is the key of the id in Harvest's JSON; of a record without
    paging there is none.
    `filters` are the query parameters of its list. `endpoint_of_project` is the path of the list
    for one project, for a record whose own list has no such parameter.
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
    id_key: str = "id"
    day: str | None = None
    parent: str | None = None
    parent_has: tuple[str, str] | None = None
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
    def is_snapshot(self) -> bool:
        """Whether its rows are what Harvest showed on a day: only today's can be read."""
        return self.day is not None and self.column(self.day).from_parent == TODAY

    @property
    def link(self) -> Column:
        """The column with the id of the parent, or of the record that this one is inside. Raises
        StopIteration if there is neither."""
        return next(column for column in self.columns if column.from_parent == "id")

    @property
    def parent_columns(self) -> tuple[Column, ...]:
        """The columns whose values come from the parent record."""
        return tuple(column for column in self.columns if column.from_parent)


@dataclass(frozen=True, slots=True)
class Report:
    """A view of a record that Harvest's users know as a report; one asset each.

    A report whose name is not its record's name is a view on the record's table. `parameters` are
    the ones that Harvest applies to it: window, updated_since, invoice_status, project_ids,
    user_ids.
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
