"""Reads the records of a scope onto disk and proves them complete; also counts them.

The facts about Harvest that it relies on are in docs/harvest-api.md.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import cast

import msgspec

from harvest_pipeline.catalogue.columns import ACCOUNT_ID, TODAY, Paging, Record
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import PermissionMissing, ReadNotProven, RecordNotFound
from harvest_pipeline.harvest.pages import LARGEST_PAGE, ObjectDecoder, Page, PageDecoder, Pass
from harvest_pipeline.harvest.spool import Front, Line, SpoolFile
from harvest_pipeline.scope import Filters, Proof, Rejected, Scope, Spool, Window

#: How often a list is read before it counts as constantly changing.
READS = 3

_any_decoder = msgspec.json.Decoder(dict[str, object])


def read(
    client: HarvestClient,
    record: Record,
    window: Window | None,
    folder: Path,
    times: int = READS,
    filters: Filters | None = None,
) -> Spool:
    """Read the records of `window`, or all of them, into a new file in `folder`.

    `filters` have at most one project and one person: Harvest takes one id per request. Of a
    snapshot, `window` is the present day, which is written in front of each record.
    A list that changes during the read is read again, up to `times` times in total. Raises
    ReadNotProven after the last, StateUnusable, and what `HarvestClient.get` raises; then there is
    no file.
    """
    scope = Scope(record.name, window, filters or Filters())
    path, params = question(record, scope)
    front = Front(record, _beside(client, record, window))
    go_over = _lists(client, record, params)

    def keep(spool: SpoolFile, page: Page[Line]) -> None:
        spool.add(front.lines(page.rows), front.rejected(page.rejected))

    def fill(spool: SpoolFile) -> Pass:
        def once() -> Pass:
            spool.restart()
            seen = go_over(f"{client.api_url}{path}", lambda page: keep(spool, page))
            seen.check_count(spool.rows, spool.rows - spool.repeated)
            return seen

        try:
            return proven(client, scope, once, times)
        except RecordNotFound:
            if path == record.endpoint:
                raise
            # The project does not exist (any more), so it has no records either.
            spool.restart()
            return Pass(datetime.now(UTC), total=0)

    return _spooled(client, record, scope, folder, fill)


def read_children(
    client: HarvestClient,
    record: Record,
    scope: Scope,
    parents: Sequence[Mapping[str, object]],
    folder: Path,
) -> tuple[Spool, BaseException | None]:
    """Read the records of each parent, such as the payments of invoices, into one file in `folder`.

    `parents` have the keys `id` and those from which the record's `parent_columns` take their
    values, which are written in front of each record. At least one request per parent. Of the
    scope's filters Harvest gets `updated_since`; the others have selected the parents.

    A parent that was deleted since it was listed has no records. If a read fails, the exception is
    raised if no parent has been read yet. Otherwise it is returned, with a spool of the parents
    that were read: no parent has to be requested twice.
    """
    go_over = _lists(client, record, _since(scope.filters))
    parent_by_id = {parent["id"]: parent for parent in parents}
    finished: dict[object, Pass] = {}
    stopped: BaseException | None = None

    def fill(spool: SpoolFile) -> Pass:
        nonlocal stopped

        def read_of(parent: Mapping[str, object]) -> None:
            if not _may_have(record, parent):
                finished[parent["id"]] = Pass(datetime.now(UTC), total=0)
                return
            url = client.api_url + re.sub(r"\{\w+\}", str(parent["id"]), record.endpoint or "")
            lines, rejected = list[Line](), list[Rejected]()

            def keep(page: Page[Line]) -> None:
                lines.extend(page.rows)
                rejected.extend(page.rejected)

            def once() -> Pass:
                lines.clear()
                rejected.clear()
                seen = go_over(url, keep)
                ids = [record_id for record_id, _ in lines] + [each.id for each in rejected]
                seen.check_count(len(ids), len(set(ids)))
                return seen

            try:
                seen = proven(client, f"{scope}, {url}", once)
            except RecordNotFound:
                if not _is_gone(client, record, parent["id"]):
                    raise
                lines.clear()
                seen = Pass(datetime.now(UTC), total=0)
            front = Front(record, parent)
            spool.add(front.lines(lines), front.rejected(rejected))
            finished[parent["id"]] = seen

        try:
            client.in_flight(read_of, parent_by_id.values())
        except BaseException as error:  # an interrupt too: what has been read is kept
            # A part of what changed since an instant would look the same as all of it.
            if not finished or scope.filters.changes_only:
                raise
            stopped = error
        if spool.repeated:
            raise _unproven(scope, "records of different parents have the same id")
        totals = [seen.total for seen in finished.values() if seen.total is not None]
        return Pass(
            began=min((seen.began for seen in finished.values()), default=datetime.now(UTC)),
            total=sum(totals) if len(totals) == len(finished) else None,
        )

    spool = _spooled(client, record, scope, folder, fill)
    if spool.proof is not Proof.MODULE_OFF and not scope.filters.changes_only:
        spool = replace(spool, parents=tuple(sorted(cast("list[int]", list(finished)))))
    if stopped:
        part = replace(scope.filters, parent_ids=spool.parents)
        spool = replace(spool, scope=replace(scope, filters=part))
    return spool, stopped


def count(client: HarvestClient, record: Record, scope: Scope) -> int | None:
    """Harvest's `total_entries` for a scope of at most one project and person; one request.

    None if the response has none: the documentation allows that on cursor lists.
    Raises what `HarvestClient.get` raises.
    """
    path, params = question(record, scope)
    answer, _ = client.get(
        f"{client.api_url}{path}",
        # Not only the total: the one record may be one that has to be set aside.
        PageDecoder(record),
        {**params, "per_page": "1"},
        record.permission,
        LARGEST_PAGE,
    )
    return answer.total_entries


def question(record: Record, scope: Scope) -> tuple[str, dict[str, str]]:
    """The path and the query parameters of the list for a scope."""
    window, filters = scope.window, scope.filters
    path, params = record.endpoint or "", _since(filters)
    if window and "from" in record.filters:
        params |= {"from": f"{window.first}", "to": f"{window.last}"}
    if filters.invoice_status:
        params["state"] = filters.invoice_status
    for name, ids in (("user_id", filters.user_ids), ("project_id", filters.project_ids)):
        if len(ids) > 1:
            raise ValueError(f"a list is asked for one {name} at a time")
        if ids and name in record.filters:
            params[name] = str(ids[0])
        elif ids and name == "project_id" and record.endpoint_of_project:
            path = record.endpoint_of_project.format(project_id=ids[0])
        elif ids:
            raise ValueError(f"{record.name} cannot be asked for a {name}")
    return path, params


def proven(
    client: HarvestClient, subject: object, go_over: Callable[[], Pass], times: int = READS
) -> Pass:
    """Read a list until it is proven complete. Raises ReadNotProven after the last time."""
    seen = go_over()
    for _ in range(times - 1):
        if not seen.doubts:
            break
        client.log(f"Reading {subject} again: {seen.doubts[0]}.")
        client.pause(client.patience.reread_pause)
        seen = go_over()
    if seen.doubts:
        raise _unproven(subject, seen.doubts[0])
    return seen


def _unproven(subject: object, doubt: str) -> ReadNotProven:
    return ReadNotProven(
        f"It is not certain that {subject} came completely, so nothing of it is used: {doubt}. "
        "Run again when fewer people enter data, or for fewer days at a time."
    )


def _lists(
    client: HarvestClient, record: Record, params: Mapping[str, str]
) -> Callable[[str, Callable[[Page[Line]], None]], Pass]:
    """Reads the list of `record` at an address once, and hands over each page."""
    if record.paging is Paging.NONE:
        return lambda url, keep: _single(client, record, url, keep)
    decoder = PageDecoder(record)
    return lambda url, keep: client.pages(
        url,
        decoder,
        params,
        keep,
        paging=record.paging,
        permission=record.permission,
    )


def _is_gone(client: HarvestClient, record: Record, parent_id: object) -> bool:
    """Whether a parent whose list of children does not exist is itself gone."""
    if record.module and client.is_off(record.module):
        return False
    endpoint = RECORDS[record.parent or ""].endpoint
    try:
        client.get(f"{client.api_url}{endpoint}/{parent_id}", _any_decoder)
    except RecordNotFound:
        return True
    return False


def _since(filters: Filters) -> dict[str, str]:
    """Harvest's `updated_since`, in UTC."""
    since = filters.updated_since
    return {"updated_since": f"{since:%Y-%m-%dT%H:%M:%SZ}"} if since else {}


