"""The record `company`: the account itself, with its currency, capacity and modules."""

from harvest_pipeline.catalogue.columns import (
    ACCOUNT_ID,
    BOOLEAN,
    ID,
    INTEGER,
    TEXT,
    Column,
    Paging,
    Record,
)
from harvest_pipeline.catalogue.embedded import column

COMPANY = Record(
    name="company",
    title="Company",
    description="One row: the account's name, currency, capacity, week and modules.",
    endpoint="/company",
    envelope="",
    paging=Paging.NONE,
    key="account_id",
    documentation="https://help.getharvest.com/api-v2/company-api/company/company/",
    permission="an administrator",
    columns=(
        Column(
            "account_id",
            ID,
            "Id of the account.",
            ("account_id",),
            from_parent=ACCOUNT_ID,
        ),
        column("base_uri", TEXT, "Address of the account, e.g. https://acme.harvestapp.com."),
        column("full_domain", TEXT, "Host of the account, e.g. acme.harvestapp.com."),
        column("name", TEXT, "Name of the company."),
        column("is_active", BOOLEAN, "Whether the account is active."),
        column("week_start_day", TEXT, "First day of the week: Saturday, Sunday or Monday."),
        column(
            "wants_timestamp_timers",
            BOOLEAN,
            "True: time is entered with start and end; false: as a duration.",
        ),
        column("time_format", TEXT, "How hours are shown: decimal or hours_minutes."),
        column("date_format", TEXT, "How days are shown, e.g. %Y-%m-%d."),
        column("plan_type", TEXT, "The plan, e.g. trial, free or simple-v4."),
        column("expense_feature", BOOLEAN, "Whether the module for expenses is on."),
        column("invoice_feature", BOOLEAN, "Whether the module for invoices is on."),
        column("estimate_feature", BOOLEAN, "Whether the module for estimates is on."),
        column("team_feature", BOOLEAN, "Whether the module for the team is on."),
        column(
            "weekly_capacity",
            INTEGER,
            "Usual working time a week, in seconds: 126000 is 35 hours.",
        ),
        column("approval_feature", BOOLEAN, "Whether timesheets are approved."),
        column("clock", TEXT, "12h or 24h."),
        column("currency", TEXT, "The company's own currency, as an ISO code; costs are in it."),
        column("currency_code_display", TEXT, "How the code of a currency is shown."),
        column("currency_symbol_display", TEXT, "How the symbol of a currency is shown."),
        column("decimal_symbol", TEXT, "What stands before the decimals of a number."),
        column("thousands_separator", TEXT, "What stands between thousands of a number."),
        column("color_scheme", TEXT, "The colours of the account's pages, e.g. orange."),
    ),
)
