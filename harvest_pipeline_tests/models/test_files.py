"""The files of the models: their form, and that their headers say what their SQL does."""

from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.models import OTHER_TABLES, Model, models, parse, tables_of
from harvest_pipeline.settings import load_project
from harvest_pipeline.settings.datasets import TAKEN
from harvest_pipeline_tests.models.warehouse import Answers
from harvest_pipeline_tests.places import KIND

FILE = """\
-- Hours of each person
-- on each day.
--
-- Hours are those that were tracked,
-- unrounded.
--
-- Two: this begins no field.
--
-- group: answers
-- grain: user_id, day
-- reads: time_entries
--
-- user_id: Id of the person.
-- hours: Hours tracked, running timers
--   included.
SELECT user_id, sum(hours) AS hours FROM time_entries GROUP BY ALL;
"""


def test_a_file_is_a_header_and_a_select() -> None:
    assert parse("mine", FILE) == Model(
        name="mine",
        title="Hours of each person on each day.",
        definition="Hours are those that were tracked, unrounded.\n\nTwo: this begins no field.",
        group="answers",
        grain=("user_id", "day"),
        reads=("time_entries",),
        columns={
            "user_id": "Id of the person.",
            "hours": "Hours tracked, running timers included.",
        },
        sql="SELECT user_id, sum(hours) AS hours FROM time_entries GROUP BY ALL",
    )


@pytest.mark.parametrize(
    ("was", "is_now", "problem"),
    [
        ("-- grain: user_id, day\n", "", "the header has no grain"),
        ("-- hours: Hours", "-- Hours", "'Hours tracked, running timers' is neither"),
    ],
)
def test_a_file_in_another_form_is_refused(was: str, is_now: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"mine.sql: {problem}"):
        parse("mine", FILE.replace(was, is_now))


@pytest.mark.parametrize("name", models())
def test_the_sentence_of_a_model_is_plain_text(name: str) -> None:
    # Lists in Dagster's UI show Markdown as it is written.
    assert not set("`*[]#") & set(models()[name].title)


def test_each_model_comes_after_those_that_it_reads() -> None:
    before: set[str] = set()
    for model in models().values():
        assert {name for name in model.reads if name in models()} <= before
        before.add(model.name)


@pytest.mark.parametrize("name", models())
def test_what_a_header_reads_are_the_tables_of_the_sql(name: str) -> None:
    parsed = sqlglot.parse_one(models()[name].sql, dialect="duckdb")
    own = {each.alias for each in parsed.find_all(exp.CTE)}
    assert {each.name for each in parsed.find_all(exp.Table)} - own == {*models()[name].reads}
    assert {*models()[name].reads} <= {*RECORDS, *models(), *OTHER_TABLES}


@pytest.mark.parametrize("name", models())
def test_a_header_describes_the_columns_of_the_sql_in_their_order(
    name: str, account: Answers
) -> None:
    model = models()[name]
    described = account.rows(f"DESCRIBE {model.sql}")
    assert [*model.columns] == [row[0] for row in described]
    assert {*model.grain} <= {*model.columns}
    # A sum that is shown with the digits of a float cannot be added without error.
    doubles = {row[0] for row in described if row[1] in ("DOUBLE", "FLOAT")}
    assert not {column for column in doubles if column.endswith(("amount", "hours", "value"))}


@pytest.mark.parametrize("name", models())
def test_no_two_rows_of_a_sandbox_account_have_the_same_grain(name: str, account: Answers) -> None:
    grain = ", ".join(models()[name].grain)
    assert account.rows(f"SELECT {grain} FROM {name} GROUP BY {grain} HAVING count(*) > 1") == []


def test_every_view_explains_itself_in_the_database(account: Answers) -> None:
    views = dict(account.rows("SELECT view_name, comment FROM duckdb_views() WHERE NOT internal"))
    columns = {
        (table, column): comment
        for table, column, comment in account.rows(
            "SELECT table_name, column_name, comment FROM duckdb_columns()"
        )
    }
    for model in models().values():
        assert views[model.name] == model.description
        # In a lake the columns of a view have no comments (DuckLake 1.0).
        for column, description in model.columns.items() if KIND == "file" else ():
            assert columns[model.name, column] == description


def test_an_account_with_all_reports_has_all_models() -> None:
    (account,) = load_project({}).accounts
    assert {model.name for model in account.models} == {*models()}


def test_reports_that_are_switched_off_take_the_models_of_their_records_with_them(
    tmp_path: Path,
) -> None:
    file = tmp_path / "harvest.yaml"
    file.write_text("disabled_reports: [invoices, invoice_payments, invoice_messages, daily]")
    (account,) = load_project({"HARVEST_CONFIG": str(file)}).accounts
    there = {model.name for model in account.models}
    gone = {name for name in models() if tables_of(name) & {"invoices", "invoice_payments"}}
    assert gone >= {"realisation", "receivables"}
    assert there == {*models()} - gone
    assert there >= {"time_daily", "utilisation"}  # other reports show the time entries


def test_a_dataset_cannot_have_the_name_of_a_model() -> None:
    assert {*models(), "exchange_rates"} <= {*TAKEN}
