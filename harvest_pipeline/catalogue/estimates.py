"""The estimate records: estimates, their line items, messages, and item categories."""

from harvest_pipeline.catalogue.columns import (
    BOOLEAN,
    DAY,
    DECIMAL,
    ID,
    INSTANT,
    LIST,
    TEXT,
    Column,
    Paging,
    Record,
)
from harvest_pipeline.catalogue.embedded import (
    SENDER,
    client,
    column,
    line,
    record_id,
    taxes_and_discount,
    times,
    user,
)

_PERMISSION = "an administrator, or a manager allowed to create and edit estimates"
_DOCUMENTATION = "https://help.getharvest.com/api-v2/estimates-api/estimates"

_ESTIMATE_ID = Column(
    "estimate_id",
    ID,
    "Id of the estimate that this belongs to.",
    ("estimate_id",),
    references="estimates",
    from_parent="id",
)

ESTIMATES = Record(
    name="estimates",
    title="Estimates",
    description="One row per estimate.",
    endpoint="/estimates",
    envelope="estimates",
    paging=Paging.PAGE,
    # No day: there are few of them, and Harvest's documentation has one without an issue date.
    filters=("client_id", "updated_since", "from", "to", "state"),
    module="estimate_feature",
    measure="amount",
    measure_unit="currency",
    documentation=f"{_DOCUMENTATION}/estimates/",
    permission=_PERMISSION,
    columns=(
        record_id("the estimate"),
        column("client_key", TEXT, "Key in the address of the estimate's public page."),
        column("number", TEXT, "Number of the estimate, as the client sees it."),
        column("purchase_order", TEXT, "Number of the client's purchase order.", nullable=True),
        column("amount", DECIMAL, "Total with taxes and discount, in the estimate's currency."),
        *taxes_and_discount(),
        column("subject", TEXT, "Subject of the estimate.", nullable=True),
        column("notes", TEXT, "Notes on the estimate.", nullable=True),
        column("state", TEXT, "draft, sent, accepted or declined."),
        column("issue_date", DAY, "The day that the estimate bears.", nullable=True),
        column("sent_at", INSTANT, "When it was last sent to the client, in UTC.", nullable=True),
        *times("the estimate"),
        column("accepted_at", INSTANT, "When it was accepted, in UTC.", nullable=True),
        column("declined_at", INSTANT, "When it was declined, in UTC.", nullable=True),
        column("currency", TEXT, "Currency of the estimate, as an ISO code such as EUR."),
        *client("the client it is for", currency=False),
        *user("the person who made the estimate", key="creator"),
    ),
)

ESTIMATE_LINE_ITEMS = Record(
    name="estimate_line_items",
    title="Estimate line items",
    description="One row per line of an estimate; loaded together with the estimates.",
    inside="estimates",
    envelope="line_items",
    parent="estimates",
    documentation=f"{_DOCUMENTATION}/estimates/",
    permission=_PERMISSION,
    columns=(
        _ESTIMATE_ID,
        *line("estimate"),
    ),
)

ESTIMATE_MESSAGES = Record(
    name="estimate_messages",
    title="Estimate messages",
    description="One row per message about an estimate: e-mails, and events such as accept.",
    endpoint="/estimates/{estimate_id}/messages",
    envelope="estimate_messages",
    parent="estimates",
    filters=("updated_since",),
    module="estimate_feature",
    documentation=f"{_DOCUMENTATION}/estimate-messages/",
    permission=_PERMISSION,
    columns=(
        _ESTIMATE_ID,
        record_id("the message"),
        *SENDER,
        column("send_me_a_copy", BOOLEAN, "Whether the sender got a copy."),
        *times("the message"),
        column("recipients", LIST, "Whom it went to: a list of names and e-mail addresses."),
        column(
            "event_type",
            TEXT,
            "send, accept, decline, re-open, view or invoice; empty for an ordinary e-mail.",
            nullable=True,
        ),
        column("subject", TEXT, "Subject of the message.", nullable=True),
        column("body", TEXT, "Text of the message.", nullable=True),
    ),
)

ESTIMATE_ITEM_CATEGORIES = Record(
    name="estimate_item_categories",
    title="Estimate item categories",
    description="One row per kind of estimate line, such as Service or Product.",
    endpoint="/estimate_item_categories",
    envelope="estimate_item_categories",
    filters=("updated_since",),
    module="estimate_feature",
    documentation=f"{_DOCUMENTATION}/estimate-item-categories/",
    permission="an administrator",
    columns=(
        record_id("the estimate item category"),
        column("name", TEXT, "Name of the category; line items refer to it by name."),
        *times("the category"),
    ),
)
