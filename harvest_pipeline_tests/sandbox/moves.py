"""Moving a record to another owner: an entry to another project, a contact to another client."""

from collections.abc import Mapping
from typing import Any

from harvest_pipeline.sandbox.billing import billable_rate
from harvest_pipeline.sandbox.model import (
    CategoryRef,
    Client,
    ClientName,
    ClientRef,
    Contact,
    Expense,
    Project,
    TaskAssignmentRef,
    TimeEntry,
    UserAssignmentRef,
)
from harvest_pipeline.sandbox.records import Records

_OWNERS = {
    TimeEntry: {"user_id", "project_id", "task_id"},
    Expense: {"user_id", "project_id", "expense_category_id"},
    Contact: {"client_id"},
    Project: {"client_id"},
}


def move(records: Records, record: Any, owners: Mapping[str, Any]) -> None:
    """Give a record other owners, by `user_id`, `project_id`, `task_id` and so on.

    Raises ValueError for an owner that does not exist, that does not fit (a person or task that is
    not assigned to the project), or that such a record does not have.
    """
    for name in owners.keys() - _OWNERS.get(type(record), set()):
        raise ValueError(f"{type(record).__name__} has no field {name}")
    match record if owners else None:
        case TimeEntry():
            _move_entry(records, record, owners)
        case Expense():
            _assign(records, record, owners)
            if key := owners.get("expense_category_id"):
                category = records.expense_categories.get(key)
                if category is None:
                    raise ValueError(f"there is no expense category {key}")
                record.expense_category = records.copy(CategoryRef, category)
        case Contact():
            record.client = records.copy(ClientName, _client(records, owners))
        case Project():
            record.client = records.copy(ClientRef, _client(records, owners))
            # Its entries and expenses show the new client, and keep their own `updated_at`.
            for one in (*records.time_entries, *records.expenses):
                if one.project.id == record.id:
                    one.client = record.client


def _client(records: Records, owners: Mapping[str, Any]) -> Client:
    client = records.clients.get(owners["client_id"])
    if client is None:
        raise ValueError(f"there is no client {owners['client_id']}")
    return client


def _move_entry(records: Records, entry: TimeEntry, owners: Mapping[str, Any]) -> None:
    _assign(records, entry, owners)
    task_id = owners.get("task_id", entry.task.id)
    assignment = records.task_assignment(task_id, entry.project.id)
    if assignment is None:
        raise ValueError(f"task {task_id} is not assigned to project {entry.project.id}")
    entry.task = assignment.task
    entry.task_assignment = records.copy(TaskAssignmentRef, assignment)
    project = records.projects.get(entry.project.id)
    person = records.user_assignments.get(entry.user_assignment.id)
    if project is not None and person is not None:
        entry.billable = assignment.billable
        entry.billable_rate = billable_rate(project, assignment, person)
        entry.budgeted = project.budget_by != "none"


def _assign(records: Records, record: TimeEntry | Expense, owners: Mapping[str, Any]) -> None:
    """Set the person and the project, and with it the client."""
    user_id = owners.get("user_id", record.user.id)
    project_id = owners.get("project_id", record.project.id)
    project = records.projects.get(project_id)
    assignment = records.user_assignment(user_id, project_id)
    if project is None or assignment is None:
        raise ValueError(f"user {user_id} is not assigned to project {project_id}")
    record.user, record.project = assignment.user, assignment.project
    record.client = project.client
    record.user_assignment = records.copy(UserAssignmentRef, assignment)
