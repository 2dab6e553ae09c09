"""Harvest's own reports: figures that Harvest computes when it is asked (REFERENCE 10).

Belongs here: the form of a row, and reading a report to its last page.
Does not belong here: which reports are asked for, and what they are compared with (equality/).
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import ReadNotProven
from harvest_pipeline.scope import Window

#: The most that Harvest takes between `from` and `to`; 20210101 to 20220101 was accepted.
LONGEST = 365
_PER_PAGE = "2000"
#: A page of 2000 rows has less than 1 MB; what is larger than this, in bytes, is no page.
_LARGEST_PAGE = 8 * 2**20
#: How often a report is read before its pages count as never at rest.
_READS = 3
#: Beyond these a number is none of hours or money, and writing it out may take megabytes.
_LARGEST, _MOST_DECIMALS = Decimal(10) ** 15, 12


class ReportRow(msgspec.Struct, frozen=True):
    """One row of any of the time, expense and uninvoiced reports; None: it has no such column.

    Hours and money are exact. `currency` is None where the person may not see money.
    """

    client_id: int | None = None
    client_name: str | None = None
    project_id: int | None = None
    project_name: str | None = None
    task_id: int | None = None
    task_name: str | None = None
    user_id: int | None = None
    user_name: str | None = None
    expense_category_id: int | None = None
    expense_category_name: str | None = None
    currency: str | None = None
    total_hours: Decimal | None = None
    billable_hours: Decimal | None = None
    total_amount: Decimal | None = None
    billable_amount: Decimal | None = None
    uninvoiced_hours: Decimal | None = None
    uninvoiced_expenses: Decimal | None = None
    uninvoiced_amount: Decimal | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, Decimal) and not _is_figure(value):
                raise ValueError(f"{name} is no number of hours or money")

    @property
    def about(self) -> tuple[object, ...]:
        """What the row is about; no other row of its report has the same."""
        ids = (self.client_id, self.project_id, self.task_id, self.user_id)
        return (*ids, self.expense_category_id, self.currency)


class _Page(msgspec.Struct):
    results: list[ReportRow]
    total_entries: int
    total_pages: int


_decoder = msgspec.json.Decoder(_Page)


def read_report(
    client: HarvestClient,
    path: str,
    window: Window,
    permission: str,
    params: Mapping[str, str] | None = None,
) -> list[ReportRow]:
    """All rows of the report at `path` (`/reports/time/clients`) for the days of `window`.

    `permission` says who may ask, for the message of a 403. Raises ValueError for more than
    LONGEST days after the first, ReadNotProven, and what `HarvestClient.get` raises.
    """
    if (window.last - window.first).days > LONGEST:
        raise ValueError(f"Harvest takes at most {LONGEST} days after the first, not {window}")
    asked = {**(params or {}), "from": f"{window.first:%Y%m%d}", "to": f"{window.last:%Y%m%d}"}
    for attempt in range(_READS):
        if attempt:
            client.log(f"Reading {path} of {window} again: its pages do not fit together.")
            client.pause(client.patience.reread_pause)
        rows, total = _go_over(client, f"{client.api_url}{path}", asked, permission)
        if len(rows) == total == len({row.about for row in rows}):
            return rows
    raise ReadNotProven(
        f"It is not certain that {path} of {window} came completely: its pages changed while they "
        "were read. Run again when fewer people enter data."
    )


def _go_over(
    client: HarvestClient, url: str, asked: Mapping[str, str], permission: str
) -> tuple[list[ReportRow], int]:
    """The rows of all pages, and how many Harvest says there are."""
    rows: list[ReportRow] = []
    number = pages = 1
    total = 0
    while number <= pages:
        params = {**asked, "per_page": _PER_PAGE, "page": str(number)}
        page, _ = client.get(url, _decoder, params, permission, largest=_LARGEST_PAGE)
        rows += page.results
        # A page without rows is the last one, whatever it says.
        pages = page.total_pages if page.results else 0
        total = page.total_entries
        number += 1
    return rows, total


def _is_figure(value: Decimal) -> bool:
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -_MOST_DECIMALS and abs(value) < _LARGEST
