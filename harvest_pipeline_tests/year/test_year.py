"""A year of two accounts, by sensor and nightly schedule alone: the warehouse equals Harvest.

The suite is awake on the nights of `PLAN` only, as on a machine that is mostly off; all nights of
the year are `python -m benchmarks.events_of_a_year`. The same people do the same in both.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest

from harvest_pipeline_tests.equal import differences, not_kept
from harvest_pipeline_tests.places import KIND
from harvest_pipeline_tests.year.living import Night, Plan, Year, a_year, cost
from harvest_pipeline_tests.year.story import DEMOTED, EVE, LAST, RESTORED, F, L, d

pytestmark = [
    pytest.mark.long,
    pytest.mark.slow,
    pytest.mark.skipif(KIND == "ducklake-s3", reason="it puts an older copy of all files back"),
]

#: A Friday, and the Saturday on which nothing happens but that a client is renamed.
FRIDAY, SATURDAY = d("25-12-05"), d("25-12-06")
#: A night on which somebody has a smaller role, and the next, before which an older copy of the
#: warehouse was put back.
DEMOTION, AFTER = d("26-01-19"), d("26-01-20")
PLAN = Plan(
    evenings=[FRIDAY, SATURDAY, AFTER],
    nights=[EVE, FRIDAY, SATURDAY, DEMOTION, AFTER, LAST],
    # The seven nights of a sweep in one, for there are no seven.
    variables={"HARVEST_SWEEP_REQUESTS": "60"},
)


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Year]:
    with a_year(tmp_path_factory.mktemp("year"), PLAN) as lived:
        yield lived


def test_only_an_outage_and_a_smaller_role_failed_and_the_next_night_mended_it(year: Year) -> None:
    failed = [(night.day, run.by) for night in year.nights for run in night.runs if not run.success]
    assert failed == [(FRIDAY, f"{L}_reconcile"), (DEMOTION, f"{L}_reconcile")]
    assert night_of(year, FRIDAY).wrong[F] == []
    assert night_of(year, SATURDAY).wrong[L] == []
    assert night_of(year, AFTER).wrong[L] == []


def test_a_night_that_failed_lost_nothing(year: Year) -> None:
    assert [night.lost for night in year.nights if night.lost] == [{L: []}, {L: []}]
    name, role = DEMOTED[DEMOTION]
    ((said, *_),) = [run.failed for run in night_of(year, DEMOTION).runs if not run.success]
    assert f", {role}, who may not see everything" in said
    assert ", administrator has loaded" in said
    assert name == L


def test_an_older_copy_of_the_warehouse_is_equal_after_a_night(year: Year) -> None:
    assert RESTORED[AFTER] == SATURDAY
    assert night_of(year, AFTER).wrong == {F: [], L: []}


def test_the_year_ends_with_no_difference_in_either_account(year: Year) -> None:
    for name, account in year.accounts.items():
        assert differences(year.database, account, name) == []
        assert not_kept(year.database, year.gone[name], name) == []
        deleted = {record for record, ids in year.gone[name].items() if ids}
        assert deleted >= {"time_entries", "expenses", "invoice_messages", "projects"}
    assert year.gone[F]["invoices"]


def test_its_budgets_and_unbilled_work_are_those_of_harvests_reports(year: Year) -> None:
    compared = "SELECT count(*) FROM project_budgets WHERE day = (SELECT max(day) FROM budget_burn)"
    for name in year.accounts:
        for model in ("budget_differences", "unbilled_differences"):
            assert year.rows(name, f"FROM {model}") == []
        ((budgets,),) = year.rows(name, compared)
        assert budgets > 0


def test_so_does_every_night_whose_runs_succeeded(year: Year) -> None:
    assert [(night.day, night.wrong) for night in year.nights if any(night.wrong.values())] == []


def test_all_of_it_was_loaded_by_sensors_and_schedules(year: Year) -> None:
    for name in year.accounts:
        runs = year.rows(name, "SELECT DISTINCT run_id FROM _loads")
        assert {run for (run,) in runs} <= {run.run_id for run in year.daemon.ran}


def test_harvests_own_reports_say_the_same_after_every_night(year: Year) -> None:
    reconciled = [r for n in year.nights for r in n.runs if r.by.endswith("_reconcile")]
    told = [(r.verdict, r.failed) for r in reconciled if r.success]
    # On Friday somebody entered time for Sunday, which Harvest's budget report counts at once.
    assert told.pop(2) == ("equal", ("nothing_differs: None",))
    assert told == [("equal", ())] * 9


def test_every_fault_was_met(year: Year) -> None:
    assert year.faults.waiting == []


def test_a_renamed_client_is_read_and_nothing_that_carries_its_name(year: Year) -> None:
    saturday = night_of(year, SATURDAY)
    (followed,) = (run for run in saturday.runs if run.by == f"{F}_changes")
    # On the sixth of each month an invoice is sent, too.
    others = {path for path in followed.lists if not path.startswith("/v2/invoices")}
    assert others == {"/v2/clients", "/v2/users/me"}
    assert saturday.wrong[F] == []


def test_a_night_without_other_changes_costs_twenty_one_requests_and_three_for_the_new_day(
    year: Year,
) -> None:
    asked = night_of(year, SATURDAY).of(f"{F}_reconcile")
    sunday = SATURDAY + timedelta(days=1)
    of_the_day = [path for path, query in asked.asked if f"from={sunday}&to={sunday}" in query]
    new = {"/v2/time_entries", "/v2/expenses", "/v2/invoices"}
    assert {path for path in of_the_day if "/reports/" not in path} == new
    # Entries were moved to a day before the start date and to one to come: each is counted, too.
    assert len(asked.lists) == 21 + len(new) + 2
    # Four months by project, for time, expenses and what is uninvoiced; the closed ones and the
    # current one by three other subjects, for time and expenses. And the budgets.
    assert len(asked.asked) - len(asked.lists) == 4 * 3 + 2 * 3 * 2 + 1


def test_messages_and_payments_edited_in_silence_are_found_within_a_week(year: Year) -> None:
    looked = 0
    for (name, row), (at, nights) in year.script.silent.items():
        last = at + timedelta(days=nights - 1)
        green = [n for n in year.nights if at <= n.day < last and name in n.wrong]
        looked += len(green[-1:])
        assert all(row not in night.awaited[name] for night in green[-1:])
    assert looked >= 2


def test_what_was_moved_out_of_reach_and_deleted_there_is_kept(year: Year) -> None:
    rows = year.rows(F, "SELECT id FROM time_entries_deleted")
    assert {year.script.called["put off"], year.script.called["put back"]} <= {id for (id,) in rows}


def test_deletions_are_noticed_in_the_next_night(year: Year) -> None:
    noticed = {
        (F, "time_entries", "late"): d("26-03-17"),
        (F, "contacts", "Noor"): d("26-02-25"),
    }
    for (name, record, called), deleted in noticed.items():
        query = f"SELECT _noticed_at FROM {record}_deleted WHERE id = ?"
        ((at,),) = year.rows(name, query, year.script.called[called])
        night = next(n for n in year.nights if n.day >= deleted and name in n.wrong)
        morning = datetime.combine(night.day + timedelta(days=1), datetime.min.time(), UTC)
        assert morning < at < morning + timedelta(hours=4)


def test_what_it_cost_is_told(year: Year, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{cost(year.nights, year.daemon)}")
    assert all(name in night.whole for night in year.nights for name in (F, L))


def night_of(year: Year, day: date) -> Night:
    (found,) = (night for night in year.nights if night.day == day)
    return found
