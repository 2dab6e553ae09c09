"""A run that was interrupted and is executed again goes on after the last committed piece."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.harvest import pages
from harvest_pipeline.harvest.auth import PersonalAccessToken
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import HarvestUnavailable, PermissionMissing, RecordNotFound
from harvest_pipeline.harvest.limits import Limit, Limits
from harvest_pipeline.loading import window as loads
from harvest_pipeline.loading.window import Loads
from harvest_pipeline.orchestration.partitions import ONLY_CHANGED
from harvest_pipeline.scope import Filters, Scope, Window
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.ledger import LoadContext
from harvest_pipeline.warehouse.loading import load_each
from harvest_pipeline_tests.conftest import HASTE, TODAY, Project
from harvest_pipeline_tests.loading.many_invoices import FIRST, LAST, ManyInvoices
from harvest_pipeline_tests.places import place_at
from harvest_pipeline_tests.sandbox.faults import AnswerWith, ChangeAfter, Forbid
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.sandbox.truth import truth
from harvest_pipeline_tests.warehouse.records import ADMINISTRATOR

_UNLIMITED = Limit(10_000, 0.1, fallback_pause=0.1)


@dataclass(frozen=True)
class Reader:
    """Runs without Dagster: what they read of an account, and load into a database."""

    api_url: str
    token: str
    account_id: int
    window: Window
    folder: Path

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(
            place_at(self.folder / "warehouse.duckdb"), "harvest", log=lambda line: None
        )

    def run(
        self,
        record: str,
        run: str,
        *retried: str,
        filters: Filters | None = None,
        only_changed: bool = False,
    ) -> None:
        """A run that retries others. Raises what interrupts it."""
        client = HarvestClient(
            api_url=self.api_url,
            id_url=self.api_url.removesuffix("/v2"),
            credentials=PersonalAccessToken(self.token),
            account_id=str(self.account_id),
            instance=None,
            contact="tests@example.com",
            state_folder=self.folder / "state",
            log=lambda line: None,
            patience=HASTE,
            limits=Limits(_UNLIMITED, _UNLIMITED),
        )
        reading = Loads(
            client, self.warehouse, [run, *retried], self.folder, lambda line: None, only_changed
        )
        spools = reading.spools(RECORDS[record], Scope(record, self.window, filters or Filters()))
        context = LoadContext(run, record, self.account_id, ADMINISTRATOR)
        try:
            list(load_each(self.warehouse, spools, context, lambda line: None))
        finally:
            client.close()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with self.warehouse.reader() as connection:
            return connection.execute(sql).fetchall()

    def ids(self, table: str) -> list[int]:
        return [row[0] for row in self.query(f"SELECT id FROM {table} ORDER BY id")]


# Interrupted at 10, 50 and 90 %: `benchmarks/resume.py` does it with 20,000 invoices, in Dagster.

MANY, PIECE, IN_FLIGHT = 100, 20, 4
MESSAGES = "invoice_messages"


@pytest.fixture(scope="module")
def invoices() -> Iterator[ManyInvoices]:
    with ManyInvoices(MANY) as server:
        yield server


def fail(reader: Reader, invoices: ManyInvoices, stop: int, *runs: str) -> None:
    invoices.interrupt_after(stop, 0, 0)
    with pytest.raises(HarvestUnavailable, match="status 503"):
        reader.run(MESSAGES, *runs)


def terminate(reader: Reader, invoices: ManyInvoices, stop: int, *runs: str) -> None:
    """As in a process of Dagster: SIGTERM raises in the main thread."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        invoices.interrupt_after(stop, signal.SIGTERM, os.getpid())
        with pytest.raises(KeyboardInterrupt):
            reader.run(MESSAGES, *runs)
    finally:
        signal.signal(signal.SIGTERM, before)


def kill(reader: Reader, invoices: ManyInvoices, stop: int, *runs: str) -> None:
    child = os.fork()
    if child == 0:
        try:
            invoices.interrupt_after(stop, signal.SIGKILL, os.getpid())
            reader.run(MESSAGES, *runs)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL


