"""The records about work: projects and their budgets, tasks, who and what is assigned to which."""

from dataclasses import replace

from harvest_pipeline.catalogue.columns import (
    BOOLEAN,
    DAY,
    DECIMAL,
    RATE,
    TEXT,
    TODAY,
    Column,
    Paging,
    Record,
)
from harvest_pipeline.catalogue.embedded import (
    ASSIGNED_PERSON,
    client,
    column,
    project,
    record_id,
    reference,
    row_key,
    task,
    times,
    user,
)

PROJECTS = Record(
    name="projects",
    title="Projects",
    description="One row per project, archived ones too, with how it is billed and budgeted.",
    endpoint="/projects",
    envelope="projects",
    filters=("is_active", "client_id", "updated_since"),
    documentation="https://help.getharvest.com/api-v2/projects-api/projects/projects/",
    permission="an administrator, or a manager with managed projects (who sees only those)",
    columns=(
        record_id("the project"),
        column("name", TEXT, "Name of the project."),
        column("code", TEXT, "Code of the project.", nullable=True),
        column("is_active", BOOLEAN, "False: archived."),
        column("is_billable", BOOLEAN, "Whether the project is billed to the client."),
        column("is_fixed_fee", BOOLEAN, "Whether a fixed fee is billed instead of hours."),
        column("bill_by", TEXT, "Whose rate is billed: Project, Tasks, People or none."),
        column("budget", DECIMAL, "Budget in hours.", nullable=True),
        column(
            "budget_by",
            TEXT,
            "How it is budgeted: project, project_cost, task, task_fees, person or none.",
        ),
        column("budget_is_monthly", BOOLEAN, "Whether the budget starts again every month."),
        column("notify_when_over_budget", BOOLEAN, "Whether managers are notified of the budget."),
        column(
            "over_budget_notification_percentage",
            RATE,
            "Percentage of the budget at which they are notified.",
            nullable=True,
        ),
        column("show_budget_to_all", BOOLEAN, "Whether everybody sees the budget."),
        *times("the project"),
        column("starts_on", DAY, "First day of the project.", nullable=True),
        column("ends_on", DAY, "Last day of the project.", nullable=True),
        column(
            "over_budget_notification_date",
            DAY,
            "The day that managers were notified of the budget.",
            nullable=True,
        ),
        column("notes", TEXT, "Notes on the project.", nullable=True),
        column("cost_budget", DECIMAL, "Budget in money, in the client's currency.", nullable=True),
        column(
            "cost_budget_include_expenses",
            BOOLEAN,
            "Whether expenses count towards the money budget.",
        ),
        column(
            "hourly_rate",
            RATE,
            "Rate an hour where the project's rate is billed.",
            nullable=True,
        ),
        column("fee", DECIMAL, "The fixed fee, in the client's currency.", nullable=True),
        *client("the client of the project"),
    ),
)

TASKS = Record(
    name="tasks",
    title="Tasks",
    description="One row per task that time can be tracked to, archived ones too.",
    endpoint="/tasks",
    envelope="tasks",
    filters=("is_active", "updated_since"),
    documentation="https://help.getharvest.com/api-v2/tasks-api/tasks/tasks/",
    permission="an administrator, or a manager allowed to create and edit tasks",
    columns=(
        record_id("the task"),
        column("name", TEXT, "Name of the task."),
        column("billable_by_default", BOOLEAN, "Whether it is billable in new projects."),
        column("default_hourly_rate", RATE, "Rate an hour in new projects.", nullable=True),
        column("is_default", BOOLEAN, "Whether it is added to every new project."),
        column("is_active", BOOLEAN, "False: archived."),
        *times("the task"),
    ),
)

TASK_ASSIGNMENTS = Record(
    name="task_assignments",
    title="Task assignments",
    description="One row per task that can be used in a project.",
    endpoint="/task_assignments",
    endpoint_of_project="/projects/{project_id}/task_assignments",
    envelope="task_assignments",
    filters=("is_active", "updated_since"),
    documentation="https://help.getharvest.com/api-v2/projects-api/projects/task-assignments/",
    permission="an administrator, or a project manager",
    columns=(
        record_id("the assignment"),
        column("billable", BOOLEAN, "Whether the task is billable in this project."),
        column("is_active", BOOLEAN, "False: the task can no longer be used in this project."),
        *times("the assignment"),
        column(
            "hourly_rate",
            RATE,
            "The task's rate an hour in this project, where tasks' rates are billed.",
            nullable=True,
        ),
        column(
            "budget",
            DECIMAL,
            "The task's budget in this project: hours, or money, as the project is budgeted.",
            nullable=True,
        ),
        *project("the project"),
        *task("the task"),
    ),
)

USER_ASSIGNMENTS = Record(
    name="user_assignments",
    title="User assignments",
    description="One row per person assigned to a project, former assignments too.",
    endpoint="/user_assignments",
    envelope="user_assignments",
    filters=("user_id", "is_active", "updated_since"),
    documentation="https://help.getharvest.com/api-v2/projects-api/projects/user-assignments/",
    permission="an administrator, or a manager with teammates or managed projects",
    columns=(
        record_id("the assignment"),
        *ASSIGNED_PERSON,
        *project("the project"),
        *user("the person"),
    ),
)

PROJECT_BUDGETS = Record(
    name="project_budgets",
    title="Project budgets",
    description="One row per project with a budget and day on which Harvest was read: how much of "
    "it is spent, which Harvest only knows for the present.",
    endpoint="/reports/project_budget",
    envelope="results",
    paging=Paging.PAGE,
    key="key",
    id_key="project_id",
    day="day",
    filters=("is_active",),
    documentation="https://help.getharvest.com/api-v2/reports-api/reports/project-budget-report/",
    permission=(
        "an administrator sees all; a project manager the managed projects and those whose budget "
        "everybody may see; a member only the latter"
    ),
    columns=(
        row_key("day and project_id"),
        Column("day", DAY, "The day on which this was so.", ("day",), from_parent=TODAY),
        replace(reference("projects", "the project"), name="project_id", path=("project_id",)),
        column("project_name", TEXT, "Name of the project, without its code."),
        replace(reference("clients", "the client"), name="client_id", path=("client_id",)),
        column("client_name", TEXT, "Name of the client."),
        column("budget_is_monthly", BOOLEAN, "Whether the budget starts again every month."),
        column(
            "budget_by",
            TEXT,
            "How it is budgeted: project, project_cost, task, task_fees, person or none.",
        ),
        column("is_active", BOOLEAN, "False: the project is archived."),
        column(
            "budget",
            DECIMAL,
            "The budget: money for project_cost and task_fees, else hours.",
            nullable=True,
            optional=True,
        ),
        column(
            "budget_spent",
            DECIMAL,
            "How much of it is spent, of a monthly one in this month.",
            nullable=True,
            optional=True,
        ),
        column(
            "budget_remaining",
            DECIMAL,
            "How much of it is left; below 0: it is overspent.",
            nullable=True,
            optional=True,
        ),
    ),
)
