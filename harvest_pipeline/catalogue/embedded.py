"""Columns shared by several records: ids, times, and the objects that Harvest embeds."""

from dataclasses import replace

from harvest_pipeline.catalogue.columns import (
    BOOLEAN,
    DECIMAL,
    ID,
    INSTANT,
    RATE,
    ROW_KEY,
    TEXT,
    Column,
)


def column(
    name: str,
    type: str,
    description: str,
    *,
    nullable: bool = False,
    optional: bool = False,
    copy_of: tuple[str, ...] = (),
) -> Column:
    """A column whose value is at the top level of the record, under the column's own name."""
    return Column(
        name, type, description, (name,), nullable=nullable, optional=optional, copy_of=copy_of
    )


def within(key: str, columns: tuple[Column, ...], *, nullable: bool = False) -> tuple[Column, ...]:
    """The columns of the object under `key`, one level flat: `id` becomes `{key}_id`.

    `nullable`: the whole object may be null, so each of its columns may be.
    """
    return tuple(
        replace(
            inner,
            name=f"{key}_{inner.name}",
            path=(key, *inner.path),
            nullable=inner.nullable or nullable,
        )
        for inner in columns
    )


def reference(record: str, whose: str) -> Column:
    """The `id` of an embedded object that is the id of a `record`."""
    return Column("id", ID, f"Id of {whose}.", ("id",), references=record)


def _repeated(*columns: Column) -> tuple[Column, ...]:
    """Columns that repeat the columns of the same name in the embedded record."""
    return tuple(replace(column, copy_of=(column.name,)) for column in columns)


def record_id(what: str) -> Column:
    """The record's own id."""
    return column("id", ID, f"Harvest's id of {what}.")


def row_key(parts: str) -> Column:
    """The key of a record whose id alone identifies no row."""
    return Column(
        "key",
        ID,
        f"Identifies the row: a number made of {parts}.",
        ("key",),
        from_parent=ROW_KEY,
    )


def times(what: str) -> tuple[Column, ...]:
    """`created_at` and `updated_at`."""
    return (
        column("created_at", INSTANT, f"When {what} was created, in UTC."),
        column("updated_at", INSTANT, f"When {what} was last changed, in UTC."),
    )


def user(whose: str, key: str = "user") -> tuple[Column, ...]:
    """The embedded person: id and name."""
    return within(
        key,
        (
            reference("users", whose),
            column("name", TEXT, f"Full name of {whose}.", copy_of=("first_name", "last_name")),
        ),
    )


def client(
    whose: str,
    *,
    currency: bool = True,
    currency_optional: bool = False,
    through: str | None = None,
) -> tuple[Column, ...]:
    """The embedded client: id, name and, in most records, the currency it is billed in. `through`
    is the column with the id of the project whose client it is."""
    columns = (
        reference("clients", whose),
        column("name", TEXT, f"Name of {whose}.", copy_of=("name",)),
    )
    if currency:
        columns += (
            column(
                "currency",
                TEXT,
                f"Currency of {whose}, as an ISO code such as EUR; money of this row is in it.",
                optional=currency_optional,
                copy_of=("currency",),
            ),
        )
    return tuple(replace(column, through=through) for column in within("client", columns))


def project(
    whose: str, *, nullable: bool = False, code_optional: bool = False
) -> tuple[Column, ...]:
    """The embedded project: id, name, code."""
    return within(
        "project",
        (
            reference("projects", whose),
            column("name", TEXT, f"Name of {whose}.", copy_of=("name",)),
            column(
                "code",
                TEXT,
                f"Code of {whose}, if it has one.",
                nullable=True,
                optional=code_optional,
                copy_of=("code",),
            ),
        ),
        nullable=nullable,
    )


def task(whose: str) -> tuple[Column, ...]:
    """The embedded task: id and name."""
    return within(
        "task",
        (
            reference("tasks", whose),
            column("name", TEXT, f"Name of {whose}.", copy_of=("name",)),
        ),
    )


def invoice(what: str) -> tuple[Column, ...]:
    """The invoice that a time entry or an expense is billed on."""
    return within(
        "invoice",
        (
            reference("invoices", f"the invoice that {what} was put on"),
            column(
                "number",
                TEXT,
                f"Number of the invoice that {what} was put on.",
                copy_of=("number",),
            ),
        ),
        nullable=True,
    )


#: What the record of a person's assignment to a project has of its own.
ASSIGNED_PERSON = (
    column("is_project_manager", BOOLEAN, "Whether the person manages the project."),
    column("is_active", BOOLEAN, "Whether the person is still assigned to the project."),
    column(
        "use_default_rates",
        BOOLEAN,
        "True: the person's own default rate applies; false: a rate set for this project.",
        optional=True,
    ),
    column(
        "budget", DECIMAL, "Hours of the project's budget allotted to the person.", nullable=True
    ),
    *times("the person's assignment to the project"),
    column(
        "hourly_rate",
        RATE,
        "The person's hourly rate in this project, in the client's currency.",
        nullable=True,
    ),
)

#: How the person is assigned to the project, as embedded in time entries and expenses.
USER_ASSIGNMENT = within(
    "user_assignment",
    (
        reference("user_assignments", "the person's assignment to the project"),
        *_repeated(*ASSIGNED_PERSON),
    ),
    nullable=True,
)

#: Who sent a message about an invoice or an estimate.
SENDER = (
    column("sent_by", TEXT, "Name of the person who sent it."),
    column("sent_by_email", TEXT, "E-mail address of the person who sent it."),
    column("sent_from", TEXT, "Name that it was sent from."),
    column("sent_from_email", TEXT, "E-mail address that it was sent from."),
)


def taxes_and_discount() -> tuple[Column, ...]:
    """The taxes and the discount of an invoice or an estimate, each in percent and as an amount."""
    return tuple(
        column(f"{name}{suffix}", type, f"{title}, {form}.", nullable=True)
        for name, title in (("tax", "First tax"), ("tax2", "Second tax"), ("discount", "Discount"))
        for suffix, type, form in (("", RATE, "in percent"), ("_amount", DECIMAL, "as an amount"))
    )


def line(of: str) -> tuple[Column, ...]:
    """The columns of a line of an invoice or an estimate (`of`)."""
    return (
        record_id("the line item"),
        column("kind", TEXT, f"Name of the {of} item category, e.g. Service."),
        column("description", TEXT, "Text of the line.", nullable=True),
        column("quantity", DECIMAL, "Quantity, e.g. hours."),
        column("unit_price", RATE, f"Price of one, in the {of}'s currency."),
        column("amount", DECIMAL, f"Quantity times unit price, in the {of}'s currency."),
        column("taxed", BOOLEAN, "Whether the first tax applies."),
        column("taxed2", BOOLEAN, "Whether the second tax applies."),
    )


#: How the task is assigned to the project, as embedded in time entries: the whole assignment
#: except its project and task.
TASK_ASSIGNMENT = within(
    "task_assignment",
    (
        reference("task_assignments", "the task's assignment to the project"),
        *_repeated(
            column("billable", BOOLEAN, "Whether the task is billable in this project."),
            column("is_active", BOOLEAN, "Whether the task can still be used in this project."),
            *times("the task's assignment to the project"),
            column(
                "hourly_rate",
                RATE,
                "The task's hourly rate in this project, in the client's currency.",
                nullable=True,
            ),
            column(
                "budget",
                DECIMAL,
                "The task's budget in this project: hours, or money.",
                nullable=True,
            ),
        ),
    ),
    nullable=True,
)
