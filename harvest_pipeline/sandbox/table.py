"""Records of one kind, by id and in the order of their list.

Belongs here: finding one record, all in order, and those of a range of days without looking at the
others. Does not belong here: filters, pages, or what a record means.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from datetime import date
from typing import Generic, TypeVar

from harvest_pipeline.sandbox.model import Entity

E = TypeVar("E", bound=Entity)


class Table(Generic[E]):
    """Records in ascending order: by `day` and id if a day is given, by id otherwise.

    Ids grow with creation (REFERENCE 11), so the order of ids is that of `created_at`, which the
    lists without a day are sorted by (REFERENCE 8).
    """

    def __init__(self, day: Callable[[E], date] | None = None) -> None:
        self._by_id: dict[int, E] = {}
        self._day = day
        self._ascending: list[E] | None = None
        self._days: list[date] = []
        self._highest = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[E]:
        return iter(self._by_id.values())

    def get(self, key: int) -> E | None:
        """The record of that id, None if there is none."""
        return self._by_id.get(key)

    def add(self, record: E) -> None:
        """Take a record in; one of the same id is replaced."""
        self._by_id[record.id] = record
        self._highest = max(self._highest, record.id)
        self._ascending = None

    def remove(self, key: int) -> None:
        """Forget a record; raises KeyError if there is none of that id."""
        del self._by_id[key]
        self._ascending = None

    def reorder(self) -> None:
        """To be called when the day of a record was changed."""
        self._ascending = None

    def next_id(self) -> int:
        """An id higher than every one that was ever here."""
        return self._highest + 1

    def ascending(self) -> list[E]:
        """All records, the last of the list first. Not to be changed by the caller."""
        if self._ascending is None:
            day = self._day
            ordered = sorted(self._by_id.values(), key=lambda record: record.id)
            if day is not None:
                # stable: records of one day stay in the order of their ids
                ordered.sort(key=day)
                self._days = [day(record) for record in ordered]
            self._ascending = ordered
        return self._ascending

    def between(self, first: date | None, last: date | None) -> list[E]:
        """The records of the days `first` to `last`, ascending; None leaves an end open."""
        records = self.ascending()
        start = 0 if first is None else bisect_left(self._days, first)
        end = len(records) if last is None else bisect_right(self._days, last)
        return records if (start, end) == (0, len(records)) else records[start:end]
