"""Windows, filters and conditions against the same things said in another way, on random cases."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import pytest
from hypothesis import assume, given
from hypothesis import settings as tried
from hypothesis import strategies as st

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.scope import Filters, Scope, Window
from harvest_pipeline.settings.parameters import OptionsError, RunOptions
from harvest_pipeline.warehouse import tables
from harvest_pipeline.warehouse.scopes import condition, owned

FIRST = date(2026, 11, 1)
INSTANT = datetime(2026, 11, 1, tzinfo=UTC)


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def instant(number: int) -> datetime:
    return INSTANT + timedelta(hours=6 * number)


numbers = st.integers(0, 30)
backs = st.integers(0, 40)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    one, two = sorted((draw(numbers), draw(numbers)))
    return Window(day(one), day(two))


@st.composite
def ways(draw: st.DrawFn) -> dict[str, Any]:
    """One way to say which days are read, as a launch gives it."""
    either = st.one_of(backs, numbers.map(lambda n: day(n).isoformat()))
    kind = draw(st.sampled_from(["days_back", "from_at", "dates"]))
    if kind == "days_back":
        return {"days_back": draw(backs)}
    first, last = ("days_back_to_start_from", "days_back_to_end_at")
    if kind == "dates":
        first, last = "start_date", "end_date"
    value = either if kind == "dates" else backs
    return {first: draw(value), **({last: draw(value)} if draw(st.booleans()) else {})}


def days_meant(way: dict[str, Any], today: date) -> set[date]:
    """The days, counted one by one from far before to far after."""

    def meant(value: Any) -> date:
        return (
            today - timedelta(days=value) if isinstance(value, int) else date.fromisoformat(value)
        )

    starts = [
        name for name in way if name in ("days_back", "days_back_to_start_from", "start_date")
    ]
    ends = [name for name in way if name in ("days_back_to_end_at", "end_date")]
    first = meant(way[starts[0]])
    last = meant(way[ends[0]] if ends else 0)
    far = [FIRST + timedelta(days=n) for n in range(-60, 60)]
    return {each for each in far if first <= each <= last}


@given(way=ways(), today=numbers.map(day), every=windows())
def test_a_window_has_the_days_that_are_meant_and_exist(
    way: dict[str, Any], today: date, every: Window
) -> None:
    assume(every.first <= today <= every.last)
    meant = days_meant(way, today)
    there = meant & set(every.days())
    specific = "start_date" in way and isinstance(way["start_date"], str)
    too_early = specific and date.fromisoformat(way["start_date"]) < every.first
    upside_down = way.get("days_back_to_start_from", 99) < way.get("days_back_to_end_at", 0)
    try:
        window = RunOptions.of(way, "a test").days(today, every)
    except OptionsError:
        assert not there or too_early or upside_down
    else:
        assert set(window.days()) == there
        assert not too_early
        assert not upside_down


statuses = st.sampled_from([None, "open", "paid"])
some_ids = st.sets(st.integers(1, 3)).map(lambda ids: tuple(sorted(ids)))
instants = st.one_of(st.none(), st.integers(0, 8).map(instant))
filters = st.builds(
    Filters,
    updated_since=instants,
    updated_before=instants,
    invoice_status=statuses,
    project_ids=some_ids,
    user_ids=some_ids,
)


def matches(row: dict[str, Any], these: Filters) -> bool:
    """Whether a row with all of these columns is meant."""
    return (
        (these.updated_since is None or row["updated_at"] >= these.updated_since)
        and (these.updated_before is None or row["updated_at"] < these.updated_before)
        and (these.invoice_status is None or row["state"] == these.invoice_status)
        and (not these.project_ids or row["project_id"] in these.project_ids)
        and (not these.user_ids or row["user_id"] in these.user_ids)
    )


#: One record of every kind that these filters can tell apart.
EVERY_RECORD = [
    {"updated_at": instant(number), "state": state, "project_id": project, "user_id": user}
    for number in range(-1, 10)
    for state in ("open", "paid", "draft")
    for project in range(1, 5)
    for user in range(1, 5)
]


@tried(max_examples=300, deadline=None)
@given(one=filters, other=filters)
def test_filters_cover_others_if_and_only_if_all_records_of_these_are_theirs(
    one: Filters, other: Filters
) -> None:
    of_other = [row for row in EVERY_RECORD if matches(row, other)]
    subset = all(matches(row, one) for row in of_other)
    if one.covers(other):
        assert subset
    elif of_other:
        # Filters that nothing can match cover nothing, which costs a question and no row.
        assert not subset


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "day": day(draw(st.integers(0, 6))),
        "updated_at": instant(draw(st.integers(0, 8))),
        "state": draw(st.sampled_from(["open", "paid", "draft"])),
        "project_id": draw(st.integers(1, 4)),
        "user_id": draw(st.integers(1, 4)),
    }


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute("SET TimeZone = 'UTC'")
        for name in ("time_entries", "invoices", "invoice_payments", "task_assignments"):
            tables.prepare(opened, RECORDS[name])
        yield opened


def fill(connection: duckdb.DuckDBPyConnection, table: str, found: list[dict[str, Any]]) -> None:
    connection.execute(f"DELETE FROM {table}")
    for row in found:
        names = ", ".join(row)
        marks = ", ".join("?" for _ in row)
        connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values()))


def ids_where(connection: duckdb.DuckDBPyConnection, table: str, where: str) -> set[int]:
    return {
        row[0] for row in connection.execute(f"SELECT id FROM {table} WHERE {where}").fetchall()
    }


short_windows = st.one_of(
    st.none(),
    st.tuples(st.integers(0, 6), st.integers(0, 6)).map(sorted).map(lambda w: Window(*map(day, w))),
)


@tried(max_examples=80, deadline=None)
@given(found=st.lists(rows(), max_size=12), window=short_windows, these=filters)
def test_the_condition_of_a_scope_chooses_the_rows_that_are_meant(
    connection: duckdb.DuckDBPyConnection,
    found: list[dict[str, Any]],
    window: Window | None,
    these: Filters,
) -> None:
    def inside(row: dict[str, Any]) -> bool:
        return window is None or window.first <= row["day"] <= window.last

    without_status = Filters(
        these.updated_since, these.updated_before, None, these.project_ids, these.user_ids
    )
    entries = [
        {
            "id": number,
            "spent_date": row["day"],
            **{k: row[k] for k in row if k not in ("day", "state")},
        }
        for number, row in enumerate(found)
    ]
    fill(connection, "time_entries", entries)
    scope = Scope("time_entries", window, without_status)
    assert ids_where(connection, "time_entries", condition(RECORDS["time_entries"], scope)) == {
        n for n, row in enumerate(found) if inside(row) and matches(row, without_status)
    }

    without_user = Filters(
        these.updated_since, these.updated_before, these.invoice_status, these.project_ids
    )
    invoices = [
        {
            "id": number,
            "issue_date": row["day"],
            "updated_at": row["updated_at"],
            "state": row["state"],
        }
        for number, row in enumerate(found)
    ]
    lines = [
        {"id": number, "invoice_id": number, "project_id": row["project_id"]}
        for number, row in enumerate(found)
    ]
    fill(connection, "invoices", invoices)
    fill(connection, "invoice_line_items", lines)
    scope = Scope("invoices", window, without_user)
    assert ids_where(connection, "invoices", condition(RECORDS["invoices"], scope)) == {
        n for n, row in enumerate(found) if inside(row) and matches(row, without_user)
    }


@tried(max_examples=40, deadline=None)
@given(
    found=st.lists(st.tuples(rows(), st.booleans()), max_size=10),
    window=short_windows,
    status=statuses,
)
def test_payments_belong_to_the_part_of_their_invoice_and_go_where_it_is_gone(
    connection: duckdb.DuckDBPyConnection,
    found: list[tuple[dict[str, Any], bool]],
    window: Window | None,
    status: str | None,
) -> None:
    fill(
        connection,
        "invoices",
        [
            {"id": number, "issue_date": row["day"], "state": row["state"]}
            for number, (row, is_there) in enumerate(found)
            if is_there
        ],
    )
    fill(
        connection,
        "invoice_payments",
        [
            {"id": 100 + number, "invoice_id": number, "invoice_issue_date": row["day"]}
            for number, (row, _) in enumerate(found)
        ],
    )
    payments, filters_ = RECORDS["invoice_payments"], Filters(invoice_status=status)
    scope = Scope("invoice_payments", window, filters_)
    inside = {
        100 + n: (row, is_there)
        for n, (row, is_there) in enumerate(found)
        if window is None or window.first <= row["day"] <= window.last
    }
    of_part = {
        key
        for key, (row, is_there) in inside.items()
        if status is None or (is_there and row["state"] == status)
    }
    gone = {key for key, (_, is_there) in inside.items() if not is_there}
    assert ids_where(connection, "invoice_payments", condition(payments, scope)) == of_part
    assert ids_where(connection, "invoice_payments", owned(payments, scope)) == of_part | gone


def test_a_read_of_changes_owns_nothing_but_what_comes() -> None:
    for these in (Filters(updated_since=INSTANT), Filters(updated_before=INSTANT)):
        assert owned(RECORDS["time_entries"], Scope("time_entries", None, these)) == "false"
