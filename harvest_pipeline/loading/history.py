"""How much Harvest has from before a day, and since when: what a start date leaves out.

The facts about Harvest that it relies on are in docs/harvest-api.md.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import msgspec

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import PermissionMissing, RecordNotFound
from harvest_pipeline.harvest.pages import LARGEST_PAGE, PageDecoder

_any_decoder = msgspec.json.Decoder(dict[str, object])


@dataclass(frozen=True, slots=True)
class History:
    """The number of records by their title, none of them 0, and the day of the oldest one; None if
    that record cannot be read."""

    numbers: Mapping[str, int]
    first: date | None

    def __str__(self) -> str:
        every = [f"{number:,} {title}" for title, number in self.numbers.items()]
        since = f", the oldest of {self.first}" if self.first else ""
        return " and ".join(filter(None, [", ".join(every[:-1]), every[-1]])) + since


def history(
    client: HarvestClient, records: Iterable[Record], before: date | None = None
) -> History | None:
    """What Harvest has of those `records` that it lists by day, or of these before a day; None if
    there is nothing.

    One request for each list, and one more for its oldest record. A list that the person may not
    see, or whose module is off, counts as empty. Raises what `HarvestClient.get` raises.
    """
    numbers: dict[str, int] = {}
    days: list[date] = []
    params = {"to": f"{before - timedelta(days=1)}"} if before else {}
    for record in records:
        if record.day is None or "to" not in record.filters:
            continue
        try:
            number, day = _oldest(client, record, params)
        except (PermissionMissing, RecordNotFound):
            continue
        if number:
            numbers[record.title.lower()] = number
            days += [day] if day else []
    return History(numbers, min(days, default=None)) if numbers else None


def left_out(client: HarvestClient, records: Iterable[Record], start: date) -> str | None:
    """A sentence about what Harvest has from before the first day that is loaded, if anything; see
    `history`."""
    older = history(client, records, before=start)
    return older and (
        f"Not loaded, since HARVEST_START_DATE is {start}: Harvest has {older}. Set an earlier day "
        "to load them."
    )


def proposal(client: HarvestClient, records: Iterable[Record], start: date) -> str | None:
    """A sentence that proposes the account's own first day in the place of `start`, if that is
    another day; see `history`."""
    every = history(client, records)
    if every is None or every.first in (None, start):
        return None
    return (
        f"Harvest has {every}. HARVEST_START_DATE={every.first} loads all of it; it is {start} now."
    )


def _oldest(
    client: HarvestClient, record: Record, params: Mapping[str, str]
) -> tuple[int, date | None]:
    """The length of a list, and the day of its last record: lists by day come newest first."""
    url, decoder = f"{client.api_url}{record.endpoint}", PageDecoder(record)
    params = {**params, "per_page": "1"}
    page, _ = client.get(url, decoder, params, record.permission, LARGEST_PAGE)
    if not page.total_entries:
        return 0, None
    if page.total_entries > 1:
        last = {**params, "page": f"{page.total_entries}"}
        oldest, _ = client.get(url, decoder, last, record.permission, LARGEST_PAGE)
    else:
        oldest = page
    return page.total_entries, _day_of(record, [line for _, line in oldest.rows])


def _day_of(record: Record, lines: list[bytes]) -> date | None:
    (key,) = record.column(record.day or "").path
    value = _any_decoder.decode(lines[0]).get(key) if lines else None
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        return None
