"""All records of Harvest that this project loads, by name."""

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.catalogue.company import COMPANY
from harvest_pipeline.catalogue.estimates import (
    ESTIMATE_ITEM_CATEGORIES,
    ESTIMATE_LINE_ITEMS,
    ESTIMATE_MESSAGES,
    ESTIMATES,
)
from harvest_pipeline.catalogue.expenses import EXPENSE_CATEGORIES, EXPENSES
from harvest_pipeline.catalogue.invoices import (
    INVOICE_ITEM_CATEGORIES,
    INVOICE_LINE_ITEMS,
    INVOICE_MESSAGES,
    INVOICE_PAYMENTS,
    INVOICES,
)
from harvest_pipeline.catalogue.people import (
    BILLABLE_RATES,
    CLIENTS,
    CONTACTS,
    COST_RATES,
    PEOPLE_SNAPSHOTS,
    ROLES,
    TEAMMATES,
    USERS,
)
from harvest_pipeline.catalogue.projects import (
    PROJECT_BUDGETS,
    PROJECTS,
    TASK_ASSIGNMENTS,
    TASKS,
    USER_ASSIGNMENTS,
)
from harvest_pipeline.catalogue.time import TIME_ENTRIES

RECORDS: dict[str, Record] = {
    record.name: record
    for record in (
        TIME_ENTRIES,
        EXPENSES,
        INVOICES,
        INVOICE_LINE_ITEMS,
        INVOICE_MESSAGES,
        INVOICE_PAYMENTS,
        INVOICE_ITEM_CATEGORIES,
        CLIENTS,
        CONTACTS,
        USERS,
        PROJECTS,
        TASKS,
        TASK_ASSIGNMENTS,
        EXPENSE_CATEGORIES,
        ESTIMATES,
        ESTIMATE_LINE_ITEMS,
        ESTIMATE_MESSAGES,
        ESTIMATE_ITEM_CATEGORIES,
        USER_ASSIGNMENTS,
        ROLES,
        BILLABLE_RATES,
        COST_RATES,
        TEAMMATES,
        COMPANY,
        PROJECT_BUDGETS,
        PEOPLE_SNAPSHOTS,
    )
}


def records_inside(record: Record) -> tuple[Record, ...]:
    """The records that are lists inside `record` and are loaded with it."""
    return tuple(inner for inner in RECORDS.values() if inner.inside == record.name)
