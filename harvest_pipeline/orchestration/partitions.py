"""Daily partitions, one per calendar day of Harvest, and the conversion between a run's partitions
and a window."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import dagster as dg
from dagster._core.storage.tags import ROOT_RUN_ID_TAG, SCHEDULED_EXECUTION_TIME_TAG

from harvest_pipeline.scope import Window
from harvest_pipeline.settings import Project

#: The run tag for: request messages and payments only for invoices that changed since theirs were
#: read. Runs that no person launches have it; the rest is covered by the sweep.
ONLY_CHANGED = {"harvest/children": "changed"}


def daily_partitions(project: Project) -> dg.DailyPartitionsDefinition:
    """Every day from the start date to today (`end_offset=1`) in the project's time zone.

    One definition for all reports: different starts would cut a range into several runs
    (dagster#19625).
    """
    return dg.DailyPartitionsDefinition(
        start_date=project.start_date.isoformat(),
        timezone=project.timezone,
        end_offset=1,
    )


def existing_days(project: Project) -> Window:
    """The days that have a partition now, by Dagster's clock: its own definition is asked, so that
    no run is requested for a day that Dagster does not know yet."""
    last = daily_partitions(project).get_last_partition_key()
    return Window(project.start_date, date.fromisoformat(last or project.start_date.isoformat()))


def window_of(context: dg.AssetExecutionContext) -> Window | None:
    """The window of the run's partition or partition range; None for an unpartitioned asset.

    Raises Failure if the asset has partitions and the run names none, or an upside-down range.
    """
    if context.assets_def.partitions_def is None:
        return None
    if not context.has_partition_key and not context.has_partition_key_range:
        raise dg.Failure(
            "No days were chosen; name a partition (2026-11-02) or a range of partitions.",
            allow_retries=False,
        )
    keys = context.partition_key_range
    first, last = date.fromisoformat(keys.start), date.fromisoformat(keys.end)
    if first > last:
        raise dg.Failure(
            f"The range {first}...{last} ends before it begins; name the earlier day first.",
            allow_retries=False,
        )
    return Window(first, last)


def day_of(run: dg.DagsterRun, timezone: str) -> date:
    """The day from which a run without partitions counts its days back: that of the tick that
    requested it, however late it was launched, else today."""
    tick = run.tags.get(SCHEDULED_EXECUTION_TIME_TAG)
    moment = datetime.fromisoformat(tick) if tick else datetime.now(UTC)
    return moment.astimezone(ZoneInfo(timezone)).date()


def range_tags(window: Window) -> dict[str, str]:
    """The run tags with which one run covers every day of the window."""
    return {
        "dagster/asset_partition_range_start": window.first.isoformat(),
        "dagster/asset_partition_range_end": window.last.isoformat(),
    }


def run_chain(run: dg.DagsterRun, instance: dg.DagsterInstance) -> list[str]:
    """The ids of a run and of the runs that it retries: all re-executions of the same first run,
    because its tags only name that one and the last."""
    root = run.tags.get(ROOT_RUN_ID_TAG)
    if root is None:
        return [run.run_id]
    return [run.run_id, root, *instance.get_run_ids(dg.RunsFilter(tags={ROOT_RUN_ID_TAG: root}))]
