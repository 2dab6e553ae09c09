"""A server in a process of its own with an account of as many time entries as are wanted.

The sandbox keeps every record as an object and would need longer for an answer than a client does
for its rows. Here a page is made once, compressed as Harvest sends it, and kept.
"""

import gzip
import json
import multiprocessing
import random
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from urllib.parse import parse_qsl, urlsplit

from benchmarks.entries import PER_PAGE, THREE_YEARS
from harvest_pipeline.scope import Window
from harvest_pipeline_tests.warehouse.records import time_entry

FIRST_ID = 2_380_001_001
_ME = {"id": 1, "first_name": "Ada", "last_name": "Okafor", "access_roles": ["administrator"]}
_PEOPLE, _PROJECTS = 50, 200


def _template() -> str:
    """An entry as JSON, about 1.2 kB, with places for what differs."""
    text = json.dumps(time_entry(0)).replace("%", "%%")
    for old, new in (
        ('"id": 0,', '"id": %d,'),
        ('"spent_date": "2026-01-01"', '"spent_date": "%s"'),
        ('"hours": 3.5', '"hours": %s'),
        (json.dumps(time_entry(0)["notes"]), '"Ticket %d: na\\u00efve caf\\u00e9"'),
        ('{"id": 4810023, "name": "Chi Tanaka"}', "%s"),
        ('{"id": 38800301, "name": "Website Relaunch", "code": "AST-WEB"}', "%s"),
    ):
        assert old in text
        text = text.replace(old, new)
    return text


_ENTRY = _template()
_USERS = [json.dumps({"id": 4810000 + n, "name": f"Person {n}"}) for n in range(_PEOPLE)]
_WORK = [
    json.dumps({"id": 38800000 + n, "name": f"Project {n}", "code": f"P-{n}"})
    for n in range(_PROJECTS)
]


@dataclass
class Entries:
    """`rows` time entries spread over `days`, and the pages of them that were asked for."""

    rows: int
    days: Window = THREE_YEARS
    _pages: dict[tuple[int, int, int, int], bytes] = field(default_factory=dict)

    def page(self, query: dict[str, str]) -> bytes:
        """The compressed answer to a request for the list."""
        first = self._index(date.fromisoformat(query["from"])) if "from" in query else 0
        end = (
            self._index(date.fromisoformat(query["to"]) + timedelta(days=1))
            if "to" in query
            else self.rows
        )
        size, number = int(query.get("per_page", PER_PAGE)), int(query.get("page", 1))
        key = (first, end, size, number)
        if key not in self._pages:
            self._pages[key] = gzip.compress(self._made(*key), compresslevel=1)
        return self._pages[key]

    def prepare(self) -> None:
        """Make the pages of the whole list, so that no client waits for it."""
        for number in range(1, self._of(0, self.rows, PER_PAGE) + 1):
            days = {"from": f"{self.days.first}", "to": f"{self.days.last}"}
            self.page({**days, "page": f"{number}"})

    def _made(self, first: int, end: int, size: int, number: int) -> bytes:
        start = first + (number - 1) * size
        last = min(start + size, end)
        records = ", ".join(map(self._entry, range(start, last)))
        members = json.dumps(
            {
                "per_page": size,
                "total_pages": self._of(first, end, size),
                "total_entries": end - first,
                "page": number,
                "next_page": number + 1 if last < end else None,
            }
        )
        return f'{{"time_entries": [{records}], {members[1:]}'.encode()

    def _entry(self, row: int) -> str:
        day = self.days.first + timedelta(days=row * self._length // self.rows)
        user, work = _USERS[row % _PEOPLE], _WORK[row % _PROJECTS]
        return _ENTRY % (FIRST_ID + row, day, row % 32 / 4, row, user, work)

    def _index(self, day: date) -> int:
        """The first row of a day."""
        number = max((day - self.days.first).days, 0)
        return min(-(-number * self.rows // self._length), self.rows)

    @property
    def _length(self) -> int:
        return (self.days.last - self.days.first).days + 1

    @staticmethod
    def _of(first: int, end: int, size: int) -> int:
        return max(1, -(-(end - first) // size))


def _serve(rows: int, latency: tuple[float, float], pipe: Connection) -> None:
    entries = Entries(rows)
    entries.prepare()
    chance = random.Random(1)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_GET(self) -> None:
            time.sleep(chance.uniform(*latency))
            address = urlsplit(self.path)
            if address.path.endswith("/time_entries"):
                body = entries.page(dict(parse_qsl(address.query)))
            elif address.path.endswith("/users/me"):
                body = gzip.compress(json.dumps(_ME).encode())
            else:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    pipe.send(f"http://127.0.0.1:{server.server_port}")
    server.serve_forever()


@contextmanager
def served(rows: int, latency: tuple[float, float] = (0, 0)) -> Generator[str]:
    """The address of the server during the block; its pages are made. An answer takes that many
    seconds, from the first to the second number."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(rows, latency, there), daemon=True
    )
    process.start()
    try:
        yield here.recv()
    finally:
        process.kill()
        process.join()