@pytest.mark.parametrize(
    ("interrupt", "most"), [(fail, 0), (terminate, 0), (kill, PIECE + IN_FLIGHT)]
)
def test_no_invoice_is_asked_twice_however_often_a_run_is_interrupted(
    invoices: ManyInvoices,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    interrupt: Callable[..., None],
    most: int,
) -> None:
    """But for a piece and what is in flight when its process is killed."""
    monkeypatch.setattr(loads, "PARENTS_PER_PIECE", PIECE)
    invoices.forget()
    reader = Reader(f"{invoices.url}/v2", "pat", 1204417, Window(FIRST, LAST), tmp_path)
    runs: list[str] = []
    for share in (0.1, 0.5, 0.9):
        runs.insert(0, f"interrupted at {share:%}")
        interrupt(reader, invoices, int(MANY * share), *runs)
    invoices.mend()
    reader.run(MESSAGES, "the last", *runs)

    answered = invoices.answered()
    assert set(answered) == {f"/v2/invoices/{n}/messages" for n in range(1, MANY + 1)}
    assert answered.total() - MANY <= 3 * most
    assert reader.ids(MESSAGES) == [number + 10**6 for number in range(1, MANY + 1)]


# On the sandbox: what goes on is right whatever happened between the two runs.


@pytest.fixture
def reader(sandbox: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    """Runs over four months of the sandbox account, in pieces of ten invoices."""
    monkeypatch.setattr(loads, "PARENTS_PER_PIECE", 10)
    window = Window(sandbox.first_day, TODAY)
    token = sandbox.tokens["administrator"]
    return Reader(sandbox.api_url, token, sandbox.account_id, window, tmp_path)


def asked(sandbox: SandboxServer) -> Counter[str]:
    """How often each path was asked for since the last time, without `/v2`."""
    log = sandbox.account.request_log
    counted = Counter(path.removeprefix("/v2") for path in log.paths())
    log.clear()
    return counted


def children(kind: str, invoices: list[int]) -> Counter[str]:
    """One request for each of the invoices."""
    return Counter(f"/invoices/{invoice}/{kind}" for invoice in invoices)


def by_day(sandbox: SandboxServer) -> list[int]:
    """The invoices, the oldest first."""
    every = sandbox.account.records.invoices.ascending()
    return [each.id for each in sorted(every, key=lambda each: (each.issue_date, each.id))]


def true_ids(sandbox: SandboxServer, record: str) -> list[int]:
    return sorted(row["id"] for row in truth(sandbox.account.records, record))


def test_entries_that_were_read_by_halves_are_not_read_again(
    sandbox: SandboxServer, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody deletes an entry while the list is read, and the second half fails."""
    monkeypatch.setattr(pages, "PER_PAGE", "100")
    records = sandbox.account.records
    gone = max(records.time_entries, key=lambda each: each.spent_date)
    first, second = reader.window.halves()
    days = [each.spent_date for each in records.time_entries if each is not gone]
    whole, earlier, later = (
        -(-len(part) // 100)
        for part in (
            days,
            [d for d in days if d <= first.last],
            [d for d in days if d > first.last],
        )
    )
    assert whole > 3
    faults = sandbox.account.faults
    deletion = partial(sandbox.account.delete, "time_entries", gone.id)
    faults.add(ChangeAfter(path="/time_entries", change=deletion))
    faults.add(Forbid(path="/time_entries", skip=whole - 1 + earlier, times=None))
    with pytest.raises(PermissionMissing):
        reader.run("time_entries", "first")
    loaded = "SELECT window_first, window_last FROM _loads ORDER BY 1"
    assert reader.query(loaded) == [(first.first, first.last)]

    faults.clear()
    asked(sandbox)
    reader.run("time_entries", "second", "first")
    assert reader.query(loaded)[1:] == [(second.first, second.last)]
    assert asked(sandbox) == Counter({"/time_entries": later})
    assert reader.ids("time_entries") == true_ids(sandbox, "time_entries")


def interrupted(sandbox: SandboxServer, reader: Reader, record: str = MESSAGES) -> list[int]:
    """A run that failed at the last invoice but one; the invoices that are left to be read."""
    kind = record.removeprefix("invoice_")
    refusal = Forbid(path=f"/invoices/{by_day(sandbox)[-2]}/{kind}", times=None)
    sandbox.account.faults.add(refusal)
    with pytest.raises(PermissionMissing):
        reader.run(record, "first")
    sandbox.account.faults.clear()
    asked(sandbox)
    read = {
        row[0] for row in reader.query("SELECT parent_id FROM _parents_read WHERE run_id = 'first'")
    }
    left = [each for each in by_day(sandbox) if each not in read]
    assert 1 <= len(left) <= 4
    return left


def test_the_rest_is_as_it_is_then_and_what_had_changed_comes_with_the_next_run(
    sandbox: SandboxServer, reader: Reader
) -> None:
    left = interrupted(sandbox, reader)
    account = sandbox.account
    account.clock.advance(3600)
    account.add_message(by_day(sandbox)[0], "send")
    account.add_message(left[-1], "send")
    reader.run(MESSAGES, "second", "first")
    assert asked(sandbox) == children("messages", left)
    missing = set(true_ids(sandbox, MESSAGES)) - set(reader.ids(MESSAGES))
    assert len(missing) == 1

    reader.run(MESSAGES, "next", only_changed=True)
    changed = [by_day(sandbox)[0], left[-1]]
    assert asked(sandbox) == Counter(["/invoices"]) + children("messages", changed)
    assert reader.ids(MESSAGES) == true_ids(sandbox, MESSAGES)


def test_messages_of_an_invoice_that_was_deleted_meanwhile_leave_without_an_error(
    sandbox: SandboxServer, reader: Reader
) -> None:
    reader.run(MESSAGES, "long ago")
    left = interrupted(sandbox, reader)
    gone = left[0]
    of_gone = f"SELECT count(*) FROM invoice_messages WHERE invoice_id = {gone}"
    assert reader.query(of_gone)[0][0] > 0
    sandbox.account.delete("invoices", gone)
    reader.run(MESSAGES, "second", "first")
    assert asked(sandbox) - children("messages", left) == Counter(
        {f"/invoices/{gone}": 1, "/company": 1}
    )
    assert reader.query(of_gone) == [(0,)]
    assert reader.ids(MESSAGES) == true_ids(sandbox, MESSAGES)


def test_messages_that_are_not_found_of_an_invoice_that_is_there_are_an_error(
    sandbox: SandboxServer, reader: Reader
) -> None:
    reader.run(MESSAGES, "long ago")
    before = reader.ids(MESSAGES)
    missing = by_day(sandbox)[-1]
    sandbox.account.faults.add(
        AnswerWith(path=f"/invoices/{missing}/messages", times=None, status=404, body="{}")
    )
    with pytest.raises(RecordNotFound, match=f"/invoices/{missing}/messages"):
        reader.run(MESSAGES, "first")
    assert reader.ids(MESSAGES) == before
    [(run,)] = reader.query(f"SELECT run_id FROM _parents_read WHERE parent_id = {missing}")
    assert run == "long ago"


def test_a_read_of_what_changed_goes_on_and_is_no_complete_one(
    sandbox: SandboxServer, reader: Reader
) -> None:
    """Of a piece that fails nothing is kept: its part could not be told from the whole."""
    changed = Filters(updated_since=datetime(2026, 10, 1, tzinfo=UTC))
    sandbox.account.faults.add(Forbid(path=f"/invoices/{by_day(sandbox)[-1]}/messages"))
    with pytest.raises(PermissionMissing):
        reader.run(MESSAGES, "first", filters=changed)
    asked(sandbox)
    [(day,)] = reader.query("SELECT max(window_last) FROM _loads WHERE record = 'invoice_messages'")
    invoices = sandbox.account.records.invoices
    left = [each.id for each in invoices.ascending() if each.issue_date > day]
    assert 0 < len(left) < len(invoices) / 2
    reader.run(MESSAGES, "second", "first", filters=changed)
    assert asked(sandbox) == children("messages", left)

    reader.run(MESSAGES, "third", "second", "first")
    assert asked(sandbox) == children("messages", by_day(sandbox))
    assert reader.ids(MESSAGES) == true_ids(sandbox, MESSAGES)


def test_a_run_that_is_executed_again_much_later_reads_everything_again(
    sandbox: SandboxServer, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(sandbox, reader)
    assert timedelta(hours=5) < loads._STILL_GOOD < timedelta(hours=7)
    monkeypatch.setattr(loads, "datetime", _LaterClock)
    reader.run(MESSAGES, "second", "first")
    assert asked(sandbox) == Counter(["/invoices"]) + children("messages", by_day(sandbox))


class _LaterClock(datetime):
    """Our own clock, seven hours on."""

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return datetime.now(tz) + timedelta(hours=7)


@pytest.mark.parametrize("more", [0, -1], ids=["nothing is left", "two cancel each other out"])
def test_payments_of_an_invoice_that_changed_are_asked_for_although_nothing_seems_to_be_paid(
    sandbox: SandboxServer, reader: Reader, more: int
) -> None:
    payments = "invoice_payments"
    reader.run(payments, "first")
    account = sandbox.account
    paid = next(key for key, table in account.records.payments.items() if len(table) == 1)
    account.clock.advance(3600)
    payment = account.records.payments[paid].ascending()[0]
    if more:
        account.add_payment(paid, more * payment.amount)
    else:
        account.delete_payment(paid, payment.id)
    invoice = account.records.invoices.get(paid)
    assert invoice is not None and invoice.due_amount == invoice.amount
    asked(sandbox)
    reader.run(payments, "next", only_changed=True)
    assert asked(sandbox) == Counter(["/invoices", f"/invoices/{paid}/payments"])
    assert reader.ids(payments) == true_ids(sandbox, payments)


# In Dagster.


def test_a_run_with_the_tag_asks_only_of_invoices_that_changed(project: Project) -> None:
    account = project.sandbox.account
    paid = next(row for row in project.truth("invoices") if row["state"] == "open")
    day = Window(paid["issue_date"], paid["issue_date"])
    of_day = [row["id"] for row in project.truth("invoices") if row["issue_date"] == day.first]
    assert len(of_day) > 1
    assert project.materialize(MESSAGES, "invoice_payments", window=day).success
    assert asked(project.sandbox) & children("messages", of_day) == children("messages", of_day)

    account.clock.advance(3600)
    account.add_payment(paid["id"], 1)
    assert project.materialize(MESSAGES, "invoice_payments", window=day, tags=ONLY_CHANGED).success
    changed = [f"/invoices/{paid['id']}/{kind}" for kind in ("messages", "payments")]
    assert asked(project.sandbox) == Counter(["/users/me", "/invoices", *changed])
    for record in (MESSAGES, "invoice_payments"):
        there = [row["id"] for row in project.truth(record) if row["invoice_id"] in of_day]
        assert project.query(f"SELECT id FROM {record} ORDER BY id") == [
            (id,) for id in sorted(there)
        ]


def test_what_any_run_of_a_chain_of_re_executions_has_read_is_not_asked_again(
    project: Project,
) -> None:
    """The second has read the entries; the fourth has the third for its parent, the first for its
    root."""
    day = Window(TODAY, TODAY)
    faults = project.sandbox.account.faults
    faults.add(Forbid(path="/time_entries", times=2))  # the read, and what is older
    faults.add(Forbid(path="/expenses", times=3))
    runs: list[str] = []
    for _ in range(4):
        tags = {"dagster/parent_run_id": runs[-1], "dagster/root_run_id": runs[0]} if runs else {}
        asked(project.sandbox)
        result = project.materialize("daily", "user_expenses", window=day, tags=tags)
        runs.append(result.run_id)
        if len(runs) == 2:
            # And nothing is older than the first day.
            assert asked(project.sandbox)["/time_entries"] == 2
    assert result.success
    assert asked(project.sandbox)["/time_entries"] == 0
