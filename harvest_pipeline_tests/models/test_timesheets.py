"""Timesheets: hours by kind, overtime, missing days, late entries, approval."""

from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from harvest_pipeline.sandbox.records import Records
from harvest_pipeline_tests.models.conftest import TODAY
from harvest_pipeline_tests.models.test_utilisation import person
from harvest_pipeline_tests.models.warehouse import Answers, entry, project

MONDAY = date(2026, 11, 9)


def test_the_timesheets_of_the_sandbox_are_the_sums_of_its_entries(
    records: Records, account: Answers
) -> None:
    weeks: dict[tuple[int, date], list[Any]] = defaultdict(list)
    for each in records.time_entries:
        monday = each.spent_date - timedelta(days=each.spent_date.weekday())
        weeks[each.user.id, monday].append(each)
    rows = account.records("FROM timesheets")
    assert weeks.keys() <= {(row["user_id"], row["week"]) for row in rows}
    for row in rows:
        group = weeks[row["user_id"], row["week"]]
        hours = sum((each.hours for each in group), Decimal(0))
        late = [e for e in group if e.created_at.date() - e.spent_date > timedelta(days=3)]
        days = {each.spent_date for each in group}
        missing = [
            day
            for n in range(7)
            if (day := row["week"] + timedelta(days=n)).weekday() < 5
            and row["first_day"] <= day <= row["last_day"]
            and day < TODAY
            and day not in days
        ]
        approved = sum(each.hours for each in group if each.approval_status == "approved")
        submitted = sum(each.hours for each in group if each.approval_status == "submitted")
        expected = {
            "entries": len(group),
            "hours": hours,
            "tracked_billable_hours": sum(each.hours for each in group if each.billable),
            "tracked_non_billable_hours": sum(each.hours for each in group if not each.billable),
            "overtime_hours": max(hours - row["capacity_hours"], 0),
            "days_with_time": len(days),
            "missing_days": len(missing),
            "late_entries": len(late),
            "late_hours": sum(each.hours for each in late),
            "approved_hours": approved,
            "submitted_hours": submitted,
            "unsubmitted_hours": hours - approved - submitted,
        }
        assert {name: row[name] for name in expected} == expected
        if hours:
            assert row["approved_share"] == pytest.approx(float(approved / hours))
            assert row["submitted_share"] == pytest.approx(float((approved + submitted) / hours))
    assert any(row["missing_days"] for row in rows)
    assert any(row["late_entries"] for row in rows)


@pytest.mark.parametrize(
    ("made_at", "late"),
    [("2026-11-12 23:59:59Z", 0), ("2026-11-13 00:00:00Z", 1), ("2026-11-08 12:00:00Z", 0)],
)
def test_an_entry_is_late_on_the_fourth_day_after_it(
    answers: Answers, made_at: str, late: int
) -> None:
    answers.add("users", person())
    answers.add("projects", project())
    answers.add("time_entries", entry(1, MONDAY, 2, created_at=made_at))
    # Also where whoever asks is in another time zone.
    for zone in ("UTC", "Pacific/Auckland", "America/Los_Angeles"):
        answers.rows(f"SET TimeZone = '{zone}'")
        found = answers.rows("SELECT late_entries, late_hours FROM timesheets WHERE hours > 0")
        assert found == [(late, 2 * late)]
    answers.rows("SET TimeZone = 'UTC'")


def test_overtime_is_above_the_capacity_of_the_days_that_are_the_persons(answers: Answers) -> None:
    answers.add("users", person(created_at="2026-11-12 09:00:00Z", email="chi@aster.test"))
    answers.add("projects", project())
    answers.add("time_entries", entry(1, date(2026, 11, 12), 10), entry(2, date(2026, 11, 14), 9))
    found = answers.rows(
        "SELECT user_name, email, first_day, capacity_hours, hours, overtime_hours, missing_days"
        " FROM timesheets WHERE week = ?",
        MONDAY,
    )
    assert found == [("Chi Tanaka", "chi@aster.test", date(2026, 11, 12), 16, 19, 3, 1)]


def test_a_week_without_time_misses_its_working_days_but_not_the_one_that_is_not_over(
    answers: Answers,
) -> None:
    answers.add("users", person())
    found = answers.rows("SELECT week, missing_days, approved_share FROM timesheets ORDER BY week")
    assert found == [(date(2026, 11, 2), 5, None), (MONDAY, 5, None), (date(2026, 11, 16), 4, None)]
