"""A Harvest account of lists that move while they are read, with a clock of its own."""

import random
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from operator import itemgetter

from harvest_pipeline_tests.harvest.fault_server import Action, Request, answer

Entry = dict[str, object]


def _instant(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class MovingEntries:
    """Time entries, latest `spent_date` and highest id first; `before` runs before each answer."""

    def __init__(self, count: int, per_page: int, key: str = "time_entries") -> None:
        self.now = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
        self.key = key
        self.per_page = per_page
        self.entries: dict[int, Entry] = {}
        self.snapshots: list[set[int]] = []
        self.before: Callable[[int], None] = lambda request: None
        self.answered = 0
        self._lock = threading.Lock()
        for number in range(count):
            self.create(date(2026, 10, 1) + timedelta(days=number // 5))
        self.now += timedelta(days=1)

    def create(self, day: date) -> int:
        entry_id = max(self.entries, default=100) + 1
        self.entries[entry_id] = {"id": entry_id, "spent_date": f"{day}"}
        self.touch(entry_id)
        return entry_id

    def touch(self, entry_id: int) -> None:
        self.entries[entry_id]["updated_at"] = _instant(self.now)

    def move(self, entry_id: int, day: date) -> None:
        self.entries[entry_id]["spent_date"] = f"{day}"
        self.touch(entry_id)

    def change_at_random(self, chance: random.Random) -> None:
        """Three insertions, deletions and updates at most, on any day."""
        for _ in range(chance.randint(0, 3)):
            self.create(date(2026, 10, 1) + timedelta(days=chance.randint(0, 12)))
        for entry_id in chance.sample(sorted(self.entries), chance.randint(0, 3)):
            del self.entries[entry_id]
        for entry_id in chance.sample(sorted(self.entries), chance.randint(0, 3)):
            self.move(entry_id, date(2026, 10, 1) + timedelta(days=chance.randint(0, 12)))

    def ordered(self) -> list[Entry]:
        by = ("spent_date", "id") if self.key == "time_entries" else ("id",)
        return sorted(self.entries.values(), key=itemgetter(*by), reverse=True)

    def __call__(self, request: Request) -> Action:
        with self._lock:
            return self._answer(request)

    def _answer(self, request: Request) -> Action:
        self.now += timedelta(seconds=5)
        self.before(self.answered)
        self.answered += 1
        self.snapshots.append(set(self.entries))
        self.now += timedelta(seconds=5)
        content = self._by_cursor if self.key == "clients" else self._by_number
        return answer(content(request), headers={"Date": format_datetime(self.now, usegmt=True)})

    def _by_number(self, request: Request) -> object:
        number = int(request.query["page"])
        ordered = self.ordered()
        return {
            self.key: ordered[(number - 1) * self.per_page : number * self.per_page],
            "total_pages": self._pages,
            "total_entries": len(ordered),
        }

    def _by_cursor(self, request: Request) -> object:
        after = int(request.query.get("cursor", str(2**62)))
        rest = [entry for entry in self.ordered() if entry["id"] < after]
        shown = rest[: self.per_page]
        more = None
        if len(rest) > self.per_page:
            more = f"http://{request.headers['host']}{request.path}?cursor={shown[-1]['id']}"
        return {
            self.key: shown,
            "total_pages": self._pages,
            "total_entries": len(self.entries),
            "links": {"next": more},
        }

    @property
    def _pages(self) -> int:
        return max(1, -(-len(self.entries) // self.per_page))
