"""What the doctor says of the database: the file, who holds it, and whose records are in it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from harvest_pipeline.scope import Proof, Scope
from harvest_pipeline.warehouse import ledger, tables
from harvest_pipeline_tests.conftest import ADMINISTRATOR
from harvest_pipeline_tests.doctor.conftest import Patient

#: A program that opens a database, says so, and waits to be told to end.
HOLD = "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only={}); print(1, flush=True);"


@contextmanager
def held(path: Path, *, reading: bool) -> Iterator[int]:
    """Another process has the database open; its id."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD.format(reading) + "sys.stdin.read()", str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin and process.stdout
    with process:
        process.stdout.readline()
        yield process.pid
        process.stdin.close()


def loaded(patient: Patient, account_id: int, schema: str = "harvest") -> None:
    """A load of that account, a moment ago."""
    load = ledger.Load(
        scope=Scope("clients", None),
        context=ledger.LoadContext("run", "clients", account_id, ADMINISTRATOR),
        proof=Proof.TOTAL_ENTRIES,
        requests=1,
        rows=0,
        total_entries=0,
        seconds=0.1,
        read_at=datetime.now(UTC),
        unknown_fields={},
        missing_fields={},
        loaded_at=datetime(2026, 11, 20, 5, 30, tzinfo=UTC),
    )
    with patient.warehouse(schema).transaction() as connection:
        tables.prepare_tables(connection, ledger.LEDGER)
        ledger.write(connection, load)


def test_before_the_first_load_there_is_no_file_and_nothing_is_wrong(patient: Patient) -> None:
    found = patient.examined()
    assert found.wrong() == []
    assert "does not exist yet" in found.about("database").text
    assert not patient.database.parent.exists()


def test_the_last_load_is_told_for_each_account(patient: Patient) -> None:
    loaded(patient, patient.sandbox.account_id)
    found = patient.examined()
    assert found.wrong() == []
    schema = found.about("schema harvest")
    assert schema.text.startswith("last load on 2026-11-20 05:30 UTC")
    assert duckdb.__version__ in schema.text
    assert f"{patient.database}, " in found.about("database").text


def test_a_schema_without_loads_is_told_as_such(patient: Patient) -> None:
    loaded(patient, patient.sandbox.account_id, schema="other")
    assert "nothing is loaded yet" in patient.examined().about("schema harvest").text


def test_the_records_of_another_company_are_wrong(patient: Patient) -> None:
    loaded(patient, 17)
    found = patient.examined()
    assert found.wrong() == ["schema harvest"]
    schema = found.about("schema harvest")
    assert "17" in schema.text
    assert str(patient.sandbox.account_id) in schema.text


def test_another_company_is_found_by_the_id_that_is_set_too(patient: Patient) -> None:
    loaded(patient, 17)
    assert patient.examined(offline=True).wrong() == ["schema harvest"]
    assert patient.paths() == []


@pytest.mark.parametrize("reading", [False, True], ids=["writer", "reader"])
def test_who_holds_the_file_is_told_with_the_process(patient: Patient, reading: bool) -> None:
    loaded(patient, patient.sandbox.account_id)
    with held(patient.database, reading=reading) as process:
        found = patient.examined(offline=True)
    holder = found.about("holder")
    assert holder.state == "warning"
    assert f"(process {process})" in holder.text
    assert ("it only reads" in holder.text) == reading
    assert "python" in holder.text
    # A reader keeps nobody from reading.
    assert bool([f for f in found.findings if f.subject == "schema harvest"]) == reading
    assert found.wrong() == []
    assert "holder" not in [f.subject for f in patient.examined(offline=True).findings]


def test_a_file_that_is_no_database_is_wrong(patient: Patient) -> None:
    patient.database.parent.mkdir()
    patient.database.write_text("hello " * 5000)
    found = patient.examined(offline=True)
    assert found.wrong() == ["schema harvest"]
    assert "is not a DuckDB database" in found.about("schema harvest").text


def test_a_file_that_others_can_read_is_told(patient: Patient) -> None:
    loaded(patient, patient.sandbox.account_id)
    assert "mode" not in patient.examined(offline=True).warnings()
    patient.database.chmod(0o644)
    finding = patient.examined(offline=True).about("mode")
    assert finding.state == "warning"
    assert finding.remedy == f"chmod 600 {patient.database}"


@pytest.mark.parametrize("folder", ["/proc", "/sys"])
def test_a_folder_that_takes_no_files_is_wrong(patient: Patient, folder: str) -> None:
    # Not even from root, who runs these tests in a container.
    patient.set(HARVEST_DUCKDB=f"{folder}/warehouse.duckdb")
    found = patient.examined(offline=True)
    assert found.about("folder").state == "wrong"
    assert folder in found.about("folder").text


def test_nothing_is_written_into_the_database(patient: Patient) -> None:
    loaded(patient, patient.sandbox.account_id)
    before = patient.database.read_bytes(), sorted(patient.database.parent.iterdir())
    patient.examined()
    assert (patient.database.read_bytes(), sorted(patient.database.parent.iterdir())) == before
