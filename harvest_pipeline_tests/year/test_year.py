"""A year of two accounts, with nothing but sensors and schedules: the warehouse equals Harvest.

The suite is awake on the nights of `PLAN` only, as on a machine that is mostly off; all nights of
the year are `python -m benchmarks.events_of_a_year`. The same people do the same in both.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import duckdb
import pytest

from harvest_pipeline_tests.equal import differences, not_kept
from harvest_pipeline_tests.year.living import Night, Plan, Year, a_year, cost
from harvest_pipeline_tests.year.story import EVE, LAST, F, L, d

pytestmark = pytest.mark.slow

#: A Friday, and the Saturday on which nothing happens but that a client is renamed.
FRIDAY, SATURDAY = d("25-12-05"), d("25-12-06")
PLAN = Plan(
    evenings=[FRIDAY, SATURDAY],
    nights=[EVE, FRIDAY, SATURDAY, LAST],
    compared=[FRIDAY],
    # The seven nights of a sweep in one, for there are no seven.
    variables={"HARVEST_SWEEP_REQUESTS": "60"},
)


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Year]:
    with a_year(tmp_path_factory.mktemp("year"), PLAN) as lived:
        yield lived


def test_only_what_met_an_outage_failed_and_the_next_night_mended_it(year: Year) -> None:
    failed = [(night.day, run.by) for night in year.nights for run in night.runs if not run.success]
    assert failed == [(FRIDAY, f"{L}_reconcile")]
    assert night_of(year, FRIDAY).wrong[F] == []
    assert night_of(year, SATURDAY).wrong[L] == []


def test_the_year_ends_with_no_difference_in_either_account(year: Year) -> None:
    for name, account in year.accounts.items():
        assert differences(year.database, account, name) == []
        assert not_kept(year.database, year.gone[name], name) == []
        deleted = {record for record, ids in year.gone[name].items() if ids}
        assert deleted >= {"time_entries", "expenses", "invoice_messages", "projects"}
    assert year.gone[F]["invoices"]


def test_so_does_every_night_whose_runs_succeeded(year: Year) -> None:
    assert [(night.day, night.wrong) for night in year.nights if any(night.wrong.values())] == []


def test_all_of_it_was_loaded_by_sensors_and_schedules(year: Year) -> None:
    with duckdb.connect(year.database, read_only=True) as connection:
        for name in year.accounts:
            runs = connection.execute(f"SELECT DISTINCT run_id FROM {name}._loads").fetchall()
            assert {run for (run,) in runs} <= {run.run_id for run in year.daemon.ran}


def test_harvests_own_reports_say_the_same(year: Year) -> None:
    compared = night_of(year, FRIDAY).of(f"{F}_equality")
    assert compared.success
    assert compared.failed == ()


def test_every_fault_was_met(year: Year) -> None:
    assert year.faults.waiting == []


def test_a_renamed_client_is_read_and_nothing_that_carries_its_name(year: Year) -> None:
    saturday = night_of(year, SATURDAY)
    followed = [run.asked for run in saturday.runs if run.by == f"{F}_changes"]
    (paths,) = ({path for path, _ in each} for each in followed if "/v2/clients" in dict(each))
    assert paths == {"/v2/clients", "/v2/users/me"}
    entries = [query for each in followed for path, query in each if path == "/v2/time_entries"]
    assert all(f"from={SATURDAY}&to={SATURDAY}" in query for query in entries), entries
    assert saturday.wrong[F] == []


def test_a_night_without_other_changes_costs_fifteen_requests(year: Year) -> None:
    assert len(night_of(year, SATURDAY).of(f"{F}_reconcile").asked) == 15


def test_messages_and_payments_edited_in_silence_are_found_within_a_week(year: Year) -> None:
    looked = 0
    for (name, row), at in year.script.silent.items():
        week = [n for n in year.nights if at <= n.day < at + timedelta(days=6) and name in n.wrong]
        looked += len(week[-1:])
        assert all(row not in night.awaited[name] for night in week[-1:])
    assert looked >= 2


def test_deletions_are_noticed_in_the_next_night(year: Year) -> None:
    noticed = {
        (F, "time_entries", "late"): d("26-03-17"),
        (F, "contacts", "Noor"): d("26-02-25"),
    }
    with duckdb.connect(year.database, read_only=True) as connection:
        for (name, record, called), deleted in noticed.items():
            query = f"SELECT _noticed_at FROM {name}.{record}_deleted WHERE id = ?"
            rows = connection.execute(query, [year.script.called[called]]).fetchall()
            night = next(n for n in year.nights if n.day >= deleted and name in n.wrong)
            morning = datetime.combine(night.day + timedelta(days=1), datetime.min.time(), UTC)
            ((at,),) = rows
            assert morning < at < morning + timedelta(hours=4)


def test_what_it_cost_is_told(year: Year, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{cost(year.nights, year.daemon)}")
    assert all(name in night.whole for night in year.nights for name in (F, L))


def night_of(year: Year, day: date) -> Night:
    (found,) = (night for night in year.nights if night.day == day)
    return found
