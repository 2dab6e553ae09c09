"""The record `time_entries`: who worked when, on what, for how long.

Belongs here: its endpoint and columns (endpoints/time_entries.md). Nothing else.
"""

from harvest_pipeline.catalogue.columns import (
    BOOLEAN,
    DAY,
    DECIMAL,
    INSTANT,
    RATE,
    TEXT,
    Paging,
    Record,
)
from harvest_pipeline.catalogue.embedded import (
    TASK_ASSIGNMENT,
    USER_ASSIGNMENT,
    client,
    column,
    invoice,
    project,
    record_id,
    task,
    times,
    user,
    within,
)

TIME_ENTRIES = Record(
    name="time_entries",
    title="Time entries",
    description="One row per time entry: a person's hours on a task of a project on one day.",
    endpoint="/time_entries",
    envelope="time_entries",
    paging=Paging.PAGE,
    day="spent_date",
    filters=(
        "user_id",
        "client_id",
        "project_id",
        "task_id",
        "external_reference_id",
        "is_billed",
        "is_running",
        "approval_status",
        "updated_since",
        "from",
        "to",
    ),
    measure="hours",
    measure_unit="hours",
    documentation=("https://help.getharvest.com/api-v2/timesheets-api/timesheets/time-entries/"),
    permission=(
        "an administrator sees all; a manager own, teammates' and managed projects'; a member own"
    ),
    columns=(
        record_id("the time entry"),
        column("spent_date", DAY, "The day that the time was worked, as entered."),
        column("hours", DECIMAL, "Hours worked, before rounding."),
        column(
            "hours_without_timer",
            DECIMAL,
            "Hours before the running timer was last started.",
            optional=True,
        ),
        column(
            "rounded_hours",
            DECIMAL,
            "Hours after the account's rounding rule; what reports and invoices use.",
            optional=True,
        ),
        column("notes", TEXT, "What was done, as the person wrote it.", nullable=True),
        column("is_locked", BOOLEAN, "Whether the entry can no longer be changed."),
        column("locked_reason", TEXT, "Why the entry is locked.", nullable=True),
        column(
            "is_closed", BOOLEAN, "Whether the entry is approved (Harvest prefers approval_status)."
        ),
        column(
            "approval_status",
            TEXT,
            "Approval: unsubmitted, submitted or approved.",
            optional=True,
        ),
        column("is_billed", BOOLEAN, "Whether the entry is marked as invoiced."),
        column(
            "timer_started_at",
            INSTANT,
            "When the running timer was started, in UTC.",
            nullable=True,
        ),
        column("started_time", TEXT, "Time of day that the work began, as shown.", nullable=True),
        column("ended_time", TEXT, "Time of day that the work ended, as shown.", nullable=True),
        column("is_running", BOOLEAN, "Whether a timer runs on the entry right now."),
        column("billable", BOOLEAN, "Whether the hours can be billed to the client."),
        column("budgeted", BOOLEAN, "Whether the hours count towards the project's budget."),
        column(
            "billable_rate",
            RATE,
            "What one hour is billed at, in the client's currency; empty if not billable.",
            nullable=True,
        ),
        column("cost_rate", RATE, "What one hour of the person costs the company.", nullable=True),
        *times("the time entry"),
        *user("the person who did the work"),
        *client("the client whose project it is", currency_optional=True, through="project_id"),
        *project("the project worked on", code_optional=True),
        *task("the task worked on"),
        *USER_ASSIGNMENT,
        *TASK_ASSIGNMENT,
        *invoice("the time entry"),
        *within(
            "external_reference",
            (
                column("id", TEXT, "Id of the linked item in another system.", nullable=True),
                column("group_id", TEXT, "Group of the linked item, e.g. a board.", nullable=True),
                column(
                    "account_id",
                    TEXT,
                    "Account of the linked item in the other system.",
                    nullable=True,
                    optional=True,
                ),
                column("permalink", TEXT, "Address of the linked item.", nullable=True),
                column("service", TEXT, "The other system, by its host name.", nullable=True),
                column("service_icon_url", TEXT, "Icon of the other system.", nullable=True),
            ),
            nullable=True,
        ),
    ),
)
