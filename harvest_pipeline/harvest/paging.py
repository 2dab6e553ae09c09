"""Lists of Harvest, page by page (REFERENCE 4).

Belongs here: the form of a page, the two ways from one page to the next, and what a pass over a
list gives reason to doubt.
Does not belong here: what follows from a doubt (reading.py), and requests (client.py).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast
from urllib.parse import urlsplit

import msgspec

from harvest_pipeline.catalogue.columns import Paging, Record
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import TRY_LATER, AnswerInvalid, one_line
from harvest_pipeline.harvest.transport import Answer

#: The most that Harvest gives.
PER_PAGE = "2000"
#: 20 million records; a chain of cursors that is longer has no end.
_MOST_PAGES = 10_000

#: An id, and the record's JSON on one line.
Line = tuple[int, bytes]


class _Head(msgspec.Struct):
    """What is looked at of a record; `updated_at` is text such as 2025-03-01T14:59:22Z."""

    id: int
    updated_at: object = None


class _Links(msgspec.Struct):
    next: str | None = None


class _Envelope(msgspec.Struct):
    records: list[msgspec.Raw]
    total_entries: int | None = None
    total_pages: int | None = None
    links: _Links | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """The records of a page as Harvest sent them, and what the page says of the whole list.

    `changed_at` is the latest `updated_at` in it, in Harvest's own writing, "" if there is none.
    """

    lines: list[Line]
    changed_at: str
    total_entries: int | None
    total_pages: int | None
    next: str | None


class PageDecoder:
    """Takes pages of one record apart, without an object per record but its bytes."""

    def __init__(self, record: Record) -> None:
        named = msgspec.defstruct(
            "_NamedEnvelope",
            [("records", list[msgspec.Raw], msgspec.field(name=record.envelope))],
            bases=(_Envelope,),
        )
        self._envelope = msgspec.json.Decoder(cast("type[_Envelope]", named))
        self._head = msgspec.json.Decoder(_Head)

    def decode(self, body: bytes) -> Page:
        """The page in `body`. Raises msgspec.DecodeError."""
        envelope = self._envelope.decode(body)
        lines: list[Line] = []
        changed_at = ""
        for raw in envelope.records:
            head = self._head.decode(raw)
            lines.append((head.id, _one_line(bytes(raw))))
            if isinstance(head.updated_at, str) and head.updated_at > changed_at:
                changed_at = head.updated_at
        return Page(
            lines,
            changed_at,
            envelope.total_entries,
            envelope.total_pages,
            envelope.links.next if envelope.links else None,
        )


def _one_line(record: bytes) -> bytes:
    if b"\n" in record or b"\r" in record:  # between tokens; inside strings JSON has none
        return msgspec.json.format(record, indent=-1)
    return record


@dataclass(slots=True)
class Pass:
    """What one pass over a list saw: when it began by Harvest's clock, and the list's length.

    `doubts` are reasons to think that records are missing or come twice, as half sentences.
    """

    began: datetime
    total: int | None
    doubts: list[str] = field(default_factory=list[str])

    def check_total(self, page: Page) -> None:
        """Doubt, if the list has another length now."""
        if page.total_entries != self.total:
            self.doubts.append(
                f"the number of records went from {self.total} to {page.total_entries}"
            )

    def check_unchanged(self, page: Page) -> None:
        """Doubt, if a record of a later page was changed after the first page came.

        It may have come into the list then, and have pushed another one out of sight.
        """
        if page.changed_at >= self.began.strftime("%Y-%m-%dT%H:%M:%SZ"):
            self.doubts.append(f"a record was changed at {page.changed_at}")

    def check_count(self, rows: int, repeated: int) -> None:
        """Doubt, if the records that came are not as many different ones as the list has."""
        if repeated:
            self.doubts.append(f"{repeated} records came twice")
        elif self.total is not None and rows != self.total:
            self.doubts.append(f"{rows} records came of {self.total}")


class Lists:
    """Reads lists of one record; `keep` gets the lines of each page, from any thread."""

    def __init__(self, client: HarvestClient, record: Record) -> None:
        self._client = client
        self._record = record
        self._decoder = PageDecoder(record)

    def read(
        self, url: str, filters: Mapping[str, str], keep: Callable[[Sequence[Line]], None]
    ) -> Pass:
        """Go once over the list at `url`. Raises what `HarvestClient.get` raises."""
        params = {**filters, "per_page": PER_PAGE}
        if self._record.paging is Paging.PAGE:
            return self._by_number(url, params, keep)
        return self._by_cursor(url, params, keep)

    def _by_number(
        self, url: str, params: Mapping[str, str], keep: Callable[[Sequence[Line]], None]
    ) -> Pass:
        first, answer = self._get(url, {**params, "page": "1"})
        if first.total_entries is None or first.total_pages is None:
            raise AnswerInvalid(f"{urlsplit(url).path} came without the number of its records.")
        seen = Pass(answer.asked_at, first.total_entries)
        keep(first.lines)

        def read_page(number: int) -> None:
            page, _ = self._get(url, {**params, "page": str(number)})
            seen.check_total(page)
            seen.check_unchanged(page)
            keep(page.lines)

        self._client.in_flight(read_page, range(2, first.total_pages + 1))
        return seen

    def _by_cursor(
        self, url: str, params: Mapping[str, str], keep: Callable[[Sequence[Line]], None]
    ) -> Pass:
        page, answer = self._get(url, params)
        seen = Pass(answer.asked_at, page.total_entries)
        followed: set[str] = set()
        while True:
            seen.check_total(page)
            keep(page.lines)
            if page.next is None:
                return seen
            if page.next in followed or not page.lines or len(followed) == _MOST_PAGES:
                break
            followed.add(page.next)
            page, _ = self._get(_followed(page.next, url), None)
        raise AnswerInvalid(
            f"The pages of {urlsplit(url).path} lead in a circle or to no end. {TRY_LATER}"
        )

    def _get(self, url: str, params: Mapping[str, str] | None) -> tuple[Page, Answer]:
        return self._client.get(url, self._decoder, params, self._record.permission)


def _followed(link: str, url: str) -> str:
    """`link` if it leads to the same list of the same host; the token goes nowhere else."""
    there, here = urlsplit(link), urlsplit(url)
    if (there.scheme, there.netloc, there.path) != (here.scheme, here.netloc, here.path):
        raise AnswerInvalid(
            f"The next page of {here.path} is said to be at {one_line(there.netloc + there.path)}, "
            "which is another place; no token was sent there. Look at HARVEST_API_URL, and for a "
            "proxy in between."
        )
    return link
