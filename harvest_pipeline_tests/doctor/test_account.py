"""What the doctor says of an account: who reads it, what may be read, and what went wrong."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from harvest_pipeline.accounts.store import AccountStore
from harvest_pipeline.accounts.stored import Secrets, StoredAccount
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline.sandbox.oauth import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN
from harvest_pipeline_tests.doctor.conftest import Patient
from harvest_pipeline_tests.sandbox.faults import AnswerWith
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.sandbox.truth import truth
from harvest_pipeline_tests.waiting import soon

ENDPOINTS = [record.endpoint for record in RECORDS.values() if record.endpoint]


def connected(patient: Patient, name: str, **changes: object) -> StoredAccount:
    """An account as `harvest-pipeline connect` stores it, by OAuth 2."""
    given: dict[str, object] = {
        "name": name,
        "kind": "oauth2",
        "api_url": patient.sandbox.api_url,
        "id_url": patient.sandbox.id_url,
        "account_id": str(patient.sandbox.account_id),
        "account_name": "Fernhill",
        "instance": "fernhill",
        "user_name": "Ada Okafor",
        "role": "administrator",
        "connected_at": datetime(2026, 11, 1, tzinfo=UTC),
        "vault": "file",
    }
    account = StoredAccount(**{**given, **changes})  # type: ignore[arg-type]
    AccountStore.from_environment({"HARVEST_TOKEN_STORE": str(patient.folder / "accounts")}).save(
        account,
        Secrets(client_id=CLIENT_ID, client_secret=CLIENT_SECRET, refresh_token=REFRESH_TOKEN),
    )
    return account


def test_an_administrators_account_is_described_and_every_endpoint_may_be_read(
    patient: Patient,
) -> None:
    found = patient.examined()
    assert found.wrong() == []
    account, person = found.about("account"), found.about("person")
    assert str(patient.sandbox.account_id) in account.text
    assert patient.sandbox.account.name in account.text
    assert f"{patient.sandbox.instance}.harvestapp.com" in account.text
    assert person.text.endswith(", administrator")
    endpoints = found.of("endpoints")
    assert [finding.subject for finding in endpoints] == ["/company", *ENDPOINTS]
    assert {finding.state for finding in endpoints} == {"ok"}
    for record in ("time_entries", "invoices", "clients", "users"):
        there = len(truth(patient.sandbox.account.records, record))
        finding = found.about(RECORDS[record].endpoint or "")
        assert finding.text == f"may be read; records: {there:,}"


def test_there_is_one_request_for_each_endpoint_and_two_for_person_and_company(
    patient: Patient,
) -> None:
    found = patient.examined()
    asked = patient.paths()
    assert len(asked) == len(ENDPOINTS) + 2
    assert len(set(asked)) == len(asked)
    assert found.about("requests made").text == f"{len(asked)} by this check"
    assert found.about("requests left").text.startswith(f"{100 - len(asked)} of 100 in 15 seconds")
    queries = {
        request.query
        for request in patient.sandbox.account.request_log.requests
        if request.path not in ("/v2/users/me", "/v2/company")
    }
    assert queries == {"per_page=1"}


def test_offline_nothing_is_asked(patient: Patient) -> None:
    found = patient.examined(offline=True)
    assert patient.paths() == []
    assert found.about("credentials").text == "HARVEST_ACCESS_TOKEN (environment)"
    assert found.about("Harvest").text == "was not asked"
    assert found.of("endpoints") == []
    assert found.wrong() == []


@pytest.mark.parametrize("role", ["manager", "member"])
def test_what_is_not_shown_to_others_is_named_with_its_reports(patient: Patient, role: str) -> None:
    patient.set(HARVEST_ACCESS_TOKEN=patient.sandbox.tokens[role])
    found = patient.examined()
    assert found.wrong() == []
    narrowed = found.about("role")
    assert narrowed.state == "warning"
    assert f"shows a {role} only" in narrowed.text
    log = {r.path: r.status for r in patient.sandbox.account.request_log.requests}
    refused = {path.removeprefix("/v2") for path, status in log.items() if status == 403}
    assert {"/clients", "/expense_categories", "/company"} <= refused
    shown = {path for path, status in log.items() if status == 200}
    assert "/v2/time_entries" in shown
    for record in RECORDS.values():
        if record.endpoint is None:
            continue
        finding = found.about(record.endpoint)
        failing = record.endpoint in refused or record.parent == "invoices"
        assert finding.state == ("warning" if failing else "ok"), finding
        if failing:
            reports = [r.name for r in REPORTS.values() if r.record == record.name]
            assert all(report in finding.text for report in reports)
            assert record.permission in (finding.remedy or "")
    assert not [path for path in log if path.startswith("/v2/invoices/")]


def test_a_wrong_token_is_one_finding_and_nothing_more_is_asked(patient: Patient) -> None:
    patient.set(HARVEST_ACCESS_TOKEN="canary-4711-wrong")
    found = patient.examined()
    assert found.wrong() == ["token"]
    token = found.about("token")
    assert "HARVEST_ACCESS_TOKEN" in token.text
    assert token.remedy == "Make a new one at https://id.getharvest.com/developers."
    assert patient.paths() == ["/v2/users/me"]
    assert found.of("endpoints") == []


def test_an_account_that_the_token_does_not_reach_is_told_with_those_that_it_does(
    patient: Patient,
) -> None:
    patient.set(HARVEST_ACCOUNT_ID="99")
    found = patient.examined()
    assert found.wrong() == ["account"]
    assert "does not reach the account 99" in found.about("account").text
    assert str(patient.sandbox.account_id) in found.about("account").text


def test_no_credentials_are_told_without_asking(patient: Patient) -> None:
    patient.set(HARVEST_ACCESS_TOKEN=None)
    found = patient.examined()
    assert found.wrong() == ["credentials"]
    assert "harvest-pipeline connect" in (found.about("credentials").remedy or "")
    assert patient.paths() == []


def test_half_an_application_is_told_by_what_is_missing(patient: Patient) -> None:
    patient.set(HARVEST_ACCESS_TOKEN=None, HARVEST_CLIENT_ID="x", HARVEST_REFRESH_TOKEN="y")
    found = patient.examined()
    assert found.wrong() == ["token"]
    assert found.about("token").text.startswith("HARVEST_CLIENT_SECRET is not set")


def test_an_account_id_that_is_no_number_is_not_shown_for_it_may_be_a_token(
    patient: Patient,
) -> None:
    patient.set(HARVEST_ACCOUNT_ID="canary-4711-in-the-wrong-line")
    found = patient.examined()
    assert set(found.wrong()) == {"HARVEST_ACCOUNT_ID", "account"}
    assert "canary" not in str(found)


def test_a_stored_account_is_read_and_the_end_of_its_token_told(patient: Patient) -> None:
    connected(patient, "harvest")
    patient.set(HARVEST_ACCESS_TOKEN=None, HARVEST_ACCOUNT_ID=None)
    found = patient.examined()
    assert found.wrong() == []
    credentials = found.about("credentials")
    assert "the stored account harvest" in credentials.text
    assert str(patient.folder / "accounts") in credentials.text
    assert "2026-11-01" in credentials.text
    assert "UTC, and is renewed by itself" in found.about("token").text
    assert patient.paths().count("/api/v2/oauth2/token") == 1


def test_variables_win_over_a_stored_account_and_that_is_said(patient: Patient) -> None:
    connected(patient, "harvest")
    text = patient.examined(offline=True).about("credentials").text
    assert text.startswith("HARVEST_ACCESS_TOKEN (environment)")
    assert "stored account of that name is not used" in text


def test_an_application_by_itself_does_not_win_over_a_stored_account(patient: Patient) -> None:
    """It is what an account is connected with, so it may stay in `.env` afterwards."""
    connected(patient, "harvest")
    patient.set(
        HARVEST_ACCESS_TOKEN=None,
        HARVEST_CLIENT_ID=CLIENT_ID,
        HARVEST_CLIENT_SECRET=CLIENT_SECRET,
    )
    found = patient.examined()
    assert found.wrong() == []
    assert found.about("credentials").text.startswith("the stored account harvest")


def test_a_store_that_others_can_read_is_told(patient: Patient) -> None:
    connected(patient, "harvest")
    (patient.folder / "accounts").chmod(0o755)
    patient.set(HARVEST_ACCESS_TOKEN=None)
    found = patient.examined()
    assert "stored account" in found.wrong()
    assert "is open to other users" in found.about("stored account").text


def test_a_module_that_is_switched_off_is_in_order_and_not_asked(patient: Patient) -> None:
    patient.sandbox.account.change_company(expense_feature=False)
    found = patient.examined()
    for endpoint in ("/expenses", "/expense_categories"):
        assert found.about(endpoint).state == "ok"
        assert "switched off" in found.about(endpoint).text
    assert "/v2/expenses" not in patient.paths()
    assert "/v2/invoices" in patient.paths()


def test_without_an_invoice_its_children_are_not_tried(patient: Patient) -> None:
    account = patient.sandbox.account
    for invoice in truth(account.records, "invoices"):
        account.delete("invoices", invoice["id"])
    finding = patient.examined().about("/invoices/{invoice_id}/payments")
    assert finding.state == "ok"
    assert finding.text == "not tried: there are no invoices to try it with"


def test_an_endpoint_that_fails_is_told_and_the_others_are_tried(patient: Patient) -> None:
    patient.sandbox.account.faults.add(AnswerWith(status=500, path="/tasks", times=None))
    found = patient.examined()
    assert found.wrong() == ["/tasks"]
    assert "status 500" in found.about("/tasks").text
    assert "Try again later" in (found.about("/tasks").remedy or "")
    assert found.about("/task_assignments").state == "ok"


def test_after_two_endpoints_without_an_answer_the_others_are_not_tried(patient: Patient) -> None:
    for path in ("/time_entries", "/expenses"):
        patient.sandbox.account.faults.add(AnswerWith(status=503, path=path, times=None))
    found = patient.examined()
    assert found.wrong() == ["/time_entries", "/expenses", "other endpoints"]
    assert "/v2/invoices" not in patient.paths()


def test_a_long_pause_that_harvest_asks_for_is_told_and_not_waited_for(patient: Patient) -> None:
    patient.sandbox.account.faults.add(
        AnswerWith(status=429, headers={"Retry-After": "600"}, path="/expenses")
    )
    with soon():
        found = patient.examined()
    assert found.about("/expenses").state == "warning"
    assert "600 seconds" in found.about("/expenses").text
    assert found.about("pause").state == "warning"
    assert "/v2/invoices" not in patient.paths()
    again = patient.examined()  # the pause still holds, for the doctor as for all others
    assert again.about("token").state == "warning"
    assert patient.paths()[-1] == "/v2/expenses"


class TestSeveralAccounts:
    @pytest.fixture
    def sandbox(self) -> Iterator[SandboxServer]:
        with SandboxServer(years=0.1, scale=0.3, accounts=3, rate_limit=None) as server:
            yield server

    def test_a_token_that_reaches_several_needs_one_named(self, patient: Patient) -> None:
        patient.set(HARVEST_ACCOUNT_ID=None)
        found = patient.examined()
        assert found.wrong() == ["account"]
        finding = found.about("account")
        for account in patient.sandbox.accounts:
            assert str(account.id) in finding.text
        assert "HARVEST_ACCOUNT_ID" in (finding.remedy or "")

    def test_each_account_of_the_file_is_looked_at_and_a_broken_one_stops_no_other(
        self, patient: Patient
    ) -> None:
        first, second, third = (account.id for account in patient.sandbox.accounts)
        patient.name_accounts(
            f"accounts:\n  - {{name: acme, account_id: {first}}}\n"
            f"  - {{name: blue_sky, account_id: {second}}}\n"
            f"  - {{name: cedar, account_id: {third}}}\n"
        )
        patient.set(HARVEST_BLUE_SKY_ACCESS_TOKEN="canary-4711-revoked")
        found = patient.examined()
        assert found.wrong() == ["token"]
        assert found.about("token", "blue_sky").state == "wrong"
        assert "HARVEST_BLUE_SKY_ACCESS_TOKEN" in found.about("token", "blue_sky").text
        assert found.of("endpoints", "blue_sky") == []
        for name, key in (("acme", first), ("cedar", third)):
            assert str(key) in found.about("account", name).text
            assert len(found.of("endpoints", name)) == len(ENDPOINTS) + 1
            assert found.about("requests left", name).state == "ok"
