"""The days of scheduled runs over two years of ticks: those that a person there expects.

Ticks are Dagster's own. What is expected is counted on the calendar, or taken from the clock on the
wall (`zoneinfo`), never from the code under test.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._utils.schedules import schedule_execution_time_iterator

from harvest_pipeline.orchestration.partitions import daily_partitions
from harvest_pipeline.settings import Account
from harvest_pipeline_tests.orchestration.ticks import (
    dataset,
    days,
    requested,
    schedule,
    settings,
)

BACK = timedelta(days=3)
DAY = timedelta(days=1)
#: Every day of 2026 and 2027.
TWO_YEARS = [date(2026, 1, 1) + day * DAY for day in range(730)]
#: In Cairo and Santiago clocks change at midnight: a day of each year begins at 01:00.
ZONES = [
    "America/Los_Angeles", "Europe/Berlin", "Asia/Kolkata", "Pacific/Auckland",
    "Africa/Cairo", "America/Santiago",
]  # fmt: skip


def ticks(schedule: dg.ScheduleDefinition, first: date, last: date) -> Iterator[datetime]:
    """The ticks on these days of the schedule's time zone, as instants in UTC."""
    zone = ZoneInfo(schedule.execution_timezone or "")
    begin = datetime(first.year, first.month, first.day, tzinfo=zone)
    assert isinstance(schedule.cron_schedule, str)
    for tick in schedule_execution_time_iterator(
        begin.timestamp(), schedule.cron_schedule, schedule.execution_timezone
    ):
        moment = datetime.fromtimestamp(tick.timestamp(), UTC)
        if moment.astimezone(zone).date() > last:
            return
        yield moment


def existing(of: Account) -> list[date]:
    """The days that have a partition now."""
    return [date.fromisoformat(key) for key in daily_partitions(of.project).get_partition_keys()]


def last_day(of: Account) -> date:
    """The last day that has a partition now."""
    return date.fromisoformat(daily_partitions(of.project).get_last_partition_key() or "")


@pytest.mark.parametrize("zone", ZONES)
def test_every_night_of_two_years_reads_the_days_that_a_person_there_calls_today_and_before(
    zone: str,
) -> None:
    here = settings([dataset("daily", "0 5 * * *", zone)], timezone=zone, days_back="3")
    nightly = schedule(here)
    moments = list(ticks(nightly, TWO_YEARS[0], TWO_YEARS[-1]))
    clocks = [moment.astimezone(ZoneInfo(zone)) for moment in moments]
    # One tick a day, none missing and none twice, also where a day has 23 or 25 hours.
    assert [(clock.date(), clock.hour, clock.minute) for clock in clocks] == [
        (day, 5, 0) for day in TWO_YEARS
    ]
    for day, moment in zip(TWO_YEARS, moments, strict=True):
        assert days(requested(nightly, moment)) == (day - BACK, day)
        with dg.partition_loading_context(effective_dt=moment):
            assert last_day(here) == day
    # The last day is the last partition that there is, and no day before it is missing or twice.
    with dg.partition_loading_context(effective_dt=moments[-1]):
        assert existing(here)[-len(TWO_YEARS) :] == TWO_YEARS
        assert existing(here)[0] == date(2025, 1, 1)


@pytest.mark.parametrize("time", ["30 0 * * *", "30 2 * * *"])
@pytest.mark.parametrize("zone", ZONES)
def test_a_time_that_a_day_does_not_have_or_has_twice_is_one_tick_of_that_day(
    zone: str, time: str
) -> None:
    """00:30 and 02:30 on the days on which clocks change."""
    here = settings([dataset("daily", time, zone, days_back=3)], timezone=zone)
    own = schedule(here)
    moments = list(ticks(own, TWO_YEARS[0], TWO_YEARS[-1]))
    assert [moment.astimezone(ZoneInfo(zone)).date() for moment in moments] == TWO_YEARS
    for day, moment in zip(TWO_YEARS, moments, strict=True):
        if changes_clocks(day, zone):
            assert days(requested(own, moment)) == (day - BACK, day)


def changes_clocks(day: date, zone: str) -> bool:
    """Whether the day or one beside it has not 24 hours."""
    begins = [
        datetime(each.year, each.month, each.day, tzinfo=ZoneInfo(zone)).timestamp()
        for each in (day - DAY, day + 2 * DAY)
    ]
    return begins[1] - begins[0] != 3 * 86400


def test_the_zones_have_short_and_long_days() -> None:
    """Else the tests above would prove nothing about them."""
    with_changes = {zone for zone in ZONES if any(changes_clocks(d, zone) for d in TWO_YEARS)}
    assert with_changes == {*ZONES} - {"Asia/Kolkata"}


@pytest.mark.parametrize(
    ("time", "theirs", "ours", "behind"),
    [
        # At half past midnight there, it is the day before here; before midnight, the same day.
        ("30 0 * * *", "Pacific/Auckland", "America/Los_Angeles", DAY),
        ("30 23 * * *", "Pacific/Auckland", "America/Los_Angeles", 0 * DAY),
        ("30 0 * * *", "Asia/Kolkata", "Europe/Berlin", DAY),
        # The next day here has begun and has a partition; there it has not, so it is not read.
        ("30 23 * * *", "America/Los_Angeles", "Pacific/Auckland", 0 * DAY),
    ],
)
def test_a_dataset_in_another_zone_counts_from_its_own_day_and_stops_at_the_last_partition(
    time: str, theirs: str, ours: str, behind: timedelta
) -> None:
    here = settings([dataset("daily", time, theirs, days_back=3)], timezone=ours)
    own = schedule(here)
    moments = list(ticks(own, TWO_YEARS[0], TWO_YEARS[-1]))
    for day, moment in zip(TWO_YEARS, moments, strict=True):
        assert days(requested(own, moment)) == (day - BACK, day - behind)
