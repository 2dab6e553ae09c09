"""The comparison: what is equal, and how each thing that can be wrong is found and named."""

from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal
from time import monotonic
from typing import Any

import pytest

from harvest_pipeline.harvest import pages, summary_reports
from harvest_pipeline.harvest.errors import AnswerInvalid
from harvest_pipeline.harvest.limits import Limit, Limits
from harvest_pipeline.harvest.summary_reports import read_report
from harvest_pipeline.loading.figures import RECORDS, Theme, rows_of
from harvest_pipeline.loading.verify import (
    Outcome,
    Verdict,
    halves,
    months,
    reasons,
    verdict,
    years,
)
from harvest_pipeline.scope import Window
from harvest_pipeline_tests.conftest import TODAY
from harvest_pipeline_tests.loading.verify.conftest import Place
from harvest_pipeline_tests.sandbox.faults import AnswerWith

SEPTEMBER = Window(date(2026, 9, 1), date(2026, 9, 30))
NOVEMBER = Window(date(2026, 11, 1), TODAY)

#: Subject, id, currency, figure, month: Harvest's and the warehouse's.
Named = dict[tuple[str, int, str, str, str], tuple[Decimal, Decimal]]


def named(outcome: Outcome) -> Named:
    """The differences, by what they name."""
    return {
        (
            each.question.about,
            each.subject_id,
            each.currency,
            each.title,
            f"{each.window.first:%Y-%m}",
        ): (each.harvest, each.warehouse)
        for each in outcome.differences
    }


def entry(place: Place, condition: str = "true") -> dict[str, Any]:
    """A billable time entry of September of a project without a fixed fee."""
    columns = "id, client_id, project_id, task_id, user_id, client_currency, billable_rate, hours"
    (row,) = place.query(
        f"SELECT {columns}, rounded_hours, spent_date FROM time_entries WHERE billable"
        " AND spent_date BETWEEN '2026-09-01' AND '2026-09-30' AND billable_rate > 0 AND project_id"
        f" IN (SELECT id FROM projects WHERE NOT is_fixed_fee) AND {condition} ORDER BY id LIMIT 1"
    )
    names = [*columns.split(", "), "rounded_hours", "spent_date"]
    return dict(zip(names, row, strict=True))


@pytest.mark.parametrize("theme", RECORDS)
def test_a_loaded_account_is_equal_in_all_currencies_and_with_rounded_hours(
    theme: Theme, loaded: Place
) -> None:
    outcome = loaded.compare(theme)
    assert verdict(outcome) is Verdict.EQUAL
    assert outcome.compared == [loaded.days]
    assert (outcome.differences, outcome.not_loaded, reasons(outcome)) == ([], [], [])
    assert len({pair.currency for pair in outcome.pairs if pair.harvest}) > 2
    assert sum(pair.harvest for pair in outcome.pairs) > 0
    # Of the first report each month, of the others the closed months together and the current one.
    assert len(loaded.asked()) == {"time": 10, "expenses": 10, "uninvoiced": 4}[theme]


def test_the_hours_compared_are_the_rounded_ones_and_fixed_fees_have_no_amount_of_time(
    loaded: Place,
) -> None:
    ((hours, rounded),) = loaded.query("SELECT sum(hours), sum(rounded_hours) FROM time_entries")
    pairs = [each for each in loaded.compare("time").pairs if each.question.about == "person"]
    compared = sum(each.warehouse for each in pairs if each.measure == "total_hours")
    assert compared == rounded != hours
    value = "SELECT sum(rounded_hours * billable_rate) FROM time_entries WHERE billable"
    fixed = f"{value} AND project_id IN (SELECT id FROM projects WHERE is_fixed_fee)"
    ((all_amounts,),), ((of_fixed,),) = loaded.query(value), loaded.query(fixed)
    amounts = [each.warehouse for each in pairs if each.measure == "billable_amount"]
    assert sum(amounts) == pytest.approx(all_amounts - of_fixed, abs=Decimal("0.5"))
    assert of_fixed > 1


def test_an_entry_that_is_a_hundredth_of_an_hour_too_long_is_found_and_named(place: Place) -> None:
    there = entry(place)
    place.change(
        "UPDATE time_entries SET rounded_hours = rounded_hours + 0.01 WHERE id = ?", there["id"]
    )
    outcome = place.compare("time")
    found = named(outcome)
    assert verdict(outcome) is Verdict.DIFFERENT
    ids = {about: there[f"{about}_id"] for about in ("client", "project", "task")}
    ids["person"] = there["user_id"]
    assert {(about, id) for about, id, *_ in found} == set(ids.items())
    for about, id in ids.items():
        key = (about, id, there["client_currency"])
        for title in ("hours", "billable hours"):
            harvest, warehouse = found[*key, title, "2026-09"]
            assert warehouse - harvest == Decimal("0.01")
        harvest, warehouse = found[*key, "billable amount", "2026-09"]
        assert warehouse != harvest
    # Three reports have the closed months in one figure: August is asked, September with October,
    # and then these two.
    assert len(place.asked()) == 10 + 3 * 2 + 3 * 2


