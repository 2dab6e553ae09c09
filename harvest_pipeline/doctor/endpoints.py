"""What the person behind the token may read: one request for each endpoint of the catalogue.

Belongs here: these requests, and which reports fail where one is refused.
Does not belong here: reading lists to their end (harvest/extract.py).
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import msgspec

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline.doctor.findings import Finding, ok, told, warning, wrong
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import (
    HarvestError,
    HarvestUnavailable,
    PermissionMissing,
    RateLimited,
)
from harvest_pipeline.harvest.pages import PageDecoder

#: After so many endpoints in a row that do not answer the others are not tried: each may take a
#: minute.
_ENOUGH = 2

_company_decoder = msgspec.json.Decoder(dict[str, object])


class Endpoints:
    """Asks each endpoint of an account once. `company` is what `/company` says, None if refused.

    `clock` is by how many seconds our clock is ahead of Harvest's, None before the first answer.
    """

    def __init__(self, client: HarvestClient) -> None:
        self.clock: float | None = None
        self.company: Mapping[str, object] | None = None
        self._client = client
        self._refused: HarvestError | None = None
        #: The newest record of each list that could be read, None if it is empty.
        self._newest: dict[str, int | None] = {}

    def ask_company(self) -> None:
        """Ask `/company`, which names the account and says which modules are switched off."""
        try:
            self.company, answer = self._client.get(
                f"{self._client.api_url}/company", _company_decoder
            )
        except HarvestError as error:
            self._refused = error
        else:
            self._compare_clocks(answer.headers, answer.date)

    def findings(self) -> Iterator[Finding]:
        """One finding for each endpoint, parents before their children."""
        yield self._of_company()
        unanswered = 0
        for record in RECORDS.values():
            if record.endpoint is None:
                continue
            try:
                yield self._of(record, record.endpoint)
                unanswered = 0
            except RateLimited as error:
                yield told(record.endpoint, error, "warning")
                return
            except HarvestError as error:
                yield told(record.endpoint, error)
                unanswered = unanswered + 1 if isinstance(error, HarvestUnavailable) else 0
            if unanswered == _ENOUGH:
                yield wrong(
                    "other endpoints",
                    f"not tried, since {_ENOUGH} in a row did not answer.",
                    "Run `harvest-pipeline doctor` again later; https://www.harveststatus.com "
                    "tells of outages.",
                )
                return

    def _of_company(self) -> Finding:
        if self.company is not None:
            return ok("/company", "may be read")
        if isinstance(self._refused, PermissionMissing):
            return ok("/company", "not shown to this person (403); no report needs it")
        return told("/company", self._refused or HarvestError("/company was not asked."))

    def _of(self, record: Record, endpoint: str) -> Finding:
        """The finding for one endpoint. Raises HarvestError, but for a 403."""
        if record.module and self.company and self.company.get(record.module) is False:
            return ok(endpoint, f"switched off in this account ({record.module}): nothing to read")
        path = endpoint
        if record.parent is not None:
            if record.parent not in self._newest:
                return _not_shown(record, endpoint, "not tried, since its parents are not shown")
            newest = self._newest[record.parent]
            if newest is None:
                return ok(endpoint, f"not tried: there are no {record.parent} to try it with")
            path = re.sub(r"\{\w+\}", str(newest), endpoint)
        try:
            page, answer = self._client.get(
                self._client.api_url + path,
                PageDecoder(record),
                {"per_page": "1"},
                record.permission,
            )
        except PermissionMissing:
            return _not_shown(record, endpoint, "not shown to this person (403)")
        self._compare_clocks(answer.headers, answer.date)
        self._newest[record.name] = page.rows[0][0] if page.rows else None
        count = "" if page.total_entries is None else f"; records: {page.total_entries:,}"
        return ok(endpoint, f"may be read{count}")

    def _compare_clocks(self, headers: Mapping[str, str], theirs: datetime) -> None:
        if "Date" in headers:
            self.clock = (datetime.now(UTC) - theirs).total_seconds()


def _not_shown(record: Record, endpoint: str, why: str) -> Finding:
    reports = [report.name for report in REPORTS.values() if report.record == record.name]
    fail = f"the report{'s' if len(reports) > 1 else ''} {' and '.join(reports)} will fail"
    return warning(
        endpoint,
        f"{why}: {fail}.",
        f"It is open to: {record.permission}. Use the token of such a person, or leave out the "
        "report.",
    )
