"""A plain reader of the sandbox for its tests: no retries, no limits, no cleverness."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import requests

from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.waiting import PATIENCE

_DECODER = msgspec.json.Decoder(float_hook=Decimal)

#: A Friday on which everybody works.
TODAY = date(2026, 11, 20)


class Visitor:
    """Asks a sandbox as one of its people."""

    def __init__(self, sandbox: SandboxServer, person: str = "administrator") -> None:
        self.sandbox = sandbox
        self.session = requests.Session()
        self.session.headers.update(
            {
                "Authorization": f"Bearer {sandbox.tokens[person]}",
                "Harvest-Account-Id": str(sandbox.account_id),
                "User-Agent": "sandbox tests (tests@fernhill.example)",
            }
        )

    def get(self, path: str, headers: dict[str, str | None] | None = None, **params: Any):
        """The answer to a path below `/v2`, or to a whole address. `from_` stands for `from`."""
        address = path if path.startswith("http") else f"{self.sandbox.api_url}{path}"
        named = {name.rstrip("_"): _text(value) for name, value in params.items()}
        return self.session.get(address, params=named, headers=headers, timeout=PATIENCE)

    def read(self, path: str, **params: Any) -> Any:
        """The JSON of an answer, which must be 200, decimals exact."""
        answer = self.get(path, **params)
        assert answer.status_code == 200, f"{answer.url}: {answer.status_code} {answer.text[:200]}"
        return _DECODER.decode(answer.content)

    def pages(self, path: str, **params: Any) -> list[Any]:
        """All pages, by the links."""
        pages = [self.read(path, **params)]
        while pages[-1]["links"]["next"]:
            pages.append(self.read(pages[-1]["links"]["next"]))
        return pages

    def all(self, path: str, **params: Any) -> list[Any]:
        """All records of a list."""
        return [record for page in self.pages(path, **params) for record in records_of(page)]


def records_of(page: dict[str, Any]) -> list[Any]:
    """The records of a page."""
    return next(value for value in page.values() if isinstance(value, list))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(value)


def plain(rows: list[Any]) -> Any:
    """Rows of the truth as JSON shows them: days and instants as text, decimals exact."""
    return _DECODER.decode(msgspec.json.Encoder(decimal_format="number").encode(rows))