#: What is done to each theme, and the figures that must show it; entries are told apart by 0, 1, 2.
TAMPERING: dict[Theme, tuple[list[str], set[str]]] = {
    "time": (
        [
            "DELETE FROM time_entries WHERE id = {0}",
            "UPDATE time_entries SET billable_rate = billable_rate + 0.5 WHERE id = {1}",
            "UPDATE time_entries SET client_currency = 'XTS' WHERE id = {2}",
        ],
        {"hours", "billable hours", "billable amount"},
    ),
    "expenses": (
        [
            "UPDATE expenses SET total_cost = total_cost + 0.01 WHERE id = {0}",
            "UPDATE expenses SET billable = NOT billable WHERE id = {1}",
        ],
        {"expenses", "billable expenses"},
    ),
    "uninvoiced": (
        [
            "UPDATE time_entries SET is_billed = NOT is_billed WHERE id = {0}",
            "UPDATE expenses SET billable = true, is_billed = false",
        ],
        {"uninvoiced hours", "uninvoiced expenses", "uninvoiced amount"},
    ),
}


@pytest.mark.parametrize("theme", RECORDS)
def test_whatever_is_tampered_with_is_found_with_both_figures(
    theme: Theme, place: Place, loaded: Place
) -> None:
    changes, titles = TAMPERING[theme]
    october = Window(date(2026, 10, 1), date(2026, 10, 31))
    table = "expenses" if theme == "expenses" else "time_entries"
    ids = place.query(
        f"SELECT id FROM {table} WHERE spent_date BETWEEN ? AND ? AND project_id IN (SELECT id FROM"
        " projects WHERE NOT is_fixed_fee AND is_billable) ORDER BY billable DESC, id LIMIT 3",
        october.first,
        october.last,
    )
    for change in changes:
        place.change(change.format(*(row[0] for row in ids)))
    outcome = place.compare(theme, days=october)
    assert verdict(outcome) is Verdict.DIFFERENT
    assert {each.title for each in outcome.differences} == titles
    with loaded.warehouse.reader() as connection:
        for pair in outcome.differences:
            before = rows_of(connection, pair.question, october)
            row = before.get((pair.subject_id, pair.currency))
            assert pair.harvest in (row.figures[pair.measure] if row else (0,))
            assert pair.harvest != pair.warehouse


def test_an_entry_on_the_wrong_day_is_a_difference_of_two_months(place: Place) -> None:
    place.change(
        "UPDATE time_entries SET spent_date = '2026-10-15' WHERE id = ?", entry(place)["id"]
    )
    outcome = place.compare("time")
    assert {f"{each.window.first:%Y-%m}" for each in outcome.differences} == {
        "2026-09",
        "2026-10",
    }


def test_days_that_are_not_loaded_are_said_and_the_others_compared(place: Place) -> None:
    gap = Window(date(2026, 9, 10), date(2026, 9, 19))
    place.change("DELETE FROM time_entries WHERE spent_date BETWEEN ? AND ?", gap.first, gap.last)
    ((first, last),) = place.query(
        "SELECT window_first, window_last FROM _loads WHERE record = 'time_entries'"
    )
    place.change("UPDATE _loads SET window_last = '2026-09-09' WHERE record = 'time_entries'")
    place.change(
        "INSERT INTO _loads SELECT * REPLACE ('2026-09-20'::DATE AS window_first, ?::DATE AS"
        " window_last) FROM _loads WHERE record = 'time_entries'",
        last,
    )
    outcome = place.compare("time")
    assert outcome.compared == [Window(first, date(2026, 9, 9)), Window(date(2026, 9, 20), last)]
    assert outcome.not_loaded == [gap]
    assert outcome.differences == []
    assert verdict(outcome) is Verdict.NOT_PROVEN
    assert f"Not loaded, so not compared: {gap}." in reasons(outcome)


def test_nothing_is_asked_of_harvest_where_nothing_was_loaded(place: Place) -> None:
    place.database.unlink()
    outcome = place.compare("expenses")
    assert (verdict(outcome), place.asked()) == (Verdict.NOT_PROVEN, [])
    assert outcome.not_loaded == [place.days]


def test_only_today_may_be_missing(place: Place) -> None:
    yesterday = TODAY - timedelta(days=1)
    place.change("UPDATE _loads SET window_last = ? WHERE record = 'time_entries'", yesterday)
    outcome = place.compare("time")
    assert outcome.not_loaded == [Window(TODAY, TODAY)]
    assert verdict(outcome) is Verdict.EQUAL


