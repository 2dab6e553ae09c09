"""The records about people: users (the team), clients and the clients' contacts."""

from harvest_pipeline.catalogue.columns import BOOLEAN, INTEGER, LIST, RATE, TEXT, Record
from harvest_pipeline.catalogue.embedded import client, column, record_id, times

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
