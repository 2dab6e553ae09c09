"""The records beside those of the 18 reports: that nights bring what changed in them, too."""

from datetime import UTC, datetime, time, timedelta

import dagster as dg
import pytest

from harvest_pipeline.definitions import build_definitions
from harvest_pipeline_tests.conftest import TODAY, Project, failure_of
from harvest_pipeline_tests.loading.reconcile.conftest import Loaded

pytestmark = pytest.mark.long


def test_edits_and_deletions_of_estimates_arrive_with_what_belongs_to_them(loaded: Loaded) -> None:
    deleted = loaded.account.records.estimates.ascending()[-1]
    messages = [(each.id,) for each in loaded.account.records.estimate_messages[deleted.id]]
    loaded.account.change("estimates", deleted.id, state="accepted", subject="Agreed")
    assert loaded.reconcile().result.success
    assert loaded.differences() == []
    loaded.account.delete("estimates", deleted.id)
    assert loaded.reconcile().result.success
    assert loaded.differences() == []
    assert loaded.query("SELECT id FROM estimates_deleted") == [(deleted.id,)]
    lines = loaded.query("SELECT id FROM estimate_line_items_deleted ORDER BY id")
    assert lines == sorted((line.id,) for line in deleted.line_items)
    assert loaded.query("SELECT id FROM estimate_messages_deleted ORDER BY id") == sorted(messages)


def test_a_new_rate_of_a_person_arrives_with_the_person(loaded: Loaded) -> None:
    person = loaded.account.records.users.ascending()[0]
    rate = loaded.account.records.cost_rates[person.id].ascending()[-1]
    rate.amount += 3
    loaded.account.change("users", person.id, cost_rate=rate.amount)
    night = loaded.reconcile()
    assert night.result.success
    of_person = {f"/v2/users/{person.id}/{kind}" for kind in ("billable_rates", "cost_rates")}
    assert of_person <= set(night.children())
    found = loaded.query("SELECT amount, user_id FROM cost_rates WHERE id = ?", rate.id)
    assert found == [(rate.amount, person.id)]


def test_a_rate_that_changes_without_a_trace_arrives_within_a_month(loaded: Loaded) -> None:
    person = loaded.account.records.users.ascending()[1]
    loaded.account.records.cost_rates[person.id].ascending()[-1].amount += 7
    assert loaded.reconcile().result.success
    assert loaded.differences() != []
    loaded.tamper("UPDATE _parents_read SET read_at = read_at - INTERVAL 40 DAY")
    loaded.set(HARVEST_SWEEP_REQUESTS="1000")
    assert loaded.reconcile().result.success
    loaded.set(HARVEST_SWEEP_REQUESTS="0")
    assert loaded.differences() == []


def test_members_of_roles_and_teammates_follow(loaded: Loaded) -> None:
    records = loaded.account.records
    role, (manager, people) = records.roles.ascending()[0], next(iter(records.teammates.items()))
    leaving = sorted(people)[0]
    loaded.account.change("roles", role.id, user_ids=[])
    records.teammates[manager] = people - {leaving}
    loaded.account.change("users", manager, telephone="+1 555")
    assert loaded.reconcile().result.success
    assert loaded.differences() == []
    assert loaded.query("SELECT user_id, id FROM teammates_deleted") == [(manager, leaving)]


def test_a_person_who_is_no_manager_any_more_has_no_teammates(loaded: Loaded) -> None:
    (manager,) = loaded.account.records.teammates
    loaded.account.change("users", manager, access_roles=["member"])
    night = loaded.reconcile()
    assert night.result.success
    assert f"/v2/users/{manager}/teammates" not in night.children()
    assert loaded.query("SELECT * FROM teammates") == []
    loaded.account.change("users", manager, access_roles=["manager"])
    assert loaded.reconcile().result.success


def test_a_snapshot_is_added_each_day_and_replaced_within_the_day(loaded: Loaded) -> None:
    person = loaded.account.records.users.ascending()[2]
    tomorrow = TODAY + timedelta(days=1)
    before = person.weekly_capacity
    capacity = "SELECT day, weekly_capacity FROM people_snapshots WHERE user_id = ? ORDER BY day"
    with loaded.on_the_day(tomorrow):
        loaded.account.change("users", person.id, weekly_capacity=72000)
        assert loaded.reconcile().result.success
        assert loaded.query(capacity, person.id) == [(TODAY, before), (tomorrow, 72000)]
        loaded.account.change("users", person.id, weekly_capacity=90000)
        assert loaded.reconcile().result.success
    assert loaded.query(capacity, person.id) == [(TODAY, before), (tomorrow, 90000)]
    days = loaded.query("SELECT DISTINCT day FROM project_budgets ORDER BY day")
    assert days == [(TODAY,), (tomorrow,)]
    assert loaded.query("SELECT count(*) - count(DISTINCT key) FROM people_snapshots") == [(0,)]


def test_what_a_manager_never_could_read_is_left_out_and_what_was_taken_away_is_red(
    project: Project,
) -> None:
    people = project.sandbox.account.people
    project.set(HARVEST_ACCESS_TOKEN=project.sandbox.tokens["manager"])
    job = build_definitions().get_job_def("harvest_reconcile")

    def night() -> dg.ExecuteInProcessResult:
        now = datetime.combine(TODAY, time(12), UTC)
        with dg.partition_loading_context(effective_dt=now):
            return job.execute_in_process(instance=project.instance, raise_on_error=False)

    assert night().success
    assert project.query("SELECT count(*) > 0 FROM time_entries") == [(True,)]
    assert project.query("SELECT 1 FROM _loads WHERE record IN ('cost_rates', 'roles')") == []
    project.sandbox.account.records.teammates[people["manager"]] = set()
    for each in project.sandbox.account.records.user_assignments:
        if each.user.id == people["manager"]:
            each.is_project_manager = False
    assert "403" in failure_of(night())
