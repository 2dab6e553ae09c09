"""The records `expenses` and `expense_categories`: what was spent, and on what kind of thing.

Belongs here: their endpoints and columns (endpoints/expenses.md, expense_categories.md).
"""

from harvest_pipeline.catalogue.columns import (
    BOOLEAN,
    DAY,
    DECIMAL,
    INTEGER,
    RATE,
    TEXT,
    Paging,
    Record,
)
from harvest_pipeline.catalogue.embedded import (
    USER_ASSIGNMENT,
    client,
    column,
    invoice,
    project,
    record_id,
    reference,
    times,
    user,
    within,
)

EXPENSES = Record(
    name="expenses",
    title="Expenses",
    description="One row per expense: money a person spent for a project on one day.",
    endpoint="/expenses",
    envelope="expenses",
    paging=Paging.PAGE,
    day="spent_date",
    filters=(
        "user_id",
        "client_id",
        "project_id",
        "is_billed",
        "approval_status",
        "updated_since",
        "from",
        "to",
    ),
    module="expense_feature",
    measure="total_cost",
    measure_unit="client_currency",
    documentation="https://help.getharvest.com/api-v2/expenses-api/expenses/expenses/",
    permission=(
        "an administrator sees all; a manager teammates' and managed projects'; a member own"
    ),
    columns=(
        record_id("the expense"),
        column("spent_date", DAY, "The day that the money was spent, as entered."),
        column("notes", TEXT, "What it was for, as the person wrote it.", nullable=True),
        column("total_cost", DECIMAL, "Amount of the expense, in the client's currency."),
        column("units", DECIMAL, "Number of units (e.g. miles) where the category has a price."),
        column("billable", BOOLEAN, "Whether the expense can be billed to the client."),
        *within(
            "receipt",
            (
                column("url", TEXT, "Page of the receipt in Harvest.", nullable=True),
                column("file_name", TEXT, "File name of the receipt.", nullable=True),
                column("file_size", INTEGER, "Size of the receipt, in bytes.", nullable=True),
                column("content_type", TEXT, "Kind of file of the receipt.", nullable=True),
            ),
            nullable=True,
        ),
        column(
            "is_closed",
            BOOLEAN,
            "Whether the expense is approved (Harvest prefers approval_status).",
        ),
        column(
            "approval_status",
            TEXT,
            "Approval: unsubmitted, submitted or approved.",
            optional=True,
        ),
        column("is_locked", BOOLEAN, "Whether the expense can no longer be changed."),
        column("is_billed", BOOLEAN, "Whether the expense is marked as invoiced."),
        column("locked_reason", TEXT, "Why the expense is locked.", nullable=True),
        *times("the expense"),
        *user("the person who spent the money"),
        *client("the client whose project it is", through="project_id"),
        *project("the project it was spent for"),
        *within(
            "expense_category",
            (
                reference("expense_categories", "the category"),
                column("name", TEXT, "Name of the category.", copy_of=("name",)),
                column(
                    "unit_price",
                    RATE,
                    "Price of one unit, e.g. of a mile.",
                    nullable=True,
                    copy_of=("unit_price",),
                ),
                column(
                    "unit_name",
                    TEXT,
                    "Name of one unit, e.g. mile.",
                    nullable=True,
                    copy_of=("unit_name",),
                ),
            ),
        ),
        *USER_ASSIGNMENT,
        *invoice("the expense"),
    ),
)

EXPENSE_CATEGORIES = Record(
    name="expense_categories",
    title="Expense categories",
    description="One row per kind of expense, such as Travel or Mileage.",
    endpoint="/expense_categories",
    envelope="expense_categories",
    filters=("is_active", "updated_since"),
    module="expense_feature",
    documentation="https://help.getharvest.com/api-v2/expenses-api/expenses/expense-categories/",
    permission="an administrator",
    columns=(
        record_id("the expense category"),
        column("name", TEXT, "Name of the category."),
        column("unit_name", TEXT, "Name of one unit, e.g. mile.", nullable=True),
        column("unit_price", RATE, "Price of one unit, e.g. 0.575 a mile.", nullable=True),
        column("is_active", BOOLEAN, "False: archived."),
        *times("the category"),
    ),
)
