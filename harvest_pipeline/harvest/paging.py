"""Lists of Harvest, page by page (REFERENCE 4).

Belongs here: the form of a page, the two ways from one page to the next, and what a pass over a
list gives reason to doubt.
Does not belong here: what follows from a doubt (reading.py), and requests (client.py).
"""

import codecs
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar, cast
from urllib.parse import urlsplit

import msgspec

from harvest_pipeline.catalogue.columns import Paging, Record
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import TRY_LATER, AnswerInvalid, one_line
from harvest_pipeline.harvest.progress import observer
from harvest_pipeline.harvest.transport import Answer
from harvest_pipeline.harvest.unusable import LARGEST_RECORD, RecordId, cut
from harvest_pipeline.scope import Rejected

#: The most that Harvest gives.
PER_PAGE = "2000"
#: A page of 2000 time entries is about 4 MB; what is larger than this, in bytes, is no page.
_LARGEST_PAGE = 64 * 2**20
#: Longer than any of Harvest's, in bytes.
_LONGEST_LINK, _LONGEST_INSTANT = 8192, 64
_CHECKED_BYTES = 64 * 2**10

T = TypeVar("T", bound=msgspec.Struct)
#: 20 million records; a chain of cursors that is longer has no end.
_MOST_PAGES = 10_000

#: An id, and the record's JSON on one line.
Line = tuple[int, bytes]
#: What takes the records of a page, and those that cannot be used; from any thread.
Keep = Callable[[Sequence[Line], Sequence[Rejected]], None]


class TooMany(Exception):
    """A list is longer than its reader wants: how long, and Harvest's clock before it was asked."""

    def __init__(self, records: int, asked_at: datetime) -> None:
        super().__init__(f"{records} records")
        self.records = records
        self.asked_at = asked_at


class _Progress(threading.local):
    """How many records of its page this thread has come to."""

    records = 0


_progress = _Progress()


class _Head(msgspec.Struct):
    """What is looked at of a record; `updated_at` is text such as 2025-03-01T14:59:22Z."""

    id: RecordId
    updated_at: msgspec.Raw = msgspec.Raw()

    def __post_init__(self) -> None:
        # Millions of tiny records are noticed here, before an object is made of each.
        _progress.records += 1
        if _progress.records > int(PER_PAGE):
            raise ValueError(f"more than {PER_PAGE} records")


class _Links(msgspec.Struct):
    next: str | None = None


class _Bodies(msgspec.Struct):
    records: list[msgspec.Raw]


class _Envelope(msgspec.Struct):
    records: list[_Head]
    total_entries: int | None = None
    total_pages: int | None = None
    links: _Links | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """The records of a page as Harvest sent them, and what the page says of the whole list.

    `rejected` are those that cannot be used. `changed_at` is the latest `updated_at` in it, in
    Harvest's own writing, "" if there is none.
    """

    lines: list[Line]
    rejected: list[Rejected]
    changed_at: str
    total_entries: int | None
    total_pages: int | None
    next: str | None


class PageDecoder:
    """Takes pages of one record apart: of each record its head, and its bytes."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._envelope = _decoder(_Envelope, list[_Head], record)
        self._bodies = _decoder(_Bodies, list[msgspec.Raw], record)

    def decode(self, body: bytes) -> Page:
        """The page in `body`. Raises msgspec.DecodeError, UnicodeDecodeError and RecursionError for
        what is no page, RecordUnusable for a record without an id."""
        try:
            return self._page(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            rest, rejected, changed_at = cut(body, self._record, int(PER_PAGE))
            if not rejected:
                raise
        page = self._page(rest)
        return replace(page, rejected=rejected, changed_at=max(page.changed_at, changed_at))

    def _page(self, body: bytes) -> Page:
        _check_encoding(body)
        _progress.records = 0
        envelope = self._envelope.decode(body)
        bodies = self._bodies.decode(body).records
        return Page(
            [
                (head.id, _one_line(_bytes_of(raw)))
                for head, raw in zip(envelope.records, bodies, strict=True)
            ],
            [],
            max((_instant(head.updated_at) for head in envelope.records), default=""),
            envelope.total_entries,
            envelope.total_pages,
            envelope.links.next if envelope.links else None,
        )


def _decoder(form: type[T], elements: object, record: Record) -> msgspec.json.Decoder[T]:
    """A decoder for pages of `form`, in which the list of records has the record's name."""
    named = msgspec.defstruct(
        form.__name__,
        [("records", elements, msgspec.field(name=record.envelope))],
        bases=(form,),
    )
    return msgspec.json.Decoder(cast("type[T]", named))


