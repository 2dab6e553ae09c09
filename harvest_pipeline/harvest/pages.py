"""Pages of a Harvest list: their form, their records byte for byte, and signs of incomplete reads.

A list by page number can shift during the read: if a record on a page already read is deleted,
another record moves across the page border, unseen. A read counts as complete if every page has the
same total, that many records came, none of them twice, and none of those on later pages had been
changed since the first page. Then none of the records is new; so all of them were in the list when
the first page came; and since there are as many, they are that list. If a deletion and an insertion
cancel out, only the last condition fails. A list by cursor cannot shift; new records come before
its beginning.

The facts about Harvest that it relies on are in docs/harvest-api.md.
"""

import codecs
import threading
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from typing import Any, Generic, TypeVar, cast
from urllib.parse import urlsplit

import msgspec

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.harvest.errors import AnswerInvalid
from harvest_pipeline.harvest.spool import Line
from harvest_pipeline.harvest.unusable import LARGEST_RECORD, RecordId, cut
from harvest_pipeline.safety.hosts import host_of
from harvest_pipeline.safety.text import one_line
from harvest_pipeline.scope import Rejected

#: The maximum that Harvest allows.
PER_PAGE = "2000"
#: A page of 2000 time entries is about 4 MB; a larger response than this, in bytes, is not a page.
LARGEST_PAGE = 64 * 2**20
#: Longer than any of Harvest's links, in bytes.
_LONGEST_LINK, _LONGEST_INSTANT = 8192, 64
_CHECKED_BYTES = 64 * 2**10

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """The `rows` of a page, and its data about the whole list.

    `rejected` are records that cannot be used. `changed_at` is the latest `updated_at` on the page,
    as Harvest wrote it, "" if there is none.
    """

    rows: list[T]
    total_entries: int | None
    total_pages: int | None
    next: str | None = None
    changed_at: str = ""
    rejected: list[Rejected] = field(default_factory=list[Rejected])

    def __len__(self) -> int:
        return len(self.rows) + len(self.rejected)


class _Counter(threading.local):
    """How many rows of its page this thread has decoded so far."""

    rows = 0


_counter = _Counter()


class Row(msgspec.Struct, frozen=True):
    """Base of the decoded part of a row."""

    def __post_init__(self) -> None:
        # This stops millions of tiny rows before an object is created for each.
        _counter.rows += 1
        if _counter.rows > int(PER_PAGE):
            raise ValueError(f"more than {PER_PAGE} records")


