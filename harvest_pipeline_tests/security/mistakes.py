"""What a person sets wrong: credentials, settings, files, and the config of a launch.

Belongs here: mistakes that a run finds. Does not belong here: stored accounts, and the commands
(stored.py, commands.py).
"""

from collections.abc import Iterator

from harvest_pipeline_tests.sandbox.faults import RetypeField
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.security.failure import Failure
from harvest_pipeline_tests.security.planted import (
    DOTENV,
    LAUNCHED,
    MALFORMED,
    MISPLACED,
    NOTHING,
    OAUTH,
    PASSWORD,
    TOKEN_OF_ACME,
    run_of,
)
from harvest_pipeline_tests.security.stage import Stage


def of_credentials(stage: Stage, other: SandboxServer) -> Iterator[Failure]:
    """Credentials that are missing, malformed or of somebody else."""
    for why, token in MALFORMED.items():
        yield Failure(f"token with {why}", "copy it again", {"HARVEST_ACCESS_TOKEN": token})
    for name in ("CLIENT_ID", "CLIENT_SECRET", "REFRESH_TOKEN"):
        malformed = {**OAUTH, f"HARVEST_{name}": MALFORMED["a line break at its end"]}
        yield Failure(f"malformed {name}", f"HARVEST_{name} is empty or holds", malformed)
    yield Failure("no credentials", "No Harvest credentials", NOTHING)
    half = {**OAUTH, "HARVEST_CLIENT_SECRET": ""}
    yield Failure("half an application", "HARVEST_CLIENT_SECRET is not set", half)
    yield Failure("unknown account id", "does not reach the account", {"HARVEST_ACCOUNT_ID": "999"})
    unknown = {"HARVEST_ACCOUNT_ID": "", "HARVEST_INSTANCE": "nobody"}
    yield Failure("unknown instance", "No account of this token", unknown)
    company = {**other.environment(), "HARVEST_ACCOUNT_ID": str(other.accounts[1].id)}
    yield Failure("another company", "holds records of the Harvest account", company)
    yield Failure(
        "token in .env",
        "does not accept the token of HARVEST_ACCESS_TOKEN",
        files={stage.project / ".env": DOTENV},
    )


def of_misplaced(stage: Stage) -> Iterator[Failure]:
    """A secret in a setting that is shown."""
    yield Failure("token as account id", "HARVEST_ACCOUNT_ID", {"HARVEST_ACCOUNT_ID": MISPLACED})
    instance = {"HARVEST_ACCOUNT_ID": "", "HARVEST_INSTANCE": MISPLACED}
    yield Failure("token as instance", "HARVEST_INSTANCE", instance)
    addresses = {
        "password": f"https://user:{PASSWORD}@api.harvestapp.com/v2",
        "password without a scheme": f"user:{PASSWORD}@api.harvestapp.com/v2",
        "password at a broken address": f"https://user:{PASSWORD}@[api.harvestapp.com/v2",
        "token in the query": f"https://api.harvestapp.com/v2?access_token={MISPLACED}",
        "token as address": MISPLACED,
        "token as path": f"http://api.harvestapp.com/v2/{MISPLACED}",
    }
    for name, address in addresses.items():
        for variable in ("HARVEST_API_URL", "HARVEST_ID_URL"):
            yield Failure(f"{name} in {variable}", variable, {variable: address})
    for variable, value in {
        "HARVEST_DUCKDB": f"md:harvest?motherduck_token={PASSWORD}",
        "HARVEST_SCHEMA": MISPLACED,
        "HARVEST_CONTACT": f"({MISPLACED})",
        "HARVEST_START_DATE": MISPLACED,
        "HARVEST_TIMEZONE": MISPLACED,
        "HARVEST_DAYS_BACK": MISPLACED,
        "HARVEST_TOKEN_STORE": MISPLACED,
    }.items():
        yield Failure(f"secret in {variable}", variable, {**NOTHING, variable: value})
    file = stage.folder / "harvest.yaml"
    for name, lines in {
        "a setting": f"access_token: {MISPLACED}",
        "a value": f"account_id: {MISPLACED}",
        "an instance": f"instance: {MISPLACED}",
        "an alias": f"instance: *{run_of('token in the wrong place')}",
        "a tag": f"instance: !{run_of('token in the wrong place')} x",
        "a key": f"{MISPLACED}: x",
    }.items():
        # The hosts are those of Harvest: nobody is asked.
        yield Failure(
            f"token in harvest.yaml as {name}",
            r"harvest\.yaml",
            {**NOTHING, "HARVEST_CONFIG": str(file)},
            files={file: f"accounts:\n  - name: acme\n    {lines}\n"},
        )


def of_named_account(stage: Stage) -> Iterator[Failure]:
    """An account of harvest.yaml with variables of its own."""
    file = stage.folder / "harvest.yaml"
    yield Failure(
        "wrong token of an account of harvest.yaml",
        "HARVEST_ACME_ACCESS_TOKEN",
        {
            **NOTHING,
            "HARVEST_ACCOUNT_ID": None,
            "HARVEST_CONFIG": str(file),
            "HARVEST_ACME_ACCESS_TOKEN": TOKEN_OF_ACME,
        },
        files={file: f"accounts:\n  - {{name: acme, account_id: {stage.sandbox.account_id}}}\n"},
        schema="acme",
    )


def of_launches(stage: Stage) -> Iterator[Failure]:
    """A launch that brings its own credentials, or files."""
    for resource, config in {
        "harvest": {"access_token": LAUNCHED},
        "io_manager": {"database": f"/tmp/{LAUNCHED}.duckdb"},
    }.items():
        yield Failure(
            f"launch that changes {resource}",
            "The launch changes",
            run_config={"resources": {resource: {"config": config}}},
        )


def of_warehouse(stage: Stage) -> Iterator[Failure]:
    """The database cannot be used, or not what came be loaded into it."""
    text = stage.folder / "data" / "text.duckdb"
    yield Failure("no database", "is not a DuckDB database", {"HARVEST_DUCKDB": str(text)},
                  files={text: "this is no database " * 1000})  # fmt: skip
    yield Failure("unwritable folder", "/proc/warehouse.duckdb",
                  {"HARVEST_DUCKDB": "/proc/warehouse.duckdb"})  # fmt: skip
    retyped = RetypeField(path="/clients", field="is_active", value="perhaps", times=None)
    yield Failure("field of another type", "is_active", faults=(retyped,))
