"""Pages of a list, by number and by cursor, with their links."""

import base64
import binascii
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import msgspec

from harvest_pipeline.sandbox.answers import unprocessable
from harvest_pipeline.sandbox.lists import MAXIMUM, whole_number


@dataclass(frozen=True)
class Page:
    """The records of a page, newest first, and the members that follow them in the envelope."""

    records: list[Any]
    members: dict[str, Any]


class _Pager:
    """What both kinds of paging share: sizes, counts and links."""

    def __init__(
        self, matching: Sequence[Any], query: Mapping[str, str], url: str, default: int
    ) -> None:
        self.matching = matching
        self.query = query
        self.url = url
        self.size = _positive(query, "per_page", default)
        if self.size > MAXIMUM:
            raise unprocessable(f"per_page can't be greater than {MAXIMUM}")
        self.number = _positive(query, "page", 1)
        self.total = len(matching)
        self.pages = max(1, -(-self.total // self.size))

    def numbered(self) -> tuple[int, int]:
        """The slice of the ascending records that is page `number` of the descending list."""
        end = max(0, self.total - (self.number - 1) * self.size)
        return max(0, end - self.size), end

    def link(self, dropped: tuple[str, ...], **own: str | int) -> str:
        """The address of another page: all parameters of the request, by name."""
        kept = {name: text for name, text in self.query.items() if name not in dropped}
        return f"{self.url}?{urlencode(sorted({**kept, **own, 'per_page': self.size}.items()))}"

    def members(
        self, page: int | None, following: int | None, previous: int | None, links: dict[str, Any]
    ) -> dict[str, Any]:
        """The envelope members in the order of real answers."""
        return {
            "per_page": self.size,
            "total_pages": self.pages,
            "total_entries": self.total,
            "next_page": following,
            "previous_page": previous,
            "page": page,
            "links": links,
        }


def page_by_number(
    matching: Sequence[Any], query: Mapping[str, str], url: str, default: int = MAXIMUM
) -> Page:
    """The page that `page` and `per_page` ask for; `matching` is ascending.

    A page beyond the last one is empty. Raises ApiError 422 for numbers that are out of range.
    """
    pager = _Pager(matching, query, url, default)
    start, end = pager.numbered()
    number = pager.number
    following = number + 1 if number < pager.pages else None
    previous = number - 1 if number > 1 else None

    def link(page: int | None) -> str | None:
        return None if page is None else pager.link(("page",), page=page)

    links = {
        "first": link(1),
        "next": link(following),
        "previous": link(previous),
        "last": link(pager.pages),
    }
    records = list(reversed(matching[start:end]))
    return Page(records, pager.members(number, following, previous, links))


def page_by_cursor(
    matching: Sequence[Any], query: Mapping[str, str], url: str, with_totals: bool = True
) -> Page:
    """The page that `cursor` (or the deprecated `page`) asks for; `matching` is ascending by id.

    `with_totals=False` sends the totals as null, which the documentation allows. Raises ApiError
    422 for a cursor that cannot be read and for numbers that are out of range.
    """
    pager = _Pager(matching, query, url, MAXIMUM)
    total, pages = pager.total, pager.pages
    start, end = _cursor_slice(pager) if "cursor" in query else pager.numbered()
    more, fewer = start > 0, end < total
    if "cursor" not in query and pager.number > 1:
        page: int | None = pager.number
        following = page + 1 if page < pages else None
        previous: int | None = page - 1
    else:
        page = 1 if not fewer else None if more else pages
        following = 2 if page == 1 and more else None
        previous = pages - 1 if page == pages and fewer else None
    dropped = ("page", "cursor", "ref")

    def cursor(**position: dict[str, int]) -> str:
        name = "next_cursor" if "after" in position else "previous_cursor"
        return pager.link(dropped, cursor=encode_cursor(position), ref=name)

    back = None
    if fewer and end > start:
        back = cursor(before={"id": matching[end - 1].id})
        if not more:
            back = pager.link(dropped, page=max(1, pages - 1), ref="previous")
    links = {
        "first": pager.link(dropped, page=1, ref="first"),
        "next": cursor(after={"id": matching[start].id}) if more and end > start else None,
        "previous": back,
        "last": pager.link(dropped, page=pages, ref="last"),
    }
    members = pager.members(page, following, previous, links)
    if not with_totals:
        members["total_pages"] = members["total_entries"] = None
    return Page(list(reversed(matching[start:end])), members)


def encode_cursor(position: dict[str, dict[str, int]]) -> str:
    """The unpadded base64url form of a position."""
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).rstrip(b"=").decode()


def _cursor_slice(pager: _Pager) -> tuple[int, int]:
    """The slice that begins after, or ends before, the record that the cursor names.

    The record itself may be gone.
    """
    text = pager.query["cursor"]
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        position = msgspec.json.decode(raw, type=dict[str, dict[str, int]])
        ((direction, place),) = position.items()
        key = place["id"]
        if direction not in ("after", "before"):
            raise ValueError(direction)
    except (ValueError, KeyError, binascii.Error, msgspec.MsgspecError) as error:
        raise unprocessable("cursor is invalid") from error
    # Rates are sorted by their day.
    place = next((n for n, record in enumerate(pager.matching) if record.id == key), None)
    if direction == "after":
        end = bisect_left(pager.matching, key, key=lambda record: record.id)
        end = end if place is None else place
        return max(0, end - pager.size), end
    start = bisect_right(pager.matching, key, key=lambda record: record.id)
    start = start if place is None else place + 1
    return start, min(pager.total, start + pager.size)


def _positive(query: Mapping[str, str], name: str, default: int) -> int:
    number = whole_number(name, query[name]) if name in query else default
    if number < 1:
        raise unprocessable(f"{name} must be at least 1")
    return number