class ObjectDecoder:
    """Decodes a response that is one record: its bytes."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def decode(self, body: bytes) -> bytes:
        """The record in `body`, on one line. Raises msgspec.DecodeError, UnicodeDecodeError and
        RecursionError if it is no object, or one without any field of the record."""
        _check_encoding(body)
        fields = _object_decoder.decode(body)
        if not any(column.path[0] in fields for column in self._record.columns):
            raise msgspec.ValidationError(f"this is not a {self._record.name}")
        return _one_line(body.strip())


_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Links(msgspec.Struct):
    next: str | None = None


class _Envelope(msgspec.Struct, kw_only=True):
    records: list[Any]
    total_entries: int | None = None
    total_pages: int | None = None
    links: _Links | None = None


class RowDecoder(Generic[T]):
    """Decodes pages of rows of a given type, in full."""

    def __init__(self, row: type[T]) -> None:
        self._decoder = _decoder("results", list[row])

    def decode(self, body: bytes) -> Page[T]:
        """The page in `body`. Raises msgspec.DecodeError, UnicodeDecodeError and RecursionError if
        it is not a page."""
        _counter.rows = 0
        page = self._decoder.decode(body)
        return Page(page.records, page.total_entries, page.total_pages)


class PageDecoder:
    """Splits pages of one record: for each record, the decoded part and its bytes."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._heads = _decoder(record.envelope, list[_head(record.id_key)])
        self._bodies = _decoder(record.envelope, list[msgspec.Raw])

    def decode(self, body: bytes) -> Page[Line]:
        """The page in `body`. Raises msgspec.DecodeError, UnicodeDecodeError and RecursionError if
        it is not a page, RecordUnusable for a record without an id."""
        try:
            return self._page(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            rest, rejected, changed_at = cut(body, self._record, int(PER_PAGE))
            if not rejected:
                raise
        page = self._page(rest)
        return replace(page, rejected=rejected, changed_at=max(page.changed_at, changed_at))

    def _page(self, body: bytes) -> Page[Line]:
        _check_encoding(body)
        _counter.rows = 0
        heads = self._heads.decode(body)
        bodies = self._bodies.decode(body).records
        return Page(
            [
                (head.id, _one_line(_bytes_of(raw)))
                for head, raw in zip(heads.records, bodies, strict=True)
            ],
            heads.total_entries,
            heads.total_pages,
            heads.links.next if heads.links else None,
            max((_instant(head.updated_at) for head in heads.records), default=""),
        )


@cache
def _head(id_key: str) -> Any:
    """The decoded part of a record: `id`, and `updated_at`, such as 2025-03-01T14:59:22Z."""
    fields = [
        ("id", RecordId, msgspec.field(name=id_key)),
        ("updated_at", msgspec.Raw, msgspec.Raw()),
    ]
    return msgspec.defstruct("Head", fields, bases=(Row,), frozen=True)


def _decoder(name: str, elements: object) -> msgspec.json.Decoder[_Envelope]:
    """A decoder for pages in which the list of records has that name."""
    records = ("records", elements, msgspec.field(name=name))
    form = msgspec.defstruct("Page", [records], bases=(_Envelope,), kw_only=True)
    return msgspec.json.Decoder(cast("type[_Envelope]", form))


def _check_encoding(body: bytes) -> None:
    """Raise UnicodeDecodeError if `body` is not UTF-8: msgspec.Raw does not check strings."""
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
    """The text of an `updated_at`, "" for anything else."""
    if memoryview(raw).nbytes > _LONGEST_INSTANT:
        return ""
    text: object = msgspec.json.decode(raw) if bytes(raw) else None
    return text if isinstance(text, str) else ""


def _one_line(record: bytes) -> bytes:
    if b"\n" in record or b"\r" in record:  # between tokens; JSON strings have none
        return msgspec.json.format(record, indent=-1)
    return record


@dataclass(slots=True)
class Pass:
    """The result of one pass over a list: when it began by Harvest's clock, and the list's length.

    `doubts` are reasons to think that records are missing or come twice, as half sentences.
    """

    began: datetime
    total: int | None
    doubts: list[str] = field(default_factory=list[str])

    def check_total(self, page: Page[T]) -> None:
        """Add a doubt if the list has another length now."""
        if page.total_entries != self.total:
            self.doubts.append(
                f"the number of records went from {self.total} to {page.total_entries}"
            )

    def check_unchanged(self, page: Page[T]) -> None:
        """Add a doubt if a record of a later page was changed after the first page came.

        It may have entered the list then, and have pushed another one out of sight.
        """
        if page.changed_at >= self.began.strftime("%Y-%m-%dT%H:%M:%SZ"):
            self.doubts.append(f"a record was changed at {one_line(page.changed_at)}")

    def check_count(self, rows: int, different: int) -> None:
        """Add a doubt if the number of distinct records is not the length of the list."""
        if rows != different:
            self.doubts.append(f"{rows - different} records came twice")
        elif self.total is not None and rows != self.total:
            self.doubts.append(f"{rows} records came of {self.total}")


def followed(link: str, url: str) -> str:
    """`link` if it leads to the same list on the same host; the token is sent nowhere else.

    Raises AnswerInvalid.
    """
    # Compared as text: URL parsers differ in how they read unusual addresses.
    there, here = link.partition("?")[0], url.partition("?")[0]
    path = urlsplit(here).path
    if there != here:
        # Only the host is shown: the rest of the address may contain a token.
        raise AnswerInvalid(
            f"The next page of {path} is said to be at {host_of(there) or 'no host'}, which is "
            "another place; no token was sent there. Look at HARVEST_API_URL, and for a proxy in "
            "between."
        )
    if len(link) > _LONGEST_LINK:
        raise AnswerInvalid(f"The address of the next page of {path} has {len(link)} letters.")
    return link
