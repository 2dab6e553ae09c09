"""What changes of a live account bring with them, seen over the API."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.sandbox.truth import truth
from harvest_pipeline_tests.sandbox.visitor import TODAY, Visitor, plain


def test_a_moved_entry_is_found_on_its_new_day_only(
    own_sandbox: SandboxServer, visitor: Visitor
) -> None:
    account = own_sandbox.account
    entry = account.records.time_entries.ascending()[100]
    old, new = entry.spent_date, entry.spent_date - timedelta(days=9)
    before = visitor.read("/time_entries", from_=old, to=old)["total_entries"]
    account.clock.advance(3600)
    account.change("time_entries", entry.id, spent_date=new, hours=3.3)
    assert visitor.read("/time_entries", from_=old, to=old)["total_entries"] == before - 1
    moved = [r for r in visitor.all("/time_entries", from_=new, to=new) if r["id"] == entry.id]
    assert (moved[0]["hours"], moved[0]["rounded_hours"]) == (Decimal("3.3"), Decimal("3.5"))
    since = visitor.all("/time_entries", updated_since=account.clock.now() - timedelta(minutes=5))
    assert [record["id"] for record in since] == [entry.id]


def test_a_new_name_shows_in_copies_whose_updated_at_stays(
    own_sandbox: SandboxServer, visitor: Visitor
) -> None:
    account = own_sandbox.account
    client = account.records.clients.ascending()[1]
    before = {e["id"]: e["updated_at"] for e in visitor.all("/time_entries", client_id=client.id)}
    account.clock.advance(60)
    account.change("clients", client.id, name="Renamed & Söhne")
    for path in ("/time_entries", "/projects", "/contacts", "/invoices", "/expenses"):
        records = visitor.all(path, client_id=client.id)
        assert {record["client"]["name"] for record in records} == {"Renamed & Söhne"}
    after = {e["id"]: e["updated_at"] for e in visitor.all("/time_entries", client_id=client.id)}
    assert after == before
    moved = visitor.read(f"/clients/{client.id}")["updated_at"]
    assert moved == account.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    for kind, name, shown in (
        ("users", "last_name", "user"), ("projects", "name", "project"), ("tasks", "name", "task"),
    ):  # fmt: skip
        record = account.records.table(kind).ascending()[0]
        account.change(kind, record.id, **{name: "New"})
        entries = visitor.all("/time_entries", **{f"{shown}_id": record.id})
        assert {entry[shown]["name"] for entry in entries} == {record.name}


def test_an_entry_can_move_to_another_project(own_sandbox: SandboxServer) -> None:
    account = own_sandbox.account
    records = account.records
    entry = records.time_entries.ascending()[0]
    other = next(
        a
        for a in records.user_assignments
        if a.user.id == entry.user.id and a.project.id != entry.project.id
    )
    task = next(a for a in records.task_assignments if a.project.id == other.project.id)
    account.change("time_entries", entry.id, project_id=other.project.id, task_id=task.task.id)
    project = records.projects.get(other.project.id)
    assert project is not None
    assert entry.project.id == project.id
    assert entry.client.id == project.client.id
    assert entry.user_assignment.id == other.id
    assert entry.task_assignment.id == task.id
    assert entry.billable == task.billable


def test_a_deleted_project_takes_its_time_but_not_its_invoices(
    own_sandbox: SandboxServer, visitor: Visitor
) -> None:
    records = own_sandbox.account.records
    key = next(
        line["project"]["id"]
        for line in truth(records, "invoice_line_items")
        if line["project"] is not None
    )
    account = own_sandbox.account
    entry = next(e for e in records.time_entries if e.invoice and e.project.id != key)
    account.clock.advance(60)
    account.delete("invoices", entry.invoice.id)
    # what was on a deleted invoice can be billed again
    assert (entry.is_billed, entry.invoice, entry.is_locked) == (False, None, entry.is_closed)
    assert entry.updated_at == account.clock.now()
    invoices = visitor.all("/invoices")
    account.delete("projects", key)
    for path in ("/time_entries", "/expenses"):
        assert visitor.all(path, project_id=key) == []
    assert all(a["project"]["id"] != key for a in visitor.all("/task_assignments"))
    assert visitor.all("/invoices") == invoices


def test_a_payment_moves_the_invoice_in_the_same_second(
    own_sandbox: SandboxServer, visitor: Visitor
) -> None:
    account = own_sandbox.account
    invoice = next(i for i in account.records.invoices if i.state == "open")
    account.clock.advance(90)
    half = account.add_payment(invoice.id, invoice.due_amount / 2)
    shown = visitor.read(f"/invoices/{invoice.id}")
    assert shown["state"] == "open"
    assert shown["due_amount"] == invoice.amount - sum(
        p.amount for p in account.records.payments[invoice.id]
    )
    assert invoice.updated_at == half.created_at == account.clock.now()
    rest = account.add_payment(invoice.id, invoice.due_amount, TODAY - timedelta(days=2))
    shown = visitor.read(f"/invoices/{invoice.id}")
    assert (shown["state"], shown["due_amount"]) == ("paid", 0)
    assert shown["paid_date"] == max(half.paid_date, rest.paid_date).isoformat()
    newest = visitor.all(f"/invoices/{invoice.id}/payments")[0]
    assert newest["id"] == rest.id > half.id
    account.delete_payment(invoice.id, half.id)
    shown = visitor.read(f"/invoices/{invoice.id}")
    assert (shown["state"], shown["paid_at"]) == ("open", None)


def test_only_a_message_that_sends_moves_the_invoice(own_sandbox: SandboxServer) -> None:
    account = own_sandbox.account
    draft = next(i for i in account.records.invoices if i.state == "draft")
    account.clock.advance(60)
    sent = account.add_message(draft.id)
    assert (draft.state, draft.sent_at, draft.updated_at) == ("open", *[sent.created_at] * 2)
    account.clock.advance(60)
    reminder = account.add_message(draft.id, reminder=True)
    assert reminder.id > sent.id
    assert draft.updated_at == sent.created_at


def test_created_records_are_new_and_deleted_ones_leave_no_trace(
    own_sandbox: SandboxServer, visitor: Visitor
) -> None:
    account = own_sandbox.account
    billed = next(e for e in account.records.time_entries if e.is_billed)
    new = account.create("time_entries", like=billed.id, spent_date=TODAY, hours="1.25", notes="é")
    first = visitor.read("/time_entries", from_=TODAY)["time_entries"][0]
    assert first == plain([new])[0]
    assert (first["is_billed"], first["invoice"], first["is_locked"]) == (False, None, False)
    assert first["rounded_hours"] == Decimal("1.25")
    client = account.create("clients", name="Newcomer", currency="SEK")
    contact = account.create("contacts", client_id=client.id, first_name="Zoë")
    assert visitor.all("/clients")[0]["name"] == "Newcomer"
    shown = visitor.all("/contacts", client_id=client.id)
    assert [row["id"] for row in shown] == [contact.id]
    account.delete("time_entries", new.id)
    assert visitor.get(f"/time_entries/{new.id}").status_code == 404
    with pytest.raises(KeyError, match=f"no time_entries with the id {new.id}"):
        account.delete("time_entries", new.id)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"colour": "blue"}, "no field colour"),
        ({"hours": "many"}, "hours"),
        ({"spent_date": "yesterday"}, "spent_date"),
        ({"project_id": 1}, "not assigned to project 1"),
        ({"client_id": 1}, "no field client_id"),
        ({"is_billed": 1}, "is_billed"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(
    fields: dict[str, Any], message: str, own_sandbox: SandboxServer
) -> None:
    entry = own_sandbox.account.records.time_entries.ascending()[0]
    before = plain([entry])
    with pytest.raises(ValueError, match=message):
        own_sandbox.account.change("time_entries", entry.id, **fields)
    assert plain([entry]) == before
