"""A partition is a day of Harvest, whatever clocks do: F20, R25."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest

from harvest_pipeline.orchestration.partitions import daily_partitions
from harvest_pipeline.settings import load_project

FIRST = date(2024, 11, 20)
DAYS = 730


@pytest.mark.parametrize(
    "zone", ["America/Los_Angeles", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe"]
)
def test_the_730_keys_of_two_years_are_the_days_without_a_gap(
    zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARVEST_TIMEZONE", zone)
    monkeypatch.setenv("HARVEST_START_DATE", FIRST.isoformat())
    partitions = daily_partitions(load_project())
    days = [FIRST + timedelta(days=n) for n in range(DAYS)]
    assert partitions.get_partition_keys()[:DAYS] == [day.isoformat() for day in days]
    for day in days:
        # Dagster's windows have 23 or 25 hours on some days; the key is the day all the same.
        window = partitions.time_window_for_partition_key(day.isoformat())
        assert window.start.astimezone(ZoneInfo(zone)).date() == day
        assert window.end.astimezone(ZoneInfo(zone)).date() == day + timedelta(days=1)
