"""Tells the whole story of an account, in the order in which things depend on each other.

Belongs here: the order of the chapters, and the company itself. Does not belong here: a chapter.
"""

from datetime import date, datetime, timedelta
from random import Random

from harvest_pipeline.sandbox.generator import names
from harvest_pipeline.sandbox.generator.assignments import add_tasks, assign_people, assign_tasks
from harvest_pipeline.sandbox.generator.clients import add_clients
from harvest_pipeline.sandbox.generator.expenses import add_expense_categories, add_expenses
from harvest_pipeline.sandbox.generator.invoices import add_invoice_item_categories, add_invoices
from harvest_pipeline.sandbox.generator.payments import settle_invoices
from harvest_pipeline.sandbox.generator.people import add_people
from harvest_pipeline.sandbox.generator.plan import Span
from harvest_pipeline.sandbox.generator.projects import add_projects
from harvest_pipeline.sandbox.generator.timesheets import add_time_entries
from harvest_pipeline.sandbox.model import Company
from harvest_pipeline.sandbox.records import Records


def generate(seed: int, now: datetime, years: float, scale: float, number: int = 0) -> Records:
    """The records of the `number`-th account, up to `now`.

    `years` is the length of the story; `scale` multiplies people, clients and projects, and with
    them everything else. Raises ValueError for a story shorter than a month or a scale of nothing.
    """
    if years < 1 / 12 or scale <= 0:
        raise ValueError(f"a sandbox of {years} years at scale {scale} would be empty")
    span = Span(first_day(now, years), now)

    def chapter(name: str) -> Random:
        return Random(f"{seed}/{number}/{name}")

    records = Records(_company(number))
    people = add_people(records, span, scale, chapter("people"))
    customers = add_clients(records, span, scale, chapter("clients"))
    add_tasks(records, span, chapter("tasks"))
    engagements = add_projects(records, span, customers, chapter("projects"))
    assign_tasks(records, engagements, chapter("task assignments"))
    assign_people(records, engagements, people, chapter("user assignments"))
    add_time_entries(records, span, engagements, people, chapter("time"))
    add_expense_categories(records, span, chapter("expense categories"))
    add_expenses(records, span, engagements, people, chapter("expenses"))
    add_invoice_item_categories(records, span, chapter("item categories"))
    invoices = add_invoices(records, span, customers, engagements, chapter("invoices"))
    settle_invoices(records, span, invoices, chapter("payments"))
    return records


def first_day(now: datetime, years: float) -> date:
    """The day on which a story of so many years up to `now` begins."""
    return (now - timedelta(days=round(years * 365.25))).date()


def _company(number: int) -> Company:
    """The account itself; the second one enters durations instead of start and end times."""
    name, instance = names.COMPANIES[number % len(names.COMPANIES)]
    return Company(
        base_uri=f"https://{instance}.harvestapp.com",
        full_domain=f"{instance}.harvestapp.com",
        name=name,
        is_active=True,
        week_start_day="Monday",
        wants_timestamp_timers=number == 0,
        time_format="decimal",
        date_format="%d.%m.%Y",
        plan_type="simple-v4",
        expense_feature=True,
        invoice_feature=True,
        estimate_feature=False,
        team_feature=True,
        weekly_capacity=144000,
        approval_feature=True,
        clock="12h",
        currency=names.HOME_CURRENCY,
        currency_code_display="iso_code_after",
        currency_symbol_display="symbol_none",
        decimal_symbol=",",
        thousands_separator=".",
        color_scheme="orange",
    )
