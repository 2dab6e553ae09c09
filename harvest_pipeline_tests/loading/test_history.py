"""What Harvest has from before the first day that is loaded: everywhere it is said, it is exact."""

import json
import logging
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import pytest

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.cli.main import main
from harvest_pipeline.harvest.auth import PersonalAccessToken
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.loading.history import history, left_out, proposal
from harvest_pipeline.scope import Window
from harvest_pipeline_tests.conftest import HASTE, TODAY, Project
from harvest_pipeline_tests.sandbox.faults import SpoilRecord
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.sandbox.truth import days_of, truth

DAYS = ("time_entries", "expenses", "invoices")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(today=TODAY, years=0.3, scale=0.5, rate_limit=None) as server:
        yield server


def client_of(
    sandbox: SandboxServer, folder: Path, person: str = "administrator"
) -> closing[HarvestClient]:
    return closing(
        HarvestClient(
            api_url=sandbox.api_url,
            id_url=sandbox.id_url,
            credentials=PersonalAccessToken(sandbox.tokens[person], "HARVEST_ACCESS_TOKEN"),
            account_id=str(sandbox.account_id),
            instance=None,
            contact="sandbox@fernhill.example",
            state_folder=folder,
            log=print,
            patience=HASTE,
        )
    )


def test_what_is_left_out_is_counted_by_list_with_the_oldest_day(
    sandbox: SandboxServer, tmp_path: Path
) -> None:
    start = sandbox.first_day + timedelta(days=60)
    sandbox.account.request_log.clear()
    with client_of(sandbox, tmp_path) as client:
        older = history(client, RECORDS.values(), before=start)
        sentence = left_out(client, RECORDS.values(), start)
    assert older is not None
    expected = {
        name: [d for d in days_of(sandbox.account.records, name) if d < start] for name in DAYS
    }
    assert older.numbers == {
        RECORDS[name].title.lower(): len(days) for name, days in expected.items()
    }
    assert older.first == min(days[0] for days in expected.values())
    assert sentence is not None
    assert f"{len(expected['time_entries']):,} time entries" in sentence
    assert f"HARVEST_START_DATE is {start}" in sentence
    assert f"oldest of {older.first}" in sentence
    lists = [path for path in sandbox.account.request_log.paths() if path != "/v2/users/me"]
    # The first record is the oldest if there is no other. Both questions were asked.
    assert len(lists) == 2 * sum(min(2, len(days)) for days in expected.values())


def test_nothing_is_said_where_nothing_is_left_out(sandbox: SandboxServer, tmp_path: Path) -> None:
    sandbox.account.request_log.clear()
    with client_of(sandbox, tmp_path) as client:
        assert left_out(client, RECORDS.values(), sandbox.first_day) is None
    assert len(sandbox.account.request_log.paths()) <= 1 + len(DAYS)


def test_the_first_day_of_the_account_is_proposed_unless_it_is_set(
    sandbox: SandboxServer, tmp_path: Path
) -> None:
    first = min(days_of(sandbox.account.records, name)[0] for name in DAYS)
    with client_of(sandbox, tmp_path) as client:
        said = proposal(client, RECORDS.values(), date(2020, 1, 1))
        assert proposal(client, RECORDS.values(), first) is None
    assert said is not None
    assert f"HARVEST_START_DATE={first} loads all of it; it is 2020-01-01 now." in said


def test_a_list_that_is_refused_counts_as_empty(sandbox: SandboxServer, tmp_path: Path) -> None:
    with client_of(sandbox, tmp_path, "member") as client:
        own = history(client, RECORDS.values())
    assert own is not None
    assert "invoices" not in own.numbers
    assert 0 < own.numbers["time entries"] < len(days_of(sandbox.account.records, "time_entries"))


def test_a_record_that_cannot_be_read_is_counted_all_the_same(
    sandbox: SandboxServer, tmp_path: Path
) -> None:
    records = truth(sandbox.account.records, "invoices")
    oldest = min(records, key=lambda each: (each["issue_date"], each["created_at"]))
    broken = SpoilRecord(path="/invoices", times=None, id=oldest["id"], field="notes", raw="NaN")
    sandbox.account.faults.add(broken)
    try:
        with client_of(sandbox, tmp_path) as client:
            found = history(client, [RECORDS["invoices"]])
    finally:
        sandbox.account.faults.clear()
    assert found is not None
    assert (found.numbers, found.first) == ({"invoices": len(records)}, None)
    assert str(found) == f"{len(records)} invoices"


def test_the_first_load_doctor_and_the_statement_say_it(
    sandbox: SandboxServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project = Project(sandbox, tmp_path, monkeypatch)
    start = TODAY - timedelta(days=20)
    project.set(HARVEST_START_DATE=f"{start}", DAGSTER_HOME=str(tmp_path))
    older = sum(day < start for day in days_of(sandbox.account.records, "invoices"))

    def warned() -> list[str]:
        run = project.materialize("invoices", window=Window(start, TODAY))
        logs = project.instance.all_logs(run.run_id)
        return [each.user_message for each in logs if each.level == logging.WARNING]

    (sentence,) = warned()
    assert sentence.startswith(f"Not loaded, since HARVEST_START_DATE is {start}: Harvest has ")
    assert (
        f"{older} invoices, the oldest of {days_of(sandbox.account.records, 'invoices')[0]}."
        in sentence
    )
    assert warned() == []
    assert main(["verify", "--json"]) == 1
    (statement,) = json.loads(capsys.readouterr().out)
    assert any(f" and {older} invoices, the oldest of" in each for each in statement["remarks"])
    main(["doctor"])
    told = " ".join(capsys.readouterr().out.split())
    assert f" and {older} invoices, the oldest of" in told
    assert "Set an earlier day to load them." in told
