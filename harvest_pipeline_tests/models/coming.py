"""Scratch: records that are not on this branch yet."""

from harvest_pipeline.catalogue.columns import (
    BOOLEAN,
    DAY,
    DECIMAL,
    ID,
    INTEGER,
    LIST,
    RATE,
    TEXT,
    Record,
)
from harvest_pipeline.catalogue.embedded import column, project, record_id, times, user
from harvest_pipeline.catalogue.people import USERS
from harvest_pipeline.catalogue.records import RECORDS


def _record(name, key, *columns, **more):
    return Record(name=name, title=name, description=name, envelope=name, columns=columns,
                  documentation="", permission="", endpoint="/" + name, key=key, **more)


COMING = (
    _record("company", "account_id", column("account_id", ID, "Id."),
            column("name", TEXT, "Name."), column("week_start_day", TEXT, "Week start."),
            column("weekly_capacity", INTEGER, "Seconds."), column("currency", TEXT, "Currency.")),
    _record("roles", "id", record_id("the role"), column("name", TEXT, "Name."), *times("the role"),
            column("user_ids", LIST, "Ids.")),
    _record("user_assignments", "id", record_id("x"),
            column("is_project_manager", BOOLEAN, "x"), column("is_active", BOOLEAN, "x"),
            column("use_default_rates", BOOLEAN, "x"), column("budget", DECIMAL, "x", nullable=True),
            *times("x"), column("hourly_rate", RATE, "x", nullable=True),
            *project("the project"), *user("the person")),
    _record("people_snapshots", "user_id", column("day", DAY, "Day."),
            column("user_id", ID, "Id."), *USERS.columns[1:], day="day"),
    _record("project_budgets", "project_id", column("day", DAY, "Day."),
            column("project_id", ID, "Id."), column("project_name", TEXT, "x"),
            column("client_id", ID, "x"), column("client_name", TEXT, "x"),
            column("budget_is_monthly", BOOLEAN, "x"), column("budget_by", TEXT, "x"),
            column("is_active", BOOLEAN, "x"), column("budget", DECIMAL, "x", nullable=True),
            column("budget_spent", DECIMAL, "x", nullable=True),
            column("budget_remaining", DECIMAL, "x", nullable=True), day="day"),
)
for each in COMING:
    RECORDS.setdefault(each.name, each)
