"""A record of Harvest that cannot be used is set aside at once, and all others are loaded."""

from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from harvest_pipeline.scope import Window
from harvest_pipeline_tests.conftest import TODAY, Project, failure_of
from harvest_pipeline_tests.sandbox.faults import RetypeField, SpoilRecord

DAYS = Window(TODAY - timedelta(days=20), TODAY)
ASIDE = "SELECT record, id, day, field FROM _rejected ORDER BY id"
REASON = "SELECT reason FROM _rejected"


def red(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    """The checks that failed, by their names."""
    return {c.check_name: c for c in result.get_asset_check_evaluations() if not c.passed}


def spoil(project: Project, id: int, field: str, raw: str, path: str = "/time_entries") -> None:
    project.sandbox.account.faults.add(
        SpoilRecord(path=path, id=id, field=field, raw=raw, times=None)
    )


def entries(project: Project) -> list[dict[str, Any]]:
    """The account's time entries of the days, from the last one on."""
    first, last = f"{DAYS.first}", f"{DAYS.last}"
    found = [e for e in project.truth("time_entries") if first <= f"{e['spent_date']}" <= last]
    return sorted(found, key=lambda entry: entry["id"], reverse=True)


@pytest.mark.parametrize(
    ("field", "raw", "reason"),
    [
        ("notes", r'"\ud83d"', "is text with half a character or a wrong escape in it"),
        ("notes", '"caf\xe9"', "is not UTF-8"),
        ("notes", '"a\x1bb"', "is text with half a character or a wrong escape in it"),
        ("client.name", '"\xed\xa0\xbd"', "is not UTF-8"),
        ("hours", "NaN", "is NaN, which is not JSON"),
        ("rounded_hours", "-Infinity", "is -Infinity, which is not JSON"),
        ("hours", "1e300", "is declared as DECIMAL(38,18), and '1e+300' came"),
        ("spent_date", '"2026-11-31"', "is declared as DATE, and '2026-11-31' came"),
        ("notes", '"' + 9 * 2**20 * "x" + '"', "has 9.0 MiB, more than any of Harvest's"),
    ],
    ids=lambda value: value[:12],
)
def test_one_unusable_record_costs_one_request_and_no_other_record(
    project: Project, field: str, raw: str, reason: str
) -> None:
    there = entries(project)
    bad = there[3]["id"]
    spoil(project, bad, field, raw)
    project.sandbox.account.request_log.clear()
    result = project.materialize("daily", window=DAYS)

    assert result.success
    # The other one counts what is older than the first day.
    assert project.paths().count("/v2/time_entries") == 2
    assert project.query("SELECT id FROM time_entries ORDER BY id DESC") == [
        (entry["id"],) for entry in there if entry["id"] != bad
    ]
    ((record, id, day, found),) = project.query(ASIDE)
    assert (record, id, found) == ("time_entries", bad, field)
    assert day == (None if field == "spent_date" else there[3]["spent_date"])
    assert project.query(REASON) == [(reason,)]
    ((kept, load_id),) = project.query("SELECT bytes, load_id FROM _rejected")
    assert raw.encode("latin-1") in kept
    assert f'"id":{bad},'.encode() in kept
    assert kept[:1] + kept[-1:] == b"{}"
    assert project.query("SELECT load_id, rows, total_entries FROM _loads") == [
        (load_id, len(there), len(there))
    ]
    check = red(result).pop("no_record_is_set_aside")
    assert check.severity is dg.AssetCheckSeverity.ERROR
    assert check.metadata["set aside"].value == 1
    (example,) = check.metadata["set aside, for example"].value
    assert str(bad) in example
    assert f"{field} {reason}" in example
    assert set(red(result)) == {"no_record_is_set_aside"}


def test_the_older_row_stays_and_a_later_good_version_takes_its_place(project: Project) -> None:
    there = entries(project)
    bad, gone = there[0]["id"], there[1]["id"]
    project.materialize("daily", window=DAYS)
    spoil(project, bad, "hours", "NaN")
    spoil(project, gone, "hours", "Infinity")  # of two faults, a request meets the older
    project.sandbox.account.change("time_entries", bad, notes="changed")
    result = project.materialize("daily", window=DAYS)
    assert result.success
    notes = f"SELECT notes FROM time_entries WHERE id = {bad}"
    assert project.query(notes) == [(there[0]["notes"],)]
    assert project.query("SELECT count(*) FROM time_entries_deleted") == [(0,)]
    assert [row[1] for row in project.query(ASIDE)] == [bad]

    project.sandbox.account.faults.clear()
    spoil(project, gone, "hours", "Infinity")
    result = project.materialize("daily", window=DAYS)
    assert project.query(notes) == [("changed",)]
    assert [row[1] for row in project.query(ASIDE)] == [gone]
    project.sandbox.account.delete("time_entries", gone)
    result = project.materialize("daily", window=DAYS)
    assert project.query(ASIDE) == []
    assert red(result) == {}


def test_an_unusable_record_without_an_id_refuses_the_read_at_once(project: Project) -> None:
    project.materialize("clients")
    before = project.query("SELECT * FROM clients ORDER BY id")
    bad = project.truth("clients")[2]["id"]
    for raw in ('"x"', "NaN", "null", "1e3", str(2**63)):
        spoil(project, bad, "id", raw, "/clients")
        project.sandbox.account.request_log.clear()
        sentence = failure_of(project.materialize("clients"))
        assert "A record of clients came without an id that can be read" in sentence
        assert project.paths().count("/v2/clients") == 1
        project.sandbox.account.faults.clear()
    assert project.query("SELECT * FROM clients ORDER BY id") == before


def test_a_field_that_changed_its_type_refuses_the_load(project: Project) -> None:
    project.materialize("clients")
    before = project.query("SELECT * FROM clients ORDER BY id")
    fault = RetypeField(path="/clients", field="is_active", value="perhaps", times=None)
    project.sandbox.account.faults.add(fault)
    sentence = failure_of(project.materialize("clients"))
    assert "The field is_active of clients is declared as BOOLEAN, and 'perhaps' came" in sentence
    assert project.query("SELECT * FROM clients ORDER BY id") == before
    assert project.query(ASIDE) == []


def test_a_payment_and_an_invoice_with_an_unusable_field_are_set_aside(project: Project) -> None:
    payment = project.truth("invoice_payments")[0]
    invoice = next(
        each for each in project.truth("invoices") if each["id"] != payment["invoice_id"]
    )
    spoil(project, payment["id"], "amount", "NaN", f"/invoices/{payment['invoice_id']}/payments")
    spoil(project, invoice["id"], "subject", '"\\ud800"', "/invoices")
    result = project.materialize("invoice_payments", "invoices", window=project.everything())
    assert result.success
    assert project.query("SELECT record, id, parent_id, field FROM _rejected ORDER BY record") == [
        ("invoice_payments", payment["id"], payment["invoice_id"], "amount"),
        ("invoices", invoice["id"], None, "subject"),
    ]
    ((kept,),) = project.query("SELECT bytes FROM _rejected WHERE record = 'invoice_payments'")
    assert kept.startswith(f'{{"invoice_id":{payment["invoice_id"]},'.encode())
    assert b'"amount":NaN' in kept
    assert project.query("SELECT count(*) FROM invoices") == [(len(project.truth("invoices")) - 1,)]
