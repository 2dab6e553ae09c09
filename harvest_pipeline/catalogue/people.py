"""The records about people: users (the team) with roles and rates, clients and their contacts."""

from dataclasses import replace

from harvest_pipeline.catalogue.columns import (
    BOOLEAN,
    DAY,
    ID,
    INTEGER,
    LIST,
    RATE,
    TEXT,
    TODAY,
    Column,
    Record,
)
from harvest_pipeline.catalogue.embedded import client, column, record_id, row_key, times

_CLIENT_PERMISSION = "an administrator, or a manager allowed to create and edit clients"

USERS = Record(
    name="users",
    title="People",
    description="One row per person of the team, archived ones too.",
    endpoint="/users",
    envelope="users",
    filters=("is_active", "updated_since"),
    documentation="https://help.getharvest.com/api-v2/users-api/users/users/",
    permission="an administrator, or a manager with teammates (who sees only those)",
    columns=(
        record_id("the person"),
        column("first_name", TEXT, "First name."),
        column("last_name", TEXT, "Last name."),
        column("email", TEXT, "E-mail address."),
        column("telephone", TEXT, "Telephone number.", nullable=True),
        column("timezone", TEXT, "Time zone by its display name, e.g. Berlin."),
        column("weekly_capacity", INTEGER, "Working time a week, in seconds: 126000 is 35 hours."),
        column(
            "has_access_to_all_future_projects",
            BOOLEAN,
            "Whether the person is assigned to every new project.",
        ),
        column("is_contractor", BOOLEAN, "Whether the person is a contractor, not an employee."),
        column("is_active", BOOLEAN, "False: archived."),
        column(
            "calendar_integration_enabled",
            BOOLEAN,
            "Whether a calendar is connected.",
            optional=True,
        ),
        column(
            "calendar_integration_source",
            TEXT,
            "The connected calendar, e.g. outlook.",
            nullable=True,
            optional=True,
        ),
        *times("the person's record"),
        column(
            "can_create_projects",
            BOOLEAN,
            "Whether the person may create projects.",
            optional=True,
        ),
        column(
            "default_hourly_rate",
            RATE,
            "Billable rate an hour where no other is set; hidden from those who may not see rates.",
            nullable=True,
            optional=True,
        ),
        column(
            "cost_rate",
            RATE,
            "What an hour of the person costs the company; seen by administrators only.",
            nullable=True,
            optional=True,
        ),
        # Lists of plain strings: as tables of their own they would have no key.
        column("roles", LIST, "Names of the person's business roles, as a list."),
        column("access_roles", LIST, "administrator, manager or member, and extras, as a list."),
        column(
            "permissions_claims",
            LIST,
            "What the person may read and write, as a list of claims.",
            optional=True,
        ),
        column("avatar_url", TEXT, "Address of the person's picture."),
    ),
)

PEOPLE_SNAPSHOTS = Record(
    name="people_snapshots",
    title="People by day",
    description="One row per person and day on which Harvest was read: Harvest only knows the "
    "present capacity, roles and rates.",
    endpoint="/users",
    envelope="users",
    key="key",
    day="day",
    documentation=USERS.documentation,
    permission=USERS.permission,
    columns=(
        row_key("day and user_id"),
        Column("day", DAY, "The day on which this was so.", ("day",), from_parent=TODAY),
        *(
            replace(each, name="user_id", references="users") if each.name == "id" else each
            for each in USERS.columns
        ),
    ),
)

ROLES = Record(
    name="roles",
    title="Roles",
    description="One row per business role, such as Developer; role_members says who has it.",
    endpoint="/roles",
    envelope="roles",
    documentation="https://help.getharvest.com/api-v2/roles-api/roles/roles/",
    permission="an administrator",
    columns=(
        record_id("the role"),
        column("name", TEXT, "Name of the role."),
        *times("the role"),
        column("user_ids", LIST, "Ids of the people who have it, as a list."),
    ),
)

