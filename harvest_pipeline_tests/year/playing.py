"""People at work: how a line of the script is played in the sandbox, and what happens anyway."""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from harvest_pipeline.sandbox.billing import due_on, settle
from harvest_pipeline_tests.sandbox.account import Account
from harvest_pipeline_tests.year.story import STORY, Deed

#: The nights in which a silent change is found: of a message or payment, and of what no report of
#: Harvest's shows.
A_WEEK, A_MONTH = 7, 30


class Script:
    """The story in the making.

    `accounts` are the accounts by name, `called` the ids of what was called something; `silent` is
    what was changed without a trace: the day, and in how many nights it is to be found.
    """

    def __init__(self, accounts: Mapping[str, Account]) -> None:
        self.accounts = accounts
        self.called: dict[str, int] = {}
        self.silent: dict[tuple[str, str], tuple[date, int]] = {}

    def play(self, today: date) -> None:
        """A day of both accounts."""
        for account in self.accounts.values():
            with account.lock:
                _routine(account, today)
        for deed in STORY.get(today, ()):
            with self.accounts[deed.account].lock:
                self._do(deed, self.accounts[deed.account], today)

    def _do(self, deed: Deed, account: Account, today: date) -> None:
        record, fields = self._record(deed, account), dict(deed.fields)
        self.called[deed.called] = record.id
        if deed.back is not None:
            fields["spent_date"] = today - timedelta(days=deed.back)
        match deed.verb:
            case "create":
                made = account.create(deed.kind, like=record.id, **fields)
                self.called[deed.called] = made.id
            case "edit" | "move" | "rename":
                account.change(deed.kind, record.id, **fields)
            case "restate":  # seen by Harvest's reports, so in the very next night
                for entry in account.records.time_entries.ascending()[deed.which :]:
                    account.change(deed.kind, entry.id, touch=False, rounded_hours=entry.hours + 1)
            case "cost":
                account.change(deed.kind, record.id, touch=False, **fields)
                self.silent[deed.account, f"{deed.kind} {record.id}"] = today, A_MONTH
            case "hand over":
                others = [each.id for each in account.records.clients.ascending()]
                others.remove(record.client.id)
                account.change(deed.kind, record.id, client_id=others[0])
            case "archive":
                account.change(deed.kind, record.id, is_active=False)
            case "give away":
                account.change(deed.kind, record.id, **_somebody(account, 7))
            case "delete":
                account.delete(deed.kind, record.id)
            case _:
                moved = record.updated_at
                if child := _invoiced(deed.verb, account, record, fields):
                    assert record.updated_at == moved
                    self.silent[deed.account, child] = today, A_WEEK

    def _record(self, deed: Deed, account: Account) -> Any:
        if isinstance(deed.which, str):
            return account.records.table(deed.kind).get(self.called[deed.which])
        return account.records.table(deed.kind).ascending()[deed.which]


def _invoiced(verb: str, account: Account, invoice: Any, fields: dict[str, Any]) -> str | None:
    """What is done to the messages and payments of an invoice; the one that is done in silence."""
    messages = account.records.messages[invoice.id].ascending()
    payments = account.records.payments[invoice.id].ascending()
    match verb:
        case "pay":
            account.add_payment(invoice.id, invoice.amount * Decimal(fields["share"]))
        case "take back":
            account.delete_payment(invoice.id, payments[-1].id)
        case "change payment":
            account.delete_payment(invoice.id, payments[-1].id)
            account.add_payment(invoice.id, payments[-1].amount + 1)
        case "remind":
            return f"invoice_messages {account.add_message(invoice.id, reminder=True).id}"
        case "delete message":
            account.records.messages[invoice.id].remove(messages[0].id)
            return f"invoice_messages {messages[0].id}"
        case "edit message" | "edit payment":
            child = (messages if verb == "edit message" else payments)[0]
            for name, value in {**fields, "updated_at": account.clock.now()}.items():
                setattr(child, name, value)
            return f"invoice_{verb.split()[1]}s {child.id}"
        case _:
            raise ValueError(verb)
    return None


def _routine(account: Account, today: date) -> None:
    """What happens anyway: time on working days, expenses on Wednesdays, an invoice a month."""
    if today.weekday() < 5:
        for number in range(3):
            _like_the_last(account, "time_entries", today, hours=f"{2 + today.day % 6}.5",
                           **_somebody(account, today.toordinal() + 5 * number))  # fmt: skip
    if today.weekday() == 2:
        place = _somebody(account, today.toordinal())
        del place["task_id"]
        _like_the_last(account, "expenses", today, total_cost=f"{today.day}.10", **place)
    if today.day == 3:
        _issue(account, today)
    if today.day == 6:
        account.add_message(account.records.invoices.ascending()[-1].id)


def _like_the_last(account: Account, kind: str, today: date, **fields: Any) -> None:
    last = account.records.table(kind).ascending()[-1].id
    account.create(kind, like=last, spent_date=today, **fields)


def _somebody(account: Account, number: int) -> dict[str, int]:
    """A person with a project and a task."""
    tasks = {each.project.id: each.task.id for each in account.records.task_assignments.ascending()}
    people = [
        each for each in account.records.user_assignments.ascending() if each.project.id in tasks
    ]
    person = people[number % len(people)]
    return {
        "user_id": person.user.id,
        "project_id": person.project.id,
        "task_id": tasks[person.project.id],
    }


def _issue(account: Account, today: date) -> None:
    """A new invoice with the lines of an old one: Harvest's people make it by hand."""
    invoices, now = account.records.invoices, account.clock.now()
    like = invoices.ascending()[today.month % 3]
    line = max(line.id for each in invoices for line in each.line_items)
    invoice = msgspec.structs.replace(
        like,
        id=invoices.next_id(),
        client_key=f"{invoices.next_id():x}",
        number=f"{today:%Y-%m}",
        state="draft",
        issue_date=today,
        due_date=due_on(today, "net 30"),
        payment_term="net 30",
        sent_at=None,
        paid_at=None,
        paid_date=None,
        closed_at=None,
        created_at=now,
        updated_at=now,
        line_items=[
            msgspec.structs.replace(each, id=line + number)
            for number, each in enumerate(like.line_items, 1)
        ],
    )
    settle(invoice, [])
    account.records.add_invoice(invoice)
