"""The reports, by name: which record each shows, and which parameters it can take. The first 18 are
those of the old connectors, the others the rest of what Harvest's API reads.

The facts about Harvest that it relies on are in docs/harvest-api.md.
"""

from harvest_pipeline.catalogue.columns import Record, Report
from harvest_pipeline.catalogue.records import RECORDS

_WINDOW = ("window", "updated_since")
#: Where several reports show one table, each says why.
_OF_TIME = (
    " all_projects_time_entries, all_users_time_entries and daily show the same rows: connectors "
    "name time by project, by person and by day, and Harvest has one list of it, which is read "
    "once, into the table time_entries."
)
_OF_EXPENSES = (
    " all_projects_logged_expenses, all_users_logged_expenses, project_expenses and user_expenses "
    "show the same rows: connectors name expenses by project and by person, and Harvest has one "
    "list of them, which is read once, into the table expenses."
)

REPORTS: dict[str, Report] = {
    report.name: report
    for report in (
        Report(
            "all_projects_time_entries",
            "time_entries",
            "time",
            "Every time entry of every project, by the day worked." + _OF_TIME,
            (*_WINDOW, "project_ids", "user_ids"),
        ),
        Report(
            "all_users_time_entries",
            "time_entries",
            "time",
            "Every time entry of every person, by the day worked." + _OF_TIME,
            (*_WINDOW, "project_ids", "user_ids"),
        ),
        Report(
            "daily",
            "time_entries",
            "time",
            "The time entries of a day, of everybody whom the connected person may see." + _OF_TIME,
            (*_WINDOW, "project_ids", "user_ids"),
        ),
        Report(
            "all_projects_logged_expenses",
            "expenses",
            "expenses",
            "Every expense of every project, by the day spent." + _OF_EXPENSES,
            (*_WINDOW, "project_ids", "user_ids"),
        ),
        Report(
            "all_users_logged_expenses",
            "expenses",
            "expenses",
            "Every expense of every person, by the day spent." + _OF_EXPENSES,
            (*_WINDOW, "project_ids", "user_ids"),
        ),
        Report(
            "project_expenses",
            "expenses",
            "expenses",
            "The expenses of projects, by the day spent; of all projects where none is named."
            + _OF_EXPENSES,
            (*_WINDOW, "project_ids"),
        ),
        Report(
            "user_expenses",
            "expenses",
            "expenses",
            "The expenses of people, by the day spent; of everybody where nobody is named."
            + _OF_EXPENSES,
            (*_WINDOW, "user_ids"),
        ),
        Report(
            "expense_categories",
            "expense_categories",
            "expenses",
            "The kinds of expenses, such as Travel or Mileage.",
            ("updated_since",),
        ),
        Report(
            "invoices",
            "invoices",
            "invoices",
            "Every invoice by its issue date, with what is still due. Its lines are in the table "
            "invoice_line_items.",
            (*_WINDOW, "invoice_status", "project_ids"),
        ),
        Report(
            "invoice_messages",
            "invoice_messages",
            "invoices",
            "The messages about the invoices issued on a day: sendings, reminders, thank-yous.",
            (*_WINDOW, "invoice_status"),
        ),
        Report(
            "invoice_payments",
            "invoice_payments",
            "invoices",
            "The payments of the invoices issued on a day.",
            (*_WINDOW, "invoice_status"),
        ),
        Report(
            "invoice_item_categories",
            "invoice_item_categories",
            "invoices",
            "The kinds of invoice lines, such as Service or Product.",
            ("updated_since",),
        ),
        Report(
            "people",
            "users",
            "people",
            "Everybody of the team, archived people too, with capacity and rates. The rows of the "
            "table users, under the name that connectors have for it.",
            ("updated_since",),
        ),
        Report(
            "clients",
            "clients",
            "people",
            "Every client, archived ones too, with its currency.",
            ("updated_since",),
        ),
        Report(
            "contacts",
            "contacts",
            "people",
            "The contact persons of the clients.",
            ("updated_since",),
        ),
        Report(
            "projects",
            "projects",
            "projects",
            "Every project, archived ones too, with how it is billed and budgeted.",
            ("updated_since",),
        ),
        Report(
            "tasks",
            "tasks",
            "projects",
            "Every task that time can be tracked to.",
            ("updated_since",),
        ),
        Report(
            "assignments",
            "task_assignments",
            "projects",
            "Which task can be used in which project, at which rate. The rows of the table "
            "task_assignments, under the name that connectors have for it; who is assigned to a "
            "project is in user_assignments.",
            ("updated_since", "project_ids"),
        ),
        Report(
            "estimates",
            "estimates",
            "estimates",
            "Every estimate. Its lines are in the table estimate_line_items.",
            ("updated_since",),
        ),
        Report(
            "estimate_messages",
            "estimate_messages",
            "estimates",
            "The messages about estimates: sendings, and what clients decided.",
        ),
        Report(
            "estimate_item_categories",
            "estimate_item_categories",
            "estimates",
            "The kinds of estimate lines, such as Service or Product.",
            ("updated_since",),
        ),
        Report(
            "user_assignments",
            "user_assignments",
            "projects",
            "Who is assigned to which project, at which rate and with which budget. Which tasks a "
            "project has is in assignments.",
            ("updated_since",),
        ),
        Report(
            "project_budgets",
            "project_budgets",
            "projects",
            "How much of each project's budget is spent, by day: each read adds today.",
        ),
        Report(
            "roles",
            "roles",
            "people",
            "The business roles, such as Developer, and who has them.",
        ),
        Report(
            "billable_rates",
            "billable_rates",
            "people",
            "What each person's hours are billed at, with the days on which each rate applies.",
        ),
        Report(
            "cost_rates",
            "cost_rates",
            "people",
            "What each person's hours cost, with the days on which each rate applies.",
        ),
        Report(
            "teammates",
            "teammates",
            "people",
            "Which people are assigned to which manager.",
        ),
        Report(
            "people_snapshots",
            "people_snapshots",
            "people",
            "Capacity, roles and rates of everybody, by day: each read adds today.",
        ),
        Report(
            "company",
            "company",
            "people",
            "The account itself: currency, capacity, first day of the week, modules.",
        ),
    )
}


def record_of(report: Report) -> Record:
    """The record that a report shows."""
    return RECORDS[report.record]


def views_on(record: Record) -> tuple[Report, ...]:
    """The reports that are views on a record's table."""
    return tuple(
        report for report in REPORTS.values() if report.record == record.name and report.is_view
    )