def _single(
    client: HarvestClient, record: Record, url: str, keep: Callable[[Page[Line]], None]
) -> Pass:
    """Read the one record at an address, which has no id of its own."""
    line, answer = client.get(url, ObjectDecoder(record), permission=record.permission)
    keep(Page([(0, line)], 1, 1))
    return Pass(answer.asked_at, total=1)


def _may_have(record: Record, parent: Mapping[str, object]) -> bool:
    """Whether a parent can have such records; for others Harvest refuses the request."""
    if record.parent_has is None:
        return True
    column, text = record.parent_has
    return text in msgspec.json.decode(str(parent[column] or "[]"), type=list[str])


def _beside(client: HarvestClient, record: Record, window: Window | None) -> Mapping[str, object]:
    """What is written in front of the records of a list that belongs to no parent."""
    if not record.parent_columns:
        return {}
    return {ACCOUNT_ID: int(client.identity.account_id), TODAY: window and window.last}


def _spooled(
    client: HarvestClient,
    record: Record,
    scope: Scope,
    folder: Path,
    fill: Callable[[SpoolFile], Pass],
) -> Spool:
    """Let `fill` write a new file; returns the spool with the cost and proof of the read."""
    started, requests = monotonic(), client.requests
    with SpoolFile(folder, record.name) as file:
        try:
            seen = fill(file)
            proof = Proof.CURSOR_CHAIN if seen.total is None else Proof.TOTAL_ENTRIES
        except (PermissionMissing, RecordNotFound):
            if record.module is None or not client.is_off(record.module):
                raise
            file.restart()
            seen = Pass(datetime.now(UTC), total=None)
            proof = Proof.MODULE_OFF
    return Spool(
        scope=scope,
        path=file.path,
        rows=file.rows,
        requests=client.requests - requests,
        seconds=monotonic() - started,
        proof=proof,
        total_entries=seen.total,
        read_at=seen.began,
        rejected=tuple(file.rejected),
    )