_USER_ID = Column(
    "user_id",
    ID,
    "Id of the person.",
    ("user_id",),
    references="users",
    from_parent="id",
)


def _rates(kind: str, what: str, permission: str) -> Record:
    """The rates of each person; Harvest's list of them does not repeat whose they are."""
    title = kind.capitalize()
    return Record(
        name=f"{kind}_rates",
        title=f"{title} rates",
        description=f"One row per {kind} rate of a person, with the days on which it applies.",
        endpoint=f"/users/{{user_id}}/{kind}_rates",
        envelope=f"{kind}_rates",
        parent="users",
        documentation=f"https://help.getharvest.com/api-v2/users-api/users/{kind}-rates/",
        permission=permission,
        columns=(
            _USER_ID,
            record_id("the rate"),
            column("amount", RATE, what),
            column(
                "start_date",
                DAY,
                "First day of the rate; empty: from the beginning.",
                nullable=True,
            ),
            column(
                "end_date",
                DAY,
                "Last day of the rate; empty: it still applies.",
                nullable=True,
            ),
            *times("the rate"),
        ),
    )


BILLABLE_RATES = _rates(
    "billable",
    "What an hour of the person is billed at where no other rate applies.",
    "an administrator, or a manager allowed to edit billable rates",
)
COST_RATES = _rates(
    "cost",
    "What an hour of the person costs, in the company's currency.",
    "an administrator",
)

TEAMMATES = Record(
    name="teammates",
    title="Teammates",
    description="One row per manager and person assigned to that manager.",
    endpoint="/users/{user_id}/teammates",
    envelope="teammates",
    key="key",
    parent="users",
    parent_has=("access_roles", "manager"),
    documentation="https://help.getharvest.com/api-v2/users-api/users/teammates/",
    permission="an administrator",
    columns=(
        row_key("user_id and id"),
        replace(_USER_ID, description="Id of the manager."),
        Column("id", ID, "Id of the teammate.", ("id",), references="users"),
        column("first_name", TEXT, "First name of the teammate.", copy_of=("first_name",)),
        column("last_name", TEXT, "Last name of the teammate.", copy_of=("last_name",)),
        column("email", TEXT, "E-mail address of the teammate.", copy_of=("email",)),
    ),
)

CLIENTS = Record(
    name="clients",
    title="Clients",
    description="One row per client, archived ones too.",
    endpoint="/clients",
    envelope="clients",
    filters=("is_active", "updated_since"),
    documentation="https://help.getharvest.com/api-v2/clients-api/clients/clients/",
    permission=_CLIENT_PERMISSION,
    columns=(
        record_id("the client"),
        column("name", TEXT, "Name of the client."),
        column("is_active", BOOLEAN, "False: archived."),
        column("address", TEXT, "Postal address, on several lines.", nullable=True),
        column(
            "statement_key",
            TEXT,
            "Key in the address of the client's public statement page.",
            optional=True,
        ),
        *times("the client"),
        column("currency", TEXT, "Currency that the client is billed in, as an ISO code."),
    ),
)

CONTACTS = Record(
    name="contacts",
    title="Contacts",
    description="One row per contact person of a client.",
    endpoint="/contacts",
    envelope="contacts",
    filters=("client_id", "updated_since"),
    documentation="https://help.getharvest.com/api-v2/clients-api/clients/contacts/",
    permission=_CLIENT_PERMISSION,
    columns=(
        record_id("the contact"),
        column("title", TEXT, "Job title.", nullable=True),
        column("first_name", TEXT, "First name."),
        column("last_name", TEXT, "Last name.", nullable=True),
        column("email", TEXT, "E-mail address.", nullable=True),
        column("phone_office", TEXT, "Office telephone number.", nullable=True),
        column("phone_mobile", TEXT, "Mobile telephone number.", nullable=True),
        column("fax", TEXT, "Fax number.", nullable=True),
        *times("the contact"),
        *client("the client that the contact belongs to", currency=False),
    ),
)
