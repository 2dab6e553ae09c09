"""Time entries: what everybody did on every working day, and the timers that run now.

Belongs here: entries with their approval. Does not belong here: billing them (backlog.py).
"""

from datetime import date, timedelta
from random import Random

from harvest_pipeline.sandbox.billing import billable_rate, lock_reason
from harvest_pipeline.sandbox.embedded import (
    ExternalReference,
    TaskAssignmentRef,
    UserAssignmentRef,
)
from harvest_pipeline.sandbox.generator import names
from harvest_pipeline.sandbox.generator.plan import Engagement, Ids, Person, Span, instant
from harvest_pipeline.sandbox.model import TimeEntry
from harvest_pipeline.sandbox.numbers import hours_of, rounded_up
from harvest_pipeline.sandbox.records import Records

#: How many entries a person makes on a day, and how often.
_ENTRIES_PER_DAY = ((1, 2, 3), (62, 28, 10))
_TRACKER = "tracker.example"


def add_time_entries(
    records: Records,
    span: Span,
    engagements: list[Engagement],
    people: list[Person],
    random: Random,
) -> None:
    """Add the entries of all working days and, for today, up to three running timers."""
    timesheet = _Timesheet(records, span, random)
    entries: list[TimeEntry] = []
    for day in span.working_days():
        running = [e for e in engagements if e.runs_on(day)]
        for person in people:
            if person.works_on(day):
                theirs = [e for e in running if person.user.id in e.team]
                entries += timesheet.day(person, day, theirs)
    current = [e for e in engagements if e.runs_on(span.today)]
    for person in people[1:5]:
        theirs = [e for e in current if person.user.id in e.team]
        if theirs and person.works_on(span.today):
            entries.append(timesheet.timer(person, random.choice(theirs)))
    ids = Ids(2_380_000_000, random)
    for entry in sorted(entries, key=lambda e: e.created_at):
        entry.id = ids.next()
        records.time_entries.add(entry)


class _Timesheet:
    """Fills in the days of people."""

    def __init__(self, records: Records, span: Span, random: Random) -> None:
        self._records = records
        self._span = span
        self._random = random
        #: The beginning of the current week, which nobody has handed in yet.
        self._monday = span.today - timedelta(days=span.today.weekday())

    def day(self, person: Person, day: date, engagements: list[Engagement]) -> list[TimeEntry]:
        """The entries of one person on one day, none that would begin in the future."""
        random = self._random
        clock = 9 * 60 + random.choice((-30, 0, 0, 15, 30))
        weekly = person.user.weekly_capacity // 60
        left = weekly // 5 + random.choice((-60, -30, 0, 0, 30))
        count = random.choices(*_ENTRIES_PER_DAY)[0]
        entries: list[TimeEntry] = []
        for number in range(count, 0, -1):
            minutes = left // number
            # typed in by the quarter of an hour, or measured by a timer to the minute
            minutes = (
                minutes // 15 * 15 if random.random() < 0.7 else minutes - random.randrange(14)
            )
            minutes = max(minutes, 15)
            ended = instant(day, clock + minutes, person.zone)
            if ended > self._span.now:
                break
            engagement = random.choice(engagements)
            entry = self._entry(person, engagement, day, clock, minutes)
            self._file(entry)
            entries.append(entry)
            clock += minutes + (45 if clock < 12 * 60 <= clock + minutes else 0)
            left -= minutes
        return entries

    def timer(self, person: Person, engagement: Engagement) -> TimeEntry:
        """A timer that was started today and runs."""
        span, random = self._span, self._random
        since_midnight = (span.now - instant(span.today, 0)) // timedelta(minutes=1)
        minutes = min(random.randrange(12, 150), since_midnight)
        started = span.now - timedelta(minutes=minutes)
        before = random.choice((0, 0, 30, 75))
        local = started.astimezone(person.zone)
        clock = local.hour * 60 + local.minute
        entry = self._entry(person, engagement, span.today, clock, before + minutes)
        entry.hours_without_timer = hours_of(before)
        entry.is_running = True
        entry.timer_started_at = entry.created_at = entry.updated_at = started
        entry.ended_time = None
        return entry

    def _entry(
        self, person: Person, engagement: Engagement, day: date, clock: int, minutes: int
    ) -> TimeEntry:
        """An entry, without an id yet, begun `clock` minutes after local midnight."""
        records, random = self._records, self._random
        project, assignment = engagement.project, engagement.team[person.user.id]
        task = random.choice(engagement.tasks)
        hours = hours_of(minutes)
        made = instant(day, clock + minutes, person.zone)
        return TimeEntry(
            id=0,
            spent_date=day,
            hours=hours,
            hours_without_timer=hours,
            rounded_hours=rounded_up(hours),
            notes=random.choice(names.NOTES) if random.random() < 0.8 else None,
            is_locked=False,
            locked_reason=None,
            is_closed=False,
            approval_status="unsubmitted",
            is_billed=False,
            timer_started_at=None,
            started_time=self._time(clock),
            ended_time=self._time(clock + minutes),
            is_running=False,
            billable=task.billable,
            budgeted=project.budget_by != "none",
            billable_rate=billable_rate(project, task, assignment),
            cost_rate=person.cost_rate(day),
            created_at=made,
            updated_at=made,
            user=assignment.user,
            client=project.client,
            project=assignment.project,
            task=task.task,
            user_assignment=records.copy(UserAssignmentRef, assignment),
            task_assignment=records.copy(TaskAssignmentRef, task),
            invoice=None,
            external_reference=self._reference(project.code),
        )

    def _file(self, entry: TimeEntry) -> None:
        """Let an entry be made when it was (some are made days later), submitted and approved."""
        random, span = self._random, self._span
        late = random.randint(1, 9) if random.random() < 0.08 else 0
        made = entry.created_at + timedelta(days=late, seconds=random.randrange(1200))
        entry.created_at = entry.updated_at = span.until_now(made)
        week = entry.spent_date - timedelta(days=entry.spent_date.weekday())
        forgotten = (entry.user.id + week.toordinal() // 7) % 20 == 0
        if forgotten or week >= self._monday:
            return
        if week == self._monday - timedelta(days=7):
            entry.approval_status = "submitted"
            return
        approved = instant(week + timedelta(days=14), 10 * 60)
        entry.updated_at = span.until_now(max(entry.updated_at, approved))
        entry.approval_status, entry.is_closed, entry.is_locked = "approved", True, True
        entry.locked_reason = lock_reason(approved=True, billed=False)

    def _time(self, minutes: int) -> str | None:
        """A time of day as the account's clock shows it; None where only durations are entered."""
        company = self._records.company
        if not company.wants_timestamp_timers:
            return None
        hour, minute = divmod(minutes % (24 * 60), 60)
        if company.clock == "24h":
            return f"{hour}:{minute:02}"
        return f"{hour % 12 or 12}:{minute:02}{'am' if hour < 12 else 'pm'}"

    def _reference(self, code: str | None) -> ExternalReference | None:
        """For every twentieth entry, an item of a tracker."""
        if not code or self._random.random() > 0.05:
            return None
        key = f"{code.split('-')[0]}-{self._random.randrange(100, 999)}"
        return ExternalReference(
            id=key,
            group_id=code,
            account_id=self._records.company.full_domain.split(".")[0],
            permalink=f"https://{_TRACKER}/browse/{key}",
            service=_TRACKER,
            service_icon_url=f"https://cache.harvestapp.com/external_reference_icons/{_TRACKER}.png",
        )
