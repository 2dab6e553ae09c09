"""What a tick of a schedule has to read: its own day, and those of the ticks that came to nothing.

Dagster catches up with one run: of all ticks that passed while nothing was running (the daemon was
off, the machine asleep) it launches the last one. So that run has to bring what the others would
have brought; and so has the run after one that failed.

Belongs here: finding the first tick that came to nothing, and the parameters with which the run of
an unpartitioned dataset makes up for it.
Does not belong here: which schedules there are (schedules.py), what days back mean (options.py).
"""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg

# Dagster exports no way to its ticks, and another cron library would disagree with it about the
# days on which clocks change.
from dagster._utils.schedules import schedule_execution_time_iterator

from harvest_pipeline.datasets import Cron, Dataset, Update
from harvest_pipeline.options import WindowOptions
from harvest_pipeline.partitions import existing_days
from harvest_pipeline.scope import Window
from harvest_pipeline.settings import Settings

#: How far back missed ticks are made up for, in days: somebody who switches a schedule on again
#: after a year wants today's numbers first, and can backfill the year.
MOST_DAYS_MISSED = 31
_ACCOUNT = "harvest/account"
_TICK = "harvest/tick"


def tick_of(context: dg.ScheduleEvaluationContext, cron: Cron) -> datetime:
    """The moment of the tick, in the schedule's time zone."""
    return context.scheduled_execution_time.astimezone(ZoneInfo(cron.timezone))


def tick_tags(context: dg.ScheduleEvaluationContext, cron: Cron, account: str) -> dict[str, str]:
    """What the run of a tick is found by later, whether the daemon launched it or a person."""
    return {_ACCOUNT: account, _TICK: tick_of(context, cron).isoformat()}


def days_due(
    context: dg.ScheduleEvaluationContext, schedule: str, cron: Cron, account: str
) -> Window:
    """The days of the ticks from the first that came to nothing to this one, in their time zone."""
    first = first_due(context, schedule, cron, account)
    return Window(first.date(), tick_of(context, cron).date())


def first_due(
    context: dg.ScheduleEvaluationContext, schedule: str, cron: Cron, account: str
) -> datetime:
    """The first tick that came to nothing, at most 31 days back; this tick if there is none.

    Ticks have come to nothing after that of the latest run of the schedule and the account that
    succeeded. That is one question to Dagster's storage. The same tick gets the same answer again,
    also after its own run has succeeded.
    """
    tick = tick_of(context, cron)
    done = context.instance.get_runs(
        dg.RunsFilter(
            tags={"dagster/schedule_name": schedule, _ACCOUNT: account},
            statuses=[dg.DagsterRunStatus.SUCCESS],
        ),
        limit=1,
    )
    if not done:
        return tick
    covered = datetime.fromisoformat(done[0].tags[_TICK]).timestamp()
    # Ticks are given from that second on, the second itself included.
    ticks = schedule_execution_time_iterator(covered + 1, cron.expression, cron.timezone)
    return max(min(next(ticks), tick), tick - timedelta(days=MOST_DAYS_MISSED))


def has_window(options: WindowOptions) -> bool:
    """Whether the parameters say which days are read."""
    return not WindowOptions.model_fields.keys().isdisjoint(options.given)


def made_up_for(
    dataset: Dataset, first: datetime, tick: datetime, settings: Settings
) -> dict[str, str]:
    """The parameters with which a run over an unpartitioned dataset reads what was missed since the
    tick `first`.

    Without missed days there are none: the run then counts days back from the day it runs on. A
    table that is replaced holds one read, so nothing of earlier ones is missing in it.
    """
    # Counted from the day that such a run counts from: the earlier one, where the zones differ.
    here = ZoneInfo(settings.timezone)
    due = Window(*(min(moment.date(), moment.astimezone(here).date()) for moment in (first, tick)))
    if due.first == due.last or dataset.update is Update.REPLACE:
        return {}
    options, parameters = dataset.options, dict[str, str]()
    if has_window(options):
        window = options.window(due, existing_days(settings))
        parameters |= {"start_date": str(window.first), "end_date": str(window.last)}
    if options.updated_since_days_back is not None:
        since = due.first - timedelta(days=options.updated_since_days_back)
        parameters["updated_since"] = str(since)
    return parameters
