"""What the other models rely on: how fresh a record is, money, roles and assignments."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from harvest_pipeline.sandbox.records import Records
from harvest_pipeline.scope import Proof
from harvest_pipeline_tests.models.warehouse import Answers, project

NOON, LATER = datetime(2026, 11, 20, 12, tzinfo=UTC), datetime(2026, 11, 21, 12, tzinfo=UTC)


def load(**fields: Any) -> dict[str, Any]:
    """A load of time entries, a day after the one that is there."""
    return {
        "load_id": "1",
        "record": "time_entries",
        "read_at": LATER,
        "proof": "total_entries",
        **fields,
    }


@pytest.mark.parametrize(
    ("fields", "as_of"),
    [
        ({}, LATER),
        ({"proof": "changes", "filters": '{"updated_since": "2026-11-20"}'}, LATER),
        ({"proof": "module_off"}, LATER),
        ({"record": "expenses"}, NOON),
        ({"filters": '{"project_ids": [1]}'}, NOON),
        ({"proof": "followed"}, NOON),
        ({"proof": "narrower"}, NOON),
        ({"window_first": date(2026, 11, 1), "window_last": date(2026, 11, 21)}, LATER),
        ({"window_first": date(2025, 1, 1), "window_last": date(2025, 1, 31)}, NOON),
    ],
)
def test_a_record_is_as_fresh_as_the_last_read_that_could_bring_everything(
    answers: Answers, fields: dict[str, Any], as_of: datetime
) -> None:
    answers.rows(
        "UPDATE _loads SET window_first = '2026-01-01', window_last = '2026-11-20'"
        " WHERE record = 'time_entries'"
    )
    answers.add("_loads", load(**fields))
    found = answers.rows("SELECT as_of FROM freshness WHERE record = 'time_entries'")
    assert found == [(as_of,)]


def test_every_way_to_prove_a_read_was_thought_of() -> None:
    assert {str(each) for each in Proof} == {
        "total_entries", "cursor_chain", "module_off", "changes", "counted", "followed", "narrower",
    }  # fmt: skip


def test_a_record_that_was_never_read_has_no_freshness(answers: Answers) -> None:
    answers.rows("DELETE FROM _loads")
    assert answers.rows("FROM freshness") == []
    answers.add("users", {"id": 1, "is_active": True, "created_at": NOON})
    assert answers.rows("FROM utilisation") == []


@pytest.mark.parametrize(
    ("currency", "digits"),
    [("EUR", 2), ("JPY", 0), ("KRW", 0), ("KWD", 3), ("TND", 3), ("XYZ", 2), (None, 2)],
)
@pytest.mark.parametrize("amount", ["1234.5675", "-0.0055", "0.5", "99999999999999.995"])
def test_money_has_the_digits_of_its_currency_half_up(
    answers: Answers, currency: str | None, digits: int, amount: str
) -> None:
    sql = "SELECT money(?::DECIMAL(38,18), ?)"
    unit = Decimal(1).scaleb(-digits)
    expected = Decimal(amount).quantize(unit, "ROUND_HALF_UP")
    assert answers.rows(sql, Decimal(amount), currency) == [(expected,)]


def test_everybody_of_a_role_has_a_row(records: Records, account: Answers) -> None:
    expected = {(role.id, role.name, user) for role in records.roles for user in role.user_ids}
    assert {*account.rows("FROM role_members")} == expected
    assert len(expected) > len(records.roles)


def test_a_role_without_people_or_twice_the_same_one(answers: Answers) -> None:
    answers.add("roles", {"id": 1, "name": "A", "user_ids": "[]"})
    answers.add("roles", {"id": 2, "name": "B", "user_ids": "[5, 6, 5]"})
    assert answers.rows("FROM role_members ORDER BY user_id") == [(2, "B", 5), (2, "B", 6)]


def test_an_assignment_has_its_project_and_client(records: Records, account: Answers) -> None:
    rows = account.records("FROM project_assignments")
    projects = {each.id: each for each in records.projects}
    expected = {
        each.id: (each.user.id, each.project.id, projects[each.project.id].client.id,
                  projects[each.project.id].client.currency, each.hourly_rate,
                  projects[each.project.id].is_fixed_fee)
        for each in records.user_assignments
    }  # fmt: skip
    assert expected == {
        row["user_assignment_id"]: (row["user_id"], row["project_id"], row["client_id"],
                                    row["currency"], row["hourly_rate"], row["is_fixed_fee"])
        for row in rows
    }  # fmt: skip


def test_an_assignment_to_a_project_that_is_not_there_stays(answers: Answers) -> None:
    answers.add("projects", project(1))
    answers.add("user_assignments", {"id": 1, "user_id": 5, "project_id": 2, "is_active": True})
    found = answers.rows("SELECT user_id, project_id, client_id FROM project_assignments")
    assert found == [(5, 2, None)]