def test_a_member_is_shown_no_money_and_that_is_no_error(place: Place) -> None:
    member = place.sandbox.account.people["member"]
    for record in ("time_entries", "expenses"):
        place.change(f"DELETE FROM {record} WHERE user_id <> ?", member)
    outcome = place.compare("time", person="member", days=SEPTEMBER)
    assert outcome.differences == []
    assert {each.measure for each in outcome.pairs} == {"total_hours", "billable_hours"}
    said = " ".join(reasons(outcome))
    assert "hours were compared only" in said
    assert "Use an administrator's token" in said
    place.change("UPDATE time_entries SET rounded_hours = rounded_hours + 1")
    wrong = place.compare("time", person="member", days=SEPTEMBER)
    assert (verdict(wrong), bool(wrong.differences)) == (Verdict.NOT_PROVEN, True)
    refused = place.compare("uninvoiced", person="member", days=SEPTEMBER)
    assert verdict(refused) is Verdict.NOT_PROVEN
    assert "/v2/reports/uninvoiced" in refused.not_comparable[0]


def test_a_module_that_is_switched_off_has_nothing_to_compare(place: Place) -> None:
    account = place.sandbox.account
    account.change_company(expense_feature=False)
    try:
        outcome = place.compare("expenses", days=SEPTEMBER)
    finally:
        account.change_company(expense_feature=True)
    assert verdict(outcome) is Verdict.EQUAL
    assert outcome.notes == ["The account's module for expenses is switched off."]


def test_differences_everywhere_cost_no_more_than_forty_requests_to_narrow_down(
    place: Place,
) -> None:
    place.change("UPDATE time_entries SET rounded_hours = rounded_hours + 1")
    outcome = place.compare("time")
    assert len(place.asked()) <= 10 + 40
    assert verdict(outcome) is Verdict.DIFFERENT


def test_every_request_counts_against_the_limit_of_reports(place: Place) -> None:
    with closing(place.client()) as client:
        before = client.left
        read_report(client, "/reports/time/team", SEPTEMBER, "everybody")
        after = client.left
    assert (before.reports - after.reports, before.general - after.general) == (1, 0)


def test_a_comparison_waits_where_the_limit_is_used_up(loaded: Place) -> None:
    begun = monotonic()
    limits = Limits(reports=Limit(4, 0.4, 1.0))
    outcome = loaded.compare("time", limits=limits)
    # Ten requests are two full windows and a bit.
    assert monotonic() - begun >= 0.8
    assert verdict(outcome) is Verdict.EQUAL


def test_a_report_is_read_to_its_last_page(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(place.client()) as client:
        whole = read_report(client, "/reports/time/projects", SEPTEMBER, "everybody")
        monkeypatch.setattr(pages, "PER_PAGE", "2")
        place.sandbox.account.request_log.clear()
        paged = read_report(client, "/reports/time/projects", SEPTEMBER, "everybody")
        # Pages are read side by side, so rows come in any order.
        assert sorted(paged, key=str) == sorted(whole, key=str)
    assert len(place.asked()) == -(-len(whole) // 2) > 2


@pytest.mark.parametrize("number", ["1e999999", '"NaN"', "1e15", "[]"])
def test_what_is_no_number_of_hours_is_no_answer(number: str, place: Place) -> None:
    rows = f'[{{"user_id": 1, "total_hours": {number}}}]'
    page = f'{{"results": {rows}, "total_entries": 1, "total_pages": 1}}'
    fault = AnswerWith(path="/reports/time/team", status=200, body=page, times=None)
    place.sandbox.account.faults.add(fault)
    try:
        with closing(place.client()) as client, pytest.raises(AnswerInvalid):
            read_report(client, "/reports/time/team", SEPTEMBER, "everybody")
    finally:
        place.sandbox.account.faults.clear()


def test_names_are_not_compared_and_come_as_one_line(place: Place) -> None:
    place.change("UPDATE time_entries SET project_name = 'a' || chr(10) || chr(27) || '[2Jb'")
    outcome = place.compare("time", days=SEPTEMBER)
    assert outcome.differences == []
    names = {each.name for each in outcome.pairs if each.question.about == "project"}
    assert names == {"a [2Jb"}


def test_spans_are_whole_months_of_at_most_a_year_and_the_current_month_by_itself() -> None:
    days = Window(date(2023, 11, 5), date(2026, 11, 20))
    spans = years([days], TODAY)
    assert [(f"{each.first}", f"{each.last}") for each in spans] == [
        ("2023-11-05", "2024-10-31"),
        ("2024-11-01", "2025-10-31"),
        ("2025-11-01", "2026-10-31"),
        ("2026-11-01", "2026-11-20"),
    ]
    assert all((each.last - each.first).days <= summary_reports.LONGEST for each in spans)
    found = list(months(days))
    assert len(found) == 37
    assert found[0] == Window(days.first, date(2023, 11, 30))
    assert halves(spans[1]) == [
        Window(date(2024, 11, 1), date(2025, 4, 30)),
        Window(date(2025, 5, 1), date(2025, 10, 31)),
    ]
    assert halves(spans[3]) == []
