"""docs/reconciliation.md: the columns of the ledger, and the query "is September complete?"."""

import re
from datetime import date
from pathlib import Path

from harvest_pipeline.settings import project_folder
from harvest_pipeline.warehouse.ledger import LEDGER
from harvest_pipeline_tests.loading.verify.conftest import Place

DOCUMENT = (project_folder() / Path("docs/reconciliation.md")).read_text()
(QUERY,) = re.findall(r"```sql\n(.*?)```", DOCUMENT, re.DOTALL)


def answer(place: Place) -> tuple[bool, list[date] | None]:
    """Whether September is complete, and the days that are not proven."""
    ((complete, days, _),) = place.query(QUERY)
    return complete, days


def part(place: Place, change: str) -> None:
    """Let days 10 to 12 of September be a load of their own, changed in that way."""
    row = "FROM _loads WHERE record = 'time_entries' AND window_first < '2026-09-01'"
    days = "DATE '2026-09-13' AS window_first"
    place.change(f"INSERT INTO _loads SELECT * REPLACE ({days}) {row}")
    days = "DATE '2026-09-10' AS window_first, DATE '2026-09-12' AS window_last"
    place.change(f"INSERT INTO _loads SELECT * REPLACE ({days}, {change}) {row}")
    place.change(f"UPDATE _loads SET window_last = '2026-09-09' {row.partition('_loads')[2]}")


UNPROVEN = [date(2026, 9, 10), date(2026, 9, 11), date(2026, 9, 12)]


def test_september_is_complete_after_a_load_in_november(loaded: Place) -> None:
    assert answer(loaded) == (True, None)


def test_a_day_that_was_not_loaded_is_named(place: Place) -> None:
    place.change("UPDATE _loads SET window_last = '2026-09-29' WHERE record = 'time_entries'")
    assert answer(place) == (False, [date(2026, 9, 30)])


def test_days_that_were_read_before_the_month_ended_are_not_complete(place: Place) -> None:
    part(place, "TIMESTAMPTZ '2026-09-30 21:59:59Z' AS read_at")
    assert answer(place) == (False, UNPROVEN)


def test_the_month_ends_in_the_accounts_time_zone(place: Place) -> None:
    part(place, "TIMESTAMPTZ '2026-09-30 22:00:00Z' AS read_at")
    assert answer(place) == (True, None)


def test_what_a_manager_has_read_or_a_part_or_only_changes_proves_nothing(place: Place) -> None:
    part(place, "'manager' AS role")
    assert answer(place) == (False, UNPROVEN)
    where = "WHERE window_first = '2026-09-10'"
    place.change(f"UPDATE _loads SET role = 'administrator' {where}")
    assert answer(place) == (True, None)
    for change in ("proof = 'changes'", "filters = '{\"user_ids\": [1]}', proof = 'total_entries'"):
        place.change(f"UPDATE _loads SET {change} {where}")
        assert answer(place) == (False, UNPROVEN)


def test_every_column_of_the_ledger_is_explained() -> None:
    table = DOCUMENT.partition("row of the table `_loads`")[2].partition("*Is September")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    explained = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert explained == {column.name for column in LEDGER.columns}
