"""How full people are, against a count of their days in Python."""

from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from harvest_pipeline.sandbox.records import Records
from harvest_pipeline_tests.models.conftest import TODAY
from harvest_pipeline_tests.models.warehouse import Answers, entry, project

HOURS_40 = 40 * 3600


def person(id: int = 5, **fields: Any) -> dict[str, Any]:
    """A person of 40 hours who was added on the 2nd of November 2026, a Monday."""
    return {
        "id": id,
        "first_name": "Chi",
        "last_name": "Tanaka",
        "weekly_capacity": HOURS_40,
        "is_active": True,
        "created_at": "2026-11-02 09:00:00Z",
        "updated_at": "2026-11-02 09:00:00Z",
        **fields,
    }


def snapshot(day: date, hours: int, **fields: Any) -> dict[str, Any]:
    """What Harvest showed of the person on a day."""
    return {
        "key": day.toordinal(),
        "day": day,
        "user_id": 5,
        "weekly_capacity": hours * 3600,
        "is_active": True,
        **fields,
    }


def begun(answers: Answers, day: date) -> None:
    """Let the account have time since a day, of another person."""
    answers.add("time_entries", entry(99, day, 1, user_id=6))


def weeks(answers: Answers, columns: str, user_id: int = 5) -> list[tuple[Any, ...]]:
    """These columns of a person's weeks, the first week first."""
    sql = f"SELECT {columns} FROM utilisation WHERE user_id = ? ORDER BY week"
    return answers.rows(sql, user_id)


@pytest.mark.parametrize(
    ("view", "period"),
    [
        ("utilisation", lambda day: day - timedelta(days=day.weekday())),
        ("utilisation_monthly", lambda day: day.replace(day=1)),
    ],
)
def test_the_sandbox_account_is_as_full_as_a_count_of_its_days_says(
    records: Records, account: Answers, view: str, period: Any
) -> None:
    entries: dict[int, list[Any]] = defaultdict(list)
    for each in records.time_entries:
        entries[each.user.id].append(each)
    begin = min(each.spent_date for each in records.time_entries)
    expected: dict[tuple[int, date], list[Any]] = {}
    for user in records.users:
        mine = entries[user.id]
        worked = [each.spent_date for each in mine]
        first = max(min([user.created_at.date(), *worked]), begin)
        last = max([TODAY, *worked]) if user.is_active else max(worked)
        for n in range((last - first).days + 1):
            day = first + timedelta(days=n)
            sums = expected.setdefault((user.id, period(day)), [Decimal(0)] * 3)
            if day.weekday() < 5:
                sums[0] += Decimal(user.weekly_capacity) / 3600 / 5
        for each in mine:
            sums = expected[user.id, period(each.spent_date)]
            sums[1] += each.hours
            sums[2] += each.rounded_hours if each.billable else 0
    rows = account.records(f"FROM {view}")
    name = "week" if view == "utilisation" else "month"
    assert {(row["user_id"], row[name]) for row in rows} == expected.keys()
    for row in rows:
        capacity, hours, billable = expected[row["user_id"], row[name]]
        assert row["capacity_hours"] == pytest.approx(capacity, abs=Decimal("0.000001"))
        assert (row["hours"], row["billable_hours"]) == (hours, billable)
        if capacity:
            assert row["utilisation"] == pytest.approx(float(hours / capacity))
            assert row["billable_utilisation"] == pytest.approx(float(billable / capacity))
        assert not row["capacity_is_recorded"]
    assert not all(user.is_active for user in records.users)


def test_whoever_tracked_nothing_stands_there_with_zero(answers: Answers) -> None:
    answers.add("users", person())
    columns = "week, capacity_hours, hours, utilisation, billable_share"
    assert weeks(answers, columns) == [
        (date(2026, 11, 2), 40, 0, 0, None),
        (date(2026, 11, 9), 40, 0, 0, None),
        (date(2026, 11, 16), 40, 0, 0, None),
    ]


def test_the_first_and_last_day_of_a_person_bound_the_capacity(answers: Answers) -> None:
    # Added on a Wednesday, left on the Thursday of the week after, archived weeks later.
    answers.add(
        "users",
        person(is_active=False, created_at="2026-09-02 09:00:00Z", updated_at="2026-11-19 09:00Z"),
    )
    answers.add("projects", project())
    answers.add(
        "time_entries",
        entry(1, date(2026, 8, 3), 1, user_id=6),
        entry(2, date(2026, 9, 2), 8),
        entry(3, date(2026, 9, 10), 16, billable=False),
    )
    columns = "week, first_day, last_day, working_days, capacity_hours, hours, utilisation"
    assert weeks(answers, columns) == [
        (date(2026, 8, 31), date(2026, 9, 2), date(2026, 9, 6), 3, 24, 8, pytest.approx(1 / 3)),
        (date(2026, 9, 7), date(2026, 9, 7), date(2026, 9, 10), 4, 32, 16, 0.5),
    ]
    # The other one is no longer in the list of people: the hours stay, without a capacity.
    assert weeks(answers, "hours, capacity_hours, utilisation", 6) == [(1, None, None)]


