"""The variables that a person can set: names, defaults and meanings, once for code and documents.

Belongs here: the table.
Does not belong here: which values can work (settings.py), what `harvest.yaml` can say
(project_file.py).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the environment or of `.env`. `default` is empty where there is none."""

    name: str
    default: str
    meaning: str


#: Every variable that there is, but for the credentials of single accounts of harvest.yaml.
VARIABLES: dict[str, Variable] = {
    variable.name: variable
    for variable in (
        Variable(
            "HARVEST_ACCESS_TOKEN",
            "",
            "Personal access token, made at https://id.getharvest.com/developers. Secret.",
        ),
        Variable("HARVEST_CLIENT_ID", "", "Client id of an OAuth 2 application."),
        Variable("HARVEST_CLIENT_SECRET", "", "Client secret of that application. Secret."),
        Variable(
            "HARVEST_REFRESH_TOKEN",
            "",
            "Refresh token of that application, instead of the access token. Secret.",
        ),
        Variable(
            "HARVEST_ACCOUNT_ID",
            "",
            "Harvest's number of the account; without it, the only account of the token.",
        ),
        Variable(
            "HARVEST_INSTANCE", "", "The acme of acme.harvestapp.com, instead of the account id."
        ),
        Variable(
            "HARVEST_CONTACT",
            "",
            "Your e-mail or web address; Harvest wants it in every request.",
        ),
        Variable(
            "HARVEST_START_DATE",
            "2020-01-01",
            "First day that can be loaded: the first partition. A day, as 2024-01-31.",
        ),
        Variable(
            "HARVEST_TIMEZONE",
            "UTC",
            "The zone in which today begins. An IANA name such as Europe/Berlin.",
        ),
        Variable(
            "HARVEST_DAYS_BACK",
            "30",
            "Days before today that `sync`, and the schedule of a dataset without a window, read: "
            "0 to 3660.",
        ),
        Variable(
            "HARVEST_SWEEP_REQUESTS",
            "",
            "Requests a night that the reconcile job may spend on messages, and as many on "
            "payments, of invoices that did not change. Without it, as many as read those of every "
            "invoice of the last 400 days once a week; 0: none.",
        ),
        Variable(
            "HARVEST_KEEP_RUNS_DAYS",
            "30",
            "Days after which the nightly job deletes the runs of the sensor, with their files; "
            "the last ten that failed stay. 1 to 3660.",
        ),
        Variable(
            "HARVEST_DUCKDB",
            "data/warehouse.duckdb",
            "Path of the database file; its name may not equal that of an account.",
        ),
        Variable(
            "HARVEST_SCHEMA",
            "harvest",
            "Name of the one account: DuckDB schema, and prefix of the asset keys. With accounts "
            "in harvest.yaml each has its own name, and this variable is refused.",
        ),
        Variable(
            "HARVEST_CONFIG",
            "harvest.yaml",
            "The file that names accounts and datasets; the default need not be there.",
        ),
        Variable(
            "HARVEST_TOKEN_STORE",
            "",
            "Where `harvest-pipeline connect` keeps secrets: `keyring`, or the path of a folder. "
            "Without it, the system keyring if it answers, else your configuration folder.",
        ),
        Variable(
            "HARVEST_ALERTS",
            "",
            "An address that gets alerts, where harvest.yaml says `alerts: [$HARVEST_ALERTS]`; a "
            "variable of any other name will do as well. Secret.",
        ),
        Variable(
            "HARVEST_API_URL",
            "https://api.harvestapp.com/v2",
            "Harvest's API: one of Harvest's own hosts, or this machine.",
        ),
        Variable(
            "HARVEST_ID_URL",
            "https://id.getharvest.com",
            "Where Harvest signs people in; hosts as for HARVEST_API_URL.",
        ),
    )
}
