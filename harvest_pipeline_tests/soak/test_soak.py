"""A few nights of the soak (`make soak` has as many as wanted), and what it would notice."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import duckdb
import pytest

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline_tests.equal import WITH_ID, differences, not_kept
from harvest_pipeline_tests.sandbox.account import Account
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.soak import days
from harvest_pipeline_tests.soak.nights import FIRST_NIGHT, Night, new_account
from harvest_pipeline_tests.soak.people import People
from harvest_pipeline_tests.soak.weather import Climate, Weather

pytestmark = pytest.mark.long
#: Each try of a night is killed, if it lives that long, and meets more faults than in `make soak`.
STORMY = Climate(0.1, kill=1.0, cancel=0.0, outage=0.0, disturbance=0.5, smaller_role=0, restore=0)
QUIET = replace(STORMY, fault=0.05, kill=0.0, disturbance=0.0)


@dataclass(frozen=True)
class Spent:
    """Some nights, and the account and the warehouse after them."""

    nights: list[Night]
    weather: Weather
    account: Account
    database: Path


@pytest.fixture(scope="module")
def spent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spent]:
    with new_account(tmp_path_factory.mktemp("soak"), 7, STORMY) as made:
        nights = [made.night(1)]
        made.weather.climate = QUIET
        nights.append(made.night(2))
        made.weather.climate = replace(QUIET, smaller_role=1.0)
        nights.append(made.night(3))
        made.weather.climate = replace(QUIET, restore=1.0)
        nights.append(made.night(4))
        yield Spent(nights, made.weather, made.account, made.database)


def test_after_every_green_night_the_warehouse_equals_the_account(spent: Spent) -> None:
    assert [night.wrong for night in spent.nights] == [()] * len(spent.nights)
    assert [night.outcome == "red" for night in spent.nights[1:]] == [False, True, False]


def test_a_person_with_a_smaller_role_and_an_older_warehouse_are_among_the_nights(
    spent: Spent,
) -> None:
    *_, demoted, restored = spent.nights
    assert demoted.person != "administrator"
    assert any("may not see everything" in line for line in demoted.log)
    assert restored.edits[0] == "an older warehouse was put back"


def test_nights_are_full_of_edits_faults_and_kills(spent: Spent) -> None:
    assert all(len(night.edits) > 5 for night in spent.nights)
    assert spent.weather.faults.total() > 3
    assert spent.weather.deaths["KILL"] > 0


@pytest.mark.parametrize("record", WITH_ID)
def test_whatever_is_wrong_in_a_table_is_found(spent: Spent, tmp_path: Path, record: str) -> None:
    database = tmp_path / "warehouse.duckdb"
    shutil.copy(spent.database, database)
    with duckdb.connect(database) as connection:
        connection.execute("USE harvest")
        ids = [
            row[0] for row in connection.execute(f"SELECT id FROM {record} ORDER BY id").fetchall()
        ]
        connection.execute(
            f"INSERT INTO {record} SELECT * REPLACE (-1 AS id) FROM {record} LIMIT 1"
        )
        connection.execute(f"DELETE FROM {record} WHERE id = ?", [ids[0]])
        columns = RECORDS[record].columns
        texts = [each.name for each in columns if each.type == "VARCHAR"]
        forged = "'forged'" if texts else "777"
        texts = texts or ["amount"]
        connection.execute(f"UPDATE {record} SET {texts[-1]} = {forged} WHERE id = ?", [ids[-1]])
    found = [each for each in differences(database, spent.account) if each.startswith(record)]
    assert f"{record} {ids[0]}: is missing" in found
    assert f"{record} -1: Harvest has no such" in found
    assert len(ids) == 1 or any(
        each.startswith(f"{record} {ids[-1]}: {texts[-1]} is ") for each in found
    )
    assert not_kept(database, {record: {12}}) == [
        f"{record} 12: deleted, and not in {record}_deleted"
    ]


def test_a_row_that_is_there_twice_is_found(spent: Spent, tmp_path: Path) -> None:
    database = tmp_path / "warehouse.duckdb"
    shutil.copy(spent.database, database)
    with duckdb.connect(database) as connection:
        connection.execute("INSERT INTO harvest.clients SELECT * FROM harvest.clients LIMIT 1")
    found = [each for each in differences(database, spent.account) if each.startswith("clients")]
    assert len(found) == 1
    assert found[0].endswith("is there 2 times")


def test_the_same_seed_is_the_same_days() -> None:
    told: list[list[list[str]]] = []
    for _ in range(2):
        sandbox = SandboxServer(seed=3, today=FIRST_NIGHT, years=0.2, scale=0.3)
        people = People(sandbox.account)
        told.append([days.work(people, Random(number)) for number in range(40)])
    assert told[0] == told[1]
    assert {line.split()[0] for day in told[0] for line in day} >= {*WITH_ID} - {
        "invoice_line_items", "invoice_payments", "invoice_item_categories", "cost_rates",
        "billable_rates", "estimate_line_items", "estimate_messages", "estimate_item_categories",
        "roles", "estimates",
    }  # fmt: skip
