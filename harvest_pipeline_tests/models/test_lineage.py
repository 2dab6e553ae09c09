"""From which columns each column of a model comes: what is said is what DuckDB needs."""

import duckdb
import pytest

from harvest_pipeline.models import models
from harvest_pipeline.warehouse.lineage import origins
from harvest_pipeline_tests.models.warehouse import Answers


@pytest.mark.parametrize("name", models())
def test_every_column_has_a_lineage_in_what_the_model_reads(name: str) -> None:
    model = models()[name]
    assert [*origins(name)] == [*model.columns]
    found = {table for column in origins(name).values() for table, _ in column}
    assert found <= {*model.reads}
    # A number of rows comes from no column.
    without = {column for column, each in origins(name).items() if not each}
    assert without <= {"entries", "projects", "invoices"}, without


@pytest.mark.parametrize("name", models())
def test_without_a_column_of_its_lineage_duckdb_cannot_compute_the_model(
    name: str, answers: Answers
) -> None:
    for table, column in {each for found in origins(name).values() for each in found}:
        # A table of the same name in front of it, without that column.
        narrowed = f"WITH {table} AS (SELECT * EXCLUDE ({column}) FROM main.{table})"
        with pytest.raises(duckdb.Error, match=f'"?{column}"?'):
            answers.rows(f"EXPLAIN {narrowed} SELECT * FROM ({models()[name].sql})")


def test_a_lineage_names_what_a_value_is_computed_from() -> None:
    daily = origins("time_daily")
    assert daily["hours"] == (("entry_values", "hours"),)
    assert daily["cost_amount"] == (("company", "currency"), ("entry_values", "cost_amount"))
    assert origins("entry_values")["billable_amount"] == (
        ("time_entries", "billable"),
        ("time_entries", "billable_rate"),
        ("time_entries", "hours"),
        ("time_entries", "rounded_hours"),
    )
