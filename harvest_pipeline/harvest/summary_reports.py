"""Harvest's own summary reports, which Harvest computes on request.

The facts about Harvest that it relies on are in docs/harvest-api.md.
"""

from collections.abc import Mapping
from decimal import Decimal

from harvest_pipeline.catalogue.columns import Paging
from harvest_pipeline.harvest import pages
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.extract import proven
from harvest_pipeline.harvest.pages import Pass, RowDecoder
from harvest_pipeline.scope import Window

#: The maximum number of days from `from` to `to`; 20210101 to 20220101 was accepted.
LONGEST = 365
#: Beyond these it is not an amount of hours or money, and printing it may take megabytes.
_LARGEST, _MOST_DECIMALS = Decimal(10) ** 15, 12


class ReportRow(pages.Row, frozen=True):
    """One row of any of the time, expense and uninvoiced reports; None: it has no such column.

    Hours and money are exact. `currency` is None if the person is not allowed to see money.
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
        pages.Row.__post_init__(self)
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, Decimal) and not _is_figure(value):
                raise ValueError(f"{name} is no number of hours or money")

    @property
    def about(self) -> tuple[object, ...]:
        """The subject of the row; no other row of its report has the same."""
        ids = (self.client_id, self.project_id, self.task_id, self.user_id)
        return (*ids, self.expense_category_id, self.currency)


_decoder = RowDecoder(ReportRow)


def read_report(
    client: HarvestClient,
    path: str,
    window: Window,
    permission: str,
    params: Mapping[str, str] | None = None,
) -> list[ReportRow]:
    """All rows of the report at `path` (`/reports/time/clients`) for the days of `window`.

    `permission` says who is allowed to read it, for the message of a 403. Raises ValueError if the
    last day is more than LONGEST days after the first, ReadNotProven, and what `HarvestClient.get`
    raises.
    """
    if (window.last - window.first).days > LONGEST:
        raise ValueError(f"Harvest takes at most {LONGEST} days after the first, not {window}")
    days = {"from": f"{window.first:%Y%m%d}", "to": f"{window.last:%Y%m%d}"}
    rows: list[ReportRow] = []

    def go_over() -> Pass:
        rows.clear()
        seen = client.pages(
            f"{client.api_url}{path}",
            _decoder,
            {**(params or {}), **days},
            lambda page: rows.extend(page.rows),
            paging=Paging.PAGE,
            permission=permission,
        )
        seen.check_count(len(rows), len({row.about for row in rows}))
        return seen

    proven(client, f"{path} of {window}", go_over)
    return rows


def _is_figure(value: Decimal) -> bool:
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -_MOST_DECIMALS and abs(value) < _LARGEST
