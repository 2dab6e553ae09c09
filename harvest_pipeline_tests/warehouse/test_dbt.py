"""docs/dbt/sources.yml has every table and model, with the descriptions that the database has."""

import re
from typing import Any

import yaml

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.models import models
from harvest_pipeline.settings import project_folder
from harvest_pipeline.warehouse.dbt import sources
from harvest_pipeline.warehouse.exchange_rates import TABLE as EXCHANGE_RATES
from harvest_pipeline.warehouse.ledger import MEANINGS
from harvest_pipeline_tests.acceptance.schema import promised

(SOURCE,) = yaml.safe_load(sources())["sources"]
TABLES: dict[str, dict[str, Any]] = {table["name"]: table for table in SOURCE["tables"]}
#: What the loads ask the ledger.
INTERNAL = {*(meaning.name for meaning in MEANINGS), "_parents_read"}


def columns_of(table: str) -> dict[str, str]:
    return {column["name"]: column["description"] for column in TABLES[table]["columns"]}


def test_the_file_is_up_to_date() -> None:
    path = project_folder() / "docs" / "dbt" / "sources.yml"
    assert path.read_text("utf-8") == sources(), "run `make docs`"


def test_every_table_and_model_is_there_once() -> None:
    assert len(TABLES) == len(SOURCE["tables"])
    assert TABLES.keys() == promised().keys() - INTERNAL | models().keys() | {EXCHANGE_RATES.name}


def test_every_column_is_there_with_its_type_and_description() -> None:
    for table, types in promised().items():
        if table in TABLES and not table.endswith("_deleted"):
            assert columns_of(table).keys() == types.keys(), table
    for name, record in RECORDS.items():
        described = {column.name: column.description for column in record.columns}
        assert columns_of(name).items() >= described.items()
        assert TABLES[name]["description"] == record.description
    for name, model in models().items():
        assert columns_of(name) == model.columns
        assert TABLES[name]["description"] == model.description


def test_nothing_in_a_description_is_a_template_of_dbt() -> None:
    # dbt renders descriptions; only the two variables are meant to be rendered.
    assert re.findall(r"\{[{%#].*", sources()) == [
        "{{ var(''harvest_database'', target.database) }}'",
        "{{ var(''harvest_schema'', ''harvest'') }}'",
    ]