def test_time_that_was_entered_for_days_before_the_person_was_added_begins_earlier(
    answers: Answers,
) -> None:
    answers.add("users", person(created_at="2026-11-18 09:00:00Z"))
    answers.add("projects", project())
    answers.add("time_entries", entry(1, date(2026, 11, 16), 20))
    assert weeks(answers, "first_day, last_day, capacity_hours, utilisation") == [
        (date(2026, 11, 16), TODAY, 40, 0.5)
    ]


def test_an_archived_person_without_time_ends_with_the_last_change(answers: Answers) -> None:
    answers.add("users", person(is_active=False, updated_at="2026-11-04 10:00:00Z"))
    assert weeks(answers, "last_day, capacity_hours") == [(date(2026, 11, 4), 24)]
    answers.add("people_snapshots", snapshot(date(2026, 11, 3), 40))
    assert weeks(answers, "last_day, capacity_hours") == [(date(2026, 11, 3), 16)]


def test_capacity_is_that_of_the_snapshots_and_before_them_that_of_the_first(
    answers: Answers,
) -> None:
    answers.add("users", person(weekly_capacity=10 * 3600))
    answers.add(
        "people_snapshots",
        snapshot(date(2026, 11, 11), 40),
        snapshot(date(2026, 11, 12), 40),
        snapshot(date(2026, 11, 17), 20),  # from a Tuesday on
    )
    assert weeks(answers, "week, capacity_hours, capacity_is_recorded") == [
        (date(2026, 11, 2), 40, False),
        (date(2026, 11, 9), 40, False),
        (date(2026, 11, 16), 8 + 4 * 4, True),
    ]


@pytest.mark.parametrize(
    ("begins", "of_saturday", "of_sunday", "of_monday"),
    [("Monday", 9, 9, 16), ("Sunday", 8, 15, 15), ("Saturday", 14, 14, 14)],
)
def test_a_week_begins_on_the_day_that_the_company_has_chosen(
    answers: Answers, begins: str, of_saturday: int, of_sunday: int, of_monday: int
) -> None:
    answers.rows("UPDATE company SET week_start_day = ?", begins)
    answers.add("users", person())
    answers.add("projects", project())
    begun(answers, date(2026, 10, 1))
    for n, hours in ((14, 1), (15, 2), (16, 4)):
        answers.add("time_entries", entry(n, date(2026, 11, n), hours))
    by_week: dict[int, int] = defaultdict(int)
    for day, hours in ((of_saturday, 1), (of_sunday, 2), (of_monday, 4)):
        by_week[day] += hours
    found = {week.day: hours for week, hours in weeks(answers, "week, hours") if hours}
    assert found == by_week
    whole = weeks(answers, "working_days, last_day - first_day, capacity_hours")
    assert (5, 6, 40) in whole  # a whole week has five working days, wherever it begins


def test_a_leap_month_has_its_29th_day(answers: Answers) -> None:
    answers.add("users", person(created_at="2028-02-01 09:00:00Z"))
    answers.rows("UPDATE _loads SET read_at = TIMESTAMPTZ '2028-03-31 12:00:00Z'")
    answers.add("projects", project())
    begun(answers, date(2028, 1, 1))
    answers.add("time_entries", entry(1, date(2028, 2, 29), 8), entry(2, date(2028, 3, 1), 4))
    found = answers.rows(
        "SELECT month, last_day, working_days, capacity_hours, hours FROM utilisation_monthly"
        " WHERE user_id = 5 ORDER BY month"
    )
    assert found == [
        (date(2028, 2, 1), date(2028, 2, 29), 21, 168, 8),
        (date(2028, 3, 1), date(2028, 3, 31), 23, 184, 4),
    ]


def test_a_person_without_capacity_has_no_utilisation(answers: Answers) -> None:
    answers.add("users", person(weekly_capacity=0))
    answers.add("projects", project())
    answers.add("time_entries", entry(1, date(2026, 11, 3), 4))
    assert weeks(answers, "capacity_hours, hours, utilisation, billable_share")[0] == (
        0, 4, None, 1.0,
    )  # fmt: skip
