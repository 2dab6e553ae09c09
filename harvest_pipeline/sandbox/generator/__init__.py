"""Generates a realistic consultancy from a seed and a day.

The same seed, day and scale give the same account to the last byte.
"""

from datetime import date, datetime, timedelta
from random import Random

from harvest_pipeline.sandbox.generator import names
from harvest_pipeline.sandbox.generator.estimates import add_estimates
from harvest_pipeline.sandbox.generator.invoices import add_invoice_item_categories, add_invoices
from harvest_pipeline.sandbox.generator.payments import settle_invoices
from harvest_pipeline.sandbox.generator.people import add_clients, add_people, add_rates
from harvest_pipeline.sandbox.generator.plan import Span
from harvest_pipeline.sandbox.generator.projects import (
    add_projects,
    add_tasks,
    assign_people,
    assign_tasks,
)
from harvest_pipeline.sandbox.generator.work import (
    add_expense_categories,
    add_expenses,
    add_time_entries,
)
from harvest_pipeline.sandbox.model import Company
from harvest_pipeline.sandbox.records import Records


def generate(seed: int, now: datetime, years: float, scale: float, number: int = 0) -> Records:
    """The records of the `number`-th account, up to `now`.

    `years` is the length of the history; `scale` multiplies people, clients and projects, and with
    them everything else. Raises ValueError for a history shorter than a month or a scale of 0.
    """
    if years < 1 / 12 or scale <= 0:
        raise ValueError(f"a sandbox of {years} years at scale {scale} would be empty")
    span = Span(first_day(now, years), now)

    def chance(chapter: str) -> Random:
        return Random(f"{seed}/{number}/{chapter}")

    records = Records(_company(number))
    people = add_people(records, span, scale, chance("people"))
    customers = add_clients(records, span, scale, chance("clients"))
    add_tasks(records, span, chance("tasks"))
    engagements = add_projects(records, span, customers, chance("projects"))
    assign_tasks(records, engagements, chance("task assignments"))
    assign_people(records, engagements, people, chance("user assignments"))
    add_time_entries(records, span, engagements, people, chance("time"))
    add_expense_categories(records, span, chance("expense categories"))
    add_expenses(records, span, engagements, people, chance("expenses"))
    add_invoice_item_categories(records, span, chance("item categories"))
    invoices = add_invoices(records, span, customers, engagements, chance("invoices"))
    settle_invoices(records, span, invoices, chance("payments"))
    add_rates(records, span, people, chance("rates"))
    add_estimates(records, span, invoices, chance("estimates"))
    return records


def first_day(now: datetime, years: float) -> date:
    """The first day of a history of that many years up to `now`."""
    return (now - timedelta(days=round(years * 365.25))).date()


def _company(number: int) -> Company:
    """The account itself; the second one enters durations instead of start and end times."""
    name, instance = names.COMPANIES[number % len(names.COMPANIES)]
    return Company(
        base_uri=f"https://{instance}.harvestapp.com",
        full_domain=f"{instance}.harvestapp.com",
        name=name,
        wants_timestamp_timers=number == 0,
        currency=names.HOME_CURRENCY,
    )
