"""The API itself: lists, single records and reports, from the request to the response."""

from collections.abc import Awaitable, Callable, Iterator
from datetime import date
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from harvest_pipeline.sandbox.answers import (
    JSON,
    encode,
    forbidden,
    not_found,
    too_many_requests,
    unprocessable,
    unwanted_body,
)
from harvest_pipeline.sandbox.lists import LISTS, Listing, Paging, day_of, tests, truth_of
from harvest_pipeline.sandbox.model import Teammate
from harvest_pipeline.sandbox.paging import page_by_cursor, page_by_number
from harvest_pipeline.sandbox.permissions import Viewer, hidden_fields, visible, without
from harvest_pipeline.sandbox.records import Records, Table
from harvest_pipeline.sandbox.reports import (
    EXPENSE_SUBJECTS,
    TIME_SUBJECTS,
    Row,
    budget_rows,
    expense_rows,
    time_rows,
    uninvoiced_rows,
)
from harvest_pipeline.sandbox.world import Caller, World

#: Harvest's reports cover at most this many days between their first and their last.
_LONGEST = 365

Answer = Callable[[Request, Caller], bytes]
Endpoint = Callable[[Request], Awaitable[Response]]


class Api:
    """Answers the requests to the API of one sandbox."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self, prefix: str) -> list[Route]:
        """All routes, with `/v2` or `/api/v2` in front."""
        return [
            Route(prefix + path, self._endpoint(answer, report=path.startswith("/reports")))
            for path, answer in self._answers()
        ]

    def _answers(self) -> Iterator[tuple[str, Answer]]:
        yield "/company", self._company
        yield "/users/me", self._me
        for listing in LISTS:
            yield listing.path, self._list(listing)
            if listing.single:
                yield f"{listing.path}/{{id:int}}", self._single(listing)
        for about in TIME_SUBJECTS:
            yield f"/reports/time/{about}", self._report(self._time_rows(about))
        for about in EXPENSE_SUBJECTS:
            yield f"/reports/expenses/{about}", self._report(self._expense_rows(about))
        yield "/reports/uninvoiced", self._report(self._uninvoiced_rows)
        yield "/reports/project_budget", self._report(self._budget_rows)

    def _endpoint(self, answer: Answer, *, report: bool) -> Endpoint:
        """Check the caller and the rate limit, then respond."""

        async def endpoint(request: Request) -> Response:
            if self._world.options.refuse_get_bodies and await request.body():
                raise unwanted_body()
            caller = self._world.caller(request)
            wait = self._world.throttle(caller.account, report)
            if wait:
                raise too_many_requests(wait)
            with caller.account.lock:
                return Response(answer(request, caller), media_type=JSON)

        return endpoint

    def _report(self, rows: Callable[[Request, Caller], list[Row]]) -> Answer:
        def answer(request: Request, caller: Caller) -> bytes:
            # pages are counted from the end of a list that is ascending
            descending = rows(request, caller)[::-1]
            page = page_by_number(descending, request.query_params, _url(request))
            return encode({"results": page.records, **page.members})

        return answer

    def _company(self, request: Request, caller: Caller) -> bytes:
        visible("company", caller.viewer)
        return encode(caller.account.records.company)

    def _me(self, request: Request, caller: Caller) -> bytes:
        return encode(without(hidden_fields(caller.viewer), caller.viewer.user))

    def _list(self, listing: Listing) -> Answer:
        def answer(request: Request, caller: Caller) -> bytes:
            query = request.query_params
            records = _matching(listing, request, caller)
            for test in tests(query, listing.filters):
                records = [record for record in records if test(record)]
            if listing.paging is Paging.NUMBER:
                page = page_by_number(records, query, _url(request), listing.per_page)
            else:
                totals = self._world.options.cursor_totals
                page = page_by_cursor(records, query, _url(request), totals)
            hidden = hidden_fields(caller.viewer)
            shown = [without(hidden, record) for record in page.records]
            return encode({listing.envelope: shown, **page.members})

        return answer

    def _single(self, listing: Listing) -> Answer:
        def answer(request: Request, caller: Caller) -> bytes:
            key = request.path_params["id"]
            for record in _matching(listing, request, caller, key):
                if record.id == key:
                    return encode(without(hidden_fields(caller.viewer), record))
            raise not_found()

        return answer

    def _time_rows(self, about: str) -> Callable[[Request, Caller], list[Row]]:
        def rows(request: Request, caller: Caller) -> list[Row]:
            records, money = caller.account.records, caller.viewer.rates
            entries = records.time_entries.between(*_range(request))
            seen = _seen(entries, "time_entries", caller.viewer)
            fixed = _fixed_fee(request, default="false")
            return time_rows(records, seen, about, with_money=money, include_fixed_fee=fixed)

        return rows

    def _expense_rows(self, about: str) -> Callable[[Request, Caller], list[Row]]:
        def rows(request: Request, caller: Caller) -> list[Row]:
            _check_module("expense_feature", caller)
            records = caller.account.records
            expenses = records.expenses.between(*_range(request))
            return expense_rows(records, _seen(expenses, "expenses", caller.viewer), about)

        return rows

    def _uninvoiced_rows(self, request: Request, caller: Caller) -> list[Row]:
        if not caller.viewer.invoices:
            raise forbidden()
        first, last = _range(request)
        if first > last:
            return []
        records = caller.account.records
        projects = _seen(records.projects.ascending(), "projects", caller.viewer)
        fixed = _fixed_fee(request, default="true")
        return uninvoiced_rows(records, projects, first, last, include_fixed_fee=fixed)

    def _budget_rows(self, request: Request, caller: Caller) -> list[Row]:
        viewer, records = caller.viewer, caller.account.records
        managed = viewer.managed_projects()
        active = request.query_params.get("is_active", "")
        projects = [
            project
            for project in records.projects.ascending()
            if viewer.is_administrator or project.show_budget_to_all or project.id in managed
            if not active or project.is_active == truth_of("is_active", active)
        ]
        today = self._world.clock.now().date()
        return budget_rows(records, projects, today, with_money=viewer.rates)


def _matching(
    listing: Listing, request: Request, caller: Caller, key: int | None = None
) -> list[Any]:
    """The records of a list that the caller may see, ascending, before its own filters.

    With `key` only the record of that id. Raises ApiError 403, 404 or 422.
    """
    records, viewer = caller.account.records, caller.viewer
    if listing.module:
        _check_module(listing.module, caller)
    if listing.parent and listing.parent != "projects":
        return _children(listing, records, viewer, request.path_params["parent"])
    table = records.table(listing.kind)
    if key is not None:
        record = table.get(key)
        found = [] if record is None else [record]
    elif listing.dated:
        query = request.query_params
        found = table.between(day_of(query, "from"), day_of(query, "to"))
    else:
        found = table.ascending()
    found = _seen(found, listing.kind, viewer)
    if listing.parent == "projects":
        project_id = request.path_params["parent"]
        if records.projects.get(project_id) is None:
            raise not_found()
        found = [record for record in found if record.project.id == project_id]
    return found


def _children(listing: Listing, records: Records, viewer: Viewer, key: int) -> list[Any]:
    """The records of one parent, the last of the list first. Raises ApiError 403, 404 or 422."""
    visible(listing.kind, viewer)
    parent = records.table(listing.parent or "").get(key)
    if parent is None:
        raise not_found()
    if listing.children is None:
        if "manager" not in parent.access_roles:
            raise unprocessable("The user is not a manager")
        people = records.teammates.get(key, ())
        shown = [user for user in records.users.ascending() if user.id in people]
        return [Teammate(u.id, u.first_name, u.last_name, u.email) for u in shown]
    tables: dict[int, Table[Any]] = getattr(records, listing.children)
    found = tables[key].ascending() if key in tables else []
    if listing.parent == "users":  # rates: the earliest first
        return sorted(found, key=lambda rate: rate.start_date or date.min, reverse=True)
    return found


def _seen(records: list[Any], kind: str, viewer: Viewer) -> list[Any]:
    """The records that the viewer may see. Raises ApiError 403 if none may be seen."""
    rule = visible(kind, viewer)
    return records if rule is None else [record for record in records if rule(record)]


def _check_module(flag: str, caller: Caller) -> None:
    """Raises ApiError 403 when the module is switched off."""
    if not getattr(caller.account.records.company, flag):
        raise forbidden()


def _range(request: Request) -> tuple[date, date]:
    """The days of a report. Raises ApiError 422 if one is missing or the range is too long."""
    first, last = (day_of(request.query_params, name) for name in ("from", "to"))
    if first is None or last is None:
        raise unprocessable("from and to are required")
    if (last - first).days > _LONGEST:
        raise unprocessable(f"the range from and to must be at most {_LONGEST} days")
    return first, last


def _fixed_fee(request: Request, default: str) -> bool:
    name = "include_fixed_fee"
    return truth_of(name, request.query_params.get(name, default))


def _url(request: Request) -> str:
    """The address of the list, with `/v2` even if `/api/v2` was used, as in Harvest's links."""
    path = request.url.path.removeprefix("/api")
    return f"{request.url.scheme}://{request.url.netloc}{path}"
