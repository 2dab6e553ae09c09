"""Whatever people, ticks and runs do, in whichever order: the warehouse ends as the account is."""

import os
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import dagster as dg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harvest_pipeline.scope import Window
from harvest_pipeline_tests.changes.watching import EVERY, NOW, Watching, window_of
from harvest_pipeline_tests.conftest import TODAY

#: One takes a second.
_EXAMPLES = 40 if os.environ.get("CI") else 2
#: Some of these days are before the start date, some are still to come.
_DAYS = st.integers(-16, 2).map(lambda back: TODAY + timedelta(days=back))
_WHICH = st.integers(0, 10_000)
_ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("edit"), _WHICH),
        st.tuples(st.just("move"), _WHICH, _DAYS),
        st.tuples(st.just("create"), _DAYS),
        st.tuples(st.just("rename"), _WHICH),
        st.tuples(st.just("wait"), st.integers(0, 400)),
        st.tuples(st.just("tick")),
        st.tuples(st.just("succeed")),
        st.tuples(st.just("load"), _DAYS),
        st.tuples(st.just("fail")),
        st.tuples(st.just("forget")),
    ),
    min_size=6,
    max_size=10,
)


class _Story:
    """What happens to one account; runs that were requested wait until they succeed or fail."""

    def __init__(self, watching: Watching) -> None:
        self.watching = watching
        self.account = watching.account
        self.now = NOW
        self.pending: list[tuple[dg.RunRequest, dg.DagsterRun]] = []
        self.failures = 0
        self.before: str | None = None

    def edit(self, which: int) -> None:
        self.account.change("time_entries", self._entry(which).id, hours=f"{which % 9}.5")

    def move(self, which: int, day: date) -> None:
        self.account.change("time_entries", self._entry(which).id, spent_date=day)

    def create(self, day: date) -> None:
        self.account.create("time_entries", spent_date=day)

    def rename(self, which: int) -> None:
        clients = list(self.account.records.clients)
        self.account.change("clients", clients[which % len(clients)].id, name=f"Client {which}")

    def wait(self, seconds: int) -> None:
        self.account.clock.advance(seconds)

    def tick(self) -> None:
        self.before = self.watching.cursor
        for request in self.watching.tick(self.now).requests:
            run = self.watching.note(request, dg.DagsterRunStatus.STARTED)
            self.pending.append((request, run))

    def succeed(self) -> None:
        if self.pending:
            request, run = self.pending.pop()
            self.watching.carry_out(request)
            self.watching.instance.delete_run(run.run_id)

    def load(self, day: date) -> None:
        """A person loads a day."""
        if EVERY.covers(Window(day, day)):
            self.watching.load(["time_entries"], Window(day, day))

    def fail(self) -> None:
        if self.pending and self.failures < 3:  # after four the sensor gives up
            self.failures += 1
            self.watching.instance.delete_run(self.pending.pop(0)[1].run_id)

    def forget(self) -> None:
        """The daemon died before it kept the cursor of the last tick."""
        self.watching.cursor = self.before

    def end(self) -> None:
        """Nobody changes anything any more; ticks and runs go on."""
        self.wait(10)
        for _ in range(6):
            while self.pending:
                self.succeed()
            self.now += timedelta(minutes=61 if self.failures else 16)
            self.tick()
            if not self.pending:
                return

    def _entry(self, which: int) -> Any:
        entries = list(self.account.records.time_entries)
        return entries[which % len(entries)]


def test_the_warehouse_ends_equal_to_harvest(watching_time: Watching) -> None:
    """Deletions excepted, which no change tells of."""

    @settings(max_examples=_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(_ACTIONS)
    def end_equal(actions: list[tuple[Any, ...]]) -> None:
        watching_time.account.clock.advance(10)
        watching_time.load()
        watching_time.cursor = None
        story = _Story(watching_time)
        for name, *arguments in actions:
            act: Callable[..., None] = getattr(story, name)
            act(*arguments)
        story.end()
        assert not story.pending
        assert_equal(watching_time)

    end_equal()


def assert_equal(watching: Watching) -> None:
    """The tables hold what the account holds on existing days, as it is there."""
    there = {
        (entry.id, entry.spent_date, entry.hours, entry.updated_at)
        for entry in watching.account.records.time_entries
        if EVERY.covers(Window(entry.spent_date, entry.spent_date))
    }
    clients = {(each.id, each.name) for each in watching.account.records.clients}
    with watching.warehouse.reader() as connection:
        query = "SELECT id, spent_date, hours, updated_at FROM time_entries"
        assert set(connection.execute(query).fetchall()) == there
        assert set(connection.execute("SELECT id, name FROM clients").fetchall()) == clients


def test_a_window_is_found_in_the_tags_of_its_run(watching_time: Watching) -> None:
    """What the stories above rely on."""
    watching_time.account.create("time_entries", spent_date=TODAY)
    (request,) = watching_time.tick().requests
    assert window_of(request) == Window(TODAY, TODAY)