def _check_encoding(body: bytes) -> None:
    """Raise UnicodeDecodeError if `body` is not UTF-8: msgspec.Raw does not look into strings."""
    if not body.isascii():
        decoder = codecs.getincrementaldecoder("utf-8")()
        with memoryview(body) as view:  # as a whole, text may take four times the memory
            for start in range(0, len(body), _CHECKED_BYTES):
                decoder.decode(view[start : start + _CHECKED_BYTES])
        decoder.decode(b"", final=True)


def _bytes_of(raw: msgspec.Raw) -> bytes:
    if memoryview(raw).nbytes > LARGEST_RECORD:
        raise msgspec.ValidationError(f"a record is larger than {LARGEST_RECORD // 2**20} MiB")
    return bytes(raw)


def _instant(raw: msgspec.Raw) -> str:
    """The text of an `updated_at`, "" for everything that is none."""
    if memoryview(raw).nbytes > _LONGEST_INSTANT:
        return ""
    text: object = msgspec.json.decode(raw) if bytes(raw) else None
    return text if isinstance(text, str) else ""


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
            self.doubts.append(f"a record was changed at {one_line(page.changed_at)}")

    def check_count(self, rows: int, repeated: int) -> None:
        """Doubt, if the records that came are not as many different ones as the list has."""
        if repeated:
            self.doubts.append(f"{repeated} records came twice")
        elif self.total is not None and rows != self.total:
            self.doubts.append(f"{rows} records came of {self.total}")


class Lists:
    """Reads lists of one record, and hands over each page as it comes."""

    def __init__(self, client: HarvestClient, record: Record, most: int | None = None) -> None:
        self._client = client
        self._record = record
        self._most = most
        self._decoder = PageDecoder(record)

    def read(self, url: str, filters: Mapping[str, str], keep: Keep) -> Pass:
        """Go once over the list at `url`. Raises what `HarvestClient.get` raises, and TooMany where
        the first page tells of more records than `most`."""
        params = {**filters, "per_page": PER_PAGE}
        if self._record.paging is Paging.PAGE:
            return self._by_number(url, params, keep)
        return self._by_cursor(url, params, keep)

    def _by_number(self, url: str, params: Mapping[str, str], keep: Keep) -> Pass:
        first, answer = self._get(url, {**params, "page": "1"})
        if first.total_entries is None or first.total_pages is None:
            raise AnswerInvalid(f"{urlsplit(url).path} came without the number of its records.")
        seen = Pass(answer.asked_at, first.total_entries)
        self._check_length(seen)
        keep(first.lines, first.rejected)

        def read_page(number: int) -> None:
            page, _ = self._get(url, {**params, "page": str(number)})
            seen.check_total(page)
            seen.check_unchanged(page)
            keep(page.lines, page.rejected)

        self._client.in_flight(read_page, range(2, first.total_pages + 1))
        return seen

    def _by_cursor(self, url: str, params: Mapping[str, str], keep: Keep) -> Pass:
        page, answer = self._get(url, params)
        seen = Pass(answer.asked_at, page.total_entries)
        self._check_length(seen)
        followed: set[str] = set()
        while True:
            seen.check_total(page)
            keep(page.lines, page.rejected)
            if page.next is None:
                return seen
            is_empty = not page.lines and not page.rejected
            if page.next in followed or is_empty or len(followed) == _MOST_PAGES:
                break
            followed.add(page.next)
            page, _ = self._get(_followed(page.next, url), None)
        raise AnswerInvalid(
            f"The pages of {urlsplit(url).path} lead in a circle or to no end. {TRY_LATER}"
        )

    def _check_length(self, seen: Pass) -> None:
        if self._most is not None and (seen.total or 0) > self._most:
            raise TooMany(seen.total or 0, seen.began)

    def _get(self, url: str, params: Mapping[str, str] | None) -> tuple[Page, Answer]:
        page, answer = self._client.get(
            url, self._decoder, params, self._record.permission, largest=_LARGEST_PAGE
        )
        observer().received(len(page.lines) + len(page.rejected))
        return page, answer


def _followed(link: str, url: str) -> str:
    """`link` if it leads to the same list of the same host; the token goes nowhere else."""
    # Letter by letter: programs that take addresses apart differ in what they see in odd ones.
    there, here = link.partition("?")[0], url.partition("?")[0]
    path = urlsplit(here).path
    if there != here:
        # Of the address its host only: in the rest there may be a token.
        raise AnswerInvalid(
            f"The next page of {path} is said to be at {_host_of(there)}, which is another place; "
            "no token was sent there. Look at HARVEST_API_URL, and for a proxy in between."
        )
    if len(link) > _LONGEST_LINK:
        raise AnswerInvalid(f"The address of the next page of {path} has {len(link)} letters.")
    return link


def _host_of(address: str) -> str:
    try:
        return one_line(urlsplit(address).hostname or "no host")
    except ValueError:
        return "no host"
