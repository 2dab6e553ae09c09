"""A Harvest account of many invoices, in a process of its own, that breaks down when told to."""

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from requests import Session

from harvest_pipeline_tests.waiting import PATIENCE

FIRST, LAST = date(2026, 5, 5), date(2026, 11, 20)
_DAYS = (LAST - FIRST).days + 1
_PER_PAGE = 2000
_AT = "2026-11-20T09:00:00Z"
_PERSON = {"id": 4810007, "name": "Ada Okafor"}
_CHILD = re.compile(r"/v2/invoices/(\d+)/(messages|payments)")


def _invoice(number: int, count: int) -> dict[str, object]:
    """A paid invoice; they are spread evenly over 200 days."""
    day = f"{FIRST + timedelta(days=(number - 1) * _DAYS // count)}"
    return {
        "id": number, "client_key": f"{number:040x}", "number": str(number), "purchase_order": "",
        "amount": 672.0, "due_amount": 0.0, "tax": None, "tax_amount": 0.0, "tax2": None,
        "tax2_amount": 0.0, "discount": None, "discount_amount": 0.0, "subject": "Work",
        "notes": None, "state": "paid", "period_start": None, "period_end": None,
        "issue_date": day, "due_date": day, "payment_term": "net 30", "sent_at": _AT,
        "paid_at": _AT, "closed_at": None, "recurring_invoice_id": None, "created_at": _AT,
        "updated_at": _AT, "paid_date": "2026-11-20", "currency": "EUR",
        "payment_options": ["ach"], "client": {"id": 13700101, "name": "Aster Foods"},
        "estimate": None, "retainer": None, "creator": _PERSON, "line_items": [],
    }  # fmt: skip


def _message(number: int) -> dict[str, object]:
    return {
        "id": number + 10**6, "sent_by": "Ada Okafor", "sent_by_email": "ada@fernhill.example",
        "sent_from": "Ada Okafor", "sent_from_email": "ada@fernhill.example",
        "include_link_to_client_invoice": True, "send_me_a_copy": False, "thank_you": False,
        "reminder": False, "send_reminder_on": None, "created_at": _AT, "updated_at": _AT,
        "attach_pdf": True, "event_type": None, "recipients": [], "subject": f"#{number}",
        "body": "The detailed invoice is attached.\r\n" * 8,
    }  # fmt: skip


def _payment(number: int) -> dict[str, object]:
    return {
        "id": number + 10**6, "amount": 672.0, "paid_at": _AT, "recorded_by": "Ada Okafor",
        "recorded_by_email": "ada@fernhill.example", "notes": "", "transaction_id": None,
        "created_at": _AT, "updated_at": _AT, "paid_date": "2026-11-20",
        "payment_gateway": {"id": None, "name": None},
    }  # fmt: skip


@dataclass
class _Account:
    """`answered` counts the 200s for each list of children. After `at` of them the signal goes to
    the process, or, without a signal, all that follow are 503."""

    count: int
    answered: Counter[str] = field(default_factory=Counter[str])
    total: int = 0
    at: int = sys.maxsize
    signal: int = 0
    process: int = 0

    def answer(self, path: str, query: Mapping[str, str]) -> tuple[int, object]:
        if path == "/tell":
            self.at, self.signal, self.process = (
                int(query[key]) for key in ("at", "signal", "process")
            )
            return 200, {}
        if path == "/forget":
            self.answered.clear()
            self.total, self.at = 0, sys.maxsize
            return 200, {}
        if path == "/counts":
            return 200, self.answered
        if path == "/v2/users/me":
            return 200, {"id": 1, "first_name": "Ada", "access_roles": ["administrator"]}
        if path == "/v2/invoices":
            return 200, self._page(int(query["page"]))
        if found := _CHILD.fullmatch(path):
            return self._children(path, int(found[1]), found[2])
        return 404, {}

    def _children(self, path: str, number: int, kind: str) -> tuple[int, object]:
        reached = self.total >= self.at
        if reached and not self.signal:
            return 503, {}
        if reached:
            self.at = sys.maxsize
            os.kill(self.process, self.signal)
        self.total += 1
        self.answered[path] += 1
        child = _message(number) if kind == "messages" else _payment(number)
        return 200, {f"invoice_{kind}": [child], "total_pages": 1, "total_entries": 1, "links": {}}

    def _page(self, page: int) -> object:
        last = self.count - (page - 1) * _PER_PAGE
        numbers = range(last, max(0, last - _PER_PAGE), -1)
        return {
            "invoices": [_invoice(number, self.count) for number in numbers],
            "total_pages": -(-self.count // _PER_PAGE),
            "total_entries": self.count,
        }


class _Connection(asyncio.Protocol):
    def __init__(self, account: _Account) -> None:
        self._account = account
        self._received = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            address = urlsplit(head.split(b" ", 2)[1].decode())
            status, content = self._account.answer(address.path, dict(parse_qsl(address.query)))
            body = json.dumps(content).encode()
            now = format_datetime(datetime.now(UTC), usegmt=True)
            self._transport.write(
                f"HTTP/1.1 {status} Said So\r\nContent-Type: application/json\r\nDate: {now}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode()
                + body
            )


class ManyInvoices:
    """The account as its user sees it: a process that serves until the `with` block ends."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.communicate()  # which closes its standard input

    def environment(self) -> dict[str, str]:
        """The variables that point a process at the account."""
        return {
            "HARVEST_API_URL": f"{self.url}/v2",
            "HARVEST_ID_URL": self.url,
            "HARVEST_ACCESS_TOKEN": "pat-of-many-invoices",
            "HARVEST_ACCOUNT_ID": "1204417",
            "HARVEST_CONTACT": "tests@example.com",
            "HARVEST_START_DATE": FIRST.isoformat(),
        }

    def interrupt_after(self, answers: int, signal: int, process: int) -> None:
        """When so many lists of children have been sent: send a signal to a process and go on;
        with the signal 0, answer 503 from there on."""
        self._ask("tell", at=answers, signal=signal, process=process)

    def mend(self) -> None:
        """Answer everything."""
        self.interrupt_after(sys.maxsize, 0, 0)

    def forget(self) -> None:
        """Begin to count again, and answer everything."""
        self._ask("forget")

    def answered(self) -> Counter[str]:
        """How often each list of children was sent, by its path."""
        return Counter(self._ask("counts"))

    def _ask(self, what: str, **params: int) -> Any:
        with Session() as session:
            session.trust_env = False
            answer = session.get(f"{self.url}/{what}", params=params, timeout=PATIENCE)
            answer.raise_for_status()
            return answer.json()


async def _serve(count: int) -> None:
    account = _Account(count)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(account), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    # Whoever has started this process ends it so, and it does not outlive them.
    threading.Thread(
        target=lambda: (sys.stdin.read(), os._exit(0)), name="listening", daemon=True
    ).start()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
