"""`harvest-pipeline verify`: the statement, its exit codes, and the same for programs."""

import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from harvest_pipeline.cli.main import main
from harvest_pipeline_tests.conftest import TODAY
from harvest_pipeline_tests.loading.verify.conftest import Place

DAYS = ("--from", "2026-09-01", "--to", "2026-10-31")
OCTOBER = ("--from", "2026-10-01", "--to", "2026-10-31")


pytestmark = pytest.mark.usefixtures("environment")


def test_a_statement_shows_each_month_in_aligned_columns_and_ends_with_equal(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    before = place.database.read_bytes()
    assert main(["verify", *DAYS]) == 0
    told = capsys.readouterr()
    assert place.database.read_bytes() == before
    lines = told.out.splitlines()
    assert told.err == ""
    assert lines[-1] == "Equal"
    for said in ("Ada Okafor, administrator", "2026-09-01 to 2026-10-31", str(place.database)):
        assert any(said in line for line in lines)
    assert all(len(line) <= 100 for line in lines if str(place.database) not in line)
    header = next(line for line in lines if line.startswith("month"))
    rows = [row for row in lines if re.search(r"\d\.\d\d$", row)]
    assert {len(row) for row in rows} == {len(header)}
    assert [row[:7] for row in rows if row.startswith("2026")] == ["2026-09", "2026-10"]
    ((hours,),) = place.query(
        "SELECT sum(rounded_hours) FROM time_entries WHERE spent_date BETWEEN '2026-09-01'"
        " AND '2026-09-30'"
    )
    assert rows[0].split() == ["2026-09", "hours", f"{hours:,.2f}", f"{hours:,.2f}", "0.00"]


def test_differences_are_named_and_counted_and_currencies_are_never_added(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    ((expense, project, currency),) = place.query(
        "SELECT id, project_id, client_currency FROM expenses WHERE spent_date BETWEEN"
        " '2026-10-01' AND '2026-10-31' ORDER BY id LIMIT 1"
    )
    place.change("UPDATE expenses SET total_cost = total_cost + 0.01 WHERE id = ?", expense)
    assert main(["verify", *OCTOBER]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\d+ differences", lines[-1])
    assert any(f"({project})" in line and line.startswith("2026-10  project ") for line in lines)

    assert main(["verify", *OCTOBER, "--json"]) == 1
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["verdict"], told["role"], told["account"]) == (
        "different",
        "administrator",
        "harvest",
    )
    assert len(told["differences"]) == int(lines[-1].split()[0])
    sums = {(each["month"], each["figure"], each["currency"]): each for each in told["figures"]}
    for month, spent_in, expected in place.query(
        "SELECT strftime(spent_date, '%Y-%m'), client_currency, sum(total_cost) FROM expenses"
        " WHERE spent_date BETWEEN '2026-10-01' AND '2026-10-31' GROUP BY ALL"
    ):
        assert Decimal(sums[month, "expenses", spent_in]["warehouse"]) == expected
    assert sums["2026-10", "expenses", currency]["difference"] == "0.01"
    assert {row["currency"] for row in told["figures"] if row["figure"] == "hours"} == {None}


def test_what_changed_since_the_load_differs_until_it_is_repaired(
    place: Place, edited: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    september = ("--from", "2026-09-01", "--to", "2026-09-30")
    ((entry, hours),) = place.query(
        "SELECT id, hours FROM time_entries WHERE spent_date = (SELECT min(spent_date) FROM"
        " time_entries WHERE spent_date >= '2026-09-01') LIMIT 1"
    )
    edited("time_entries", entry, hours=hours + 1)
    assert main(["verify", *september]) == 1
    assert re.fullmatch(r"\d+ differences", capsys.readouterr().out.splitlines()[-1])
    assert main(["verify", *september, "--repair"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Equal"
    assert place.query("SELECT hours FROM time_entries WHERE id = ?", entry) == [(hours + 1,)]
    assert main(["verify", *september]) == 0


def test_days_that_are_not_loaded_are_not_equal(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.change("DELETE FROM _loads")
    assert main(["verify", "--from", "2026-11-01", "--to", f"{TODAY}"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "Not proven: not everything could be compared, see above."
    assert "- Not loaded, so not compared: 2026-11-01 to 2026-11-20." in lines


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--from", "yesterday"], "a day is written as 2026-01-31"),
        (["--from", "2020-01-01"], "HARVEST_START_DATE"),
        (["--to", "2999-01-01"], "in the future"),
        (["--from", "2026-11-02", "--to", "2026-11-01"], "end before they begin"),
        (["--account", "acme"], "There is no account 'acme'"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence_and_exit_code_two(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["verify", *arguments])
    except SystemExit as error:
        code = error.code
    told = capsys.readouterr()
    assert (code, told.out) == (2, "")
    assert words in told.err
    assert "Traceback" not in told.err


def test_the_warehouse_of_another_account_and_a_refused_token_are_said(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place.change("UPDATE _loads SET account_id = 4711")
    assert main(["verify", *DAYS]) == 2
    assert "4711" in capsys.readouterr().err
    monkeypatch.setenv("HARVEST_ACCESS_TOKEN", "wrong-canary-token")
    assert main(["verify", *DAYS]) == 2
    told = capsys.readouterr().err
    assert told.startswith("Error: ")
    assert "canary" not in told
