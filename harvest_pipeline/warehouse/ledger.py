"""The ledger: the table `_loads`, one row for every committed load, and a view for each meaning
that a load can have."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import duckdb

from harvest_pipeline.catalogue.columns import DAY, ID, INSTANT, INTEGER, LIST, TEXT, Column
from harvest_pipeline.scope import Filters, Proof, Reader, Scope, Spool
from harvest_pipeline.warehouse import tables
from harvest_pipeline.warehouse.errors import AnotherAccount, LoadNotCommitted
from harvest_pipeline.warehouse.sql import comma, identifier, literal


def _column(name: str, type: str, description: str) -> Column:
    return Column(name, type, description, ())


LEDGER = tables.Table(
    "_loads",
    "One row for each load that was committed: what was asked of Harvest, by which run, and what "
    "came.",
    "load_id",
    (
        _column("load_id", TEXT, "Id of the load."),
        _column("record", TEXT, "The record, which is also its table."),
        _column("window_first", DAY, "First day that was asked for; empty: the whole record."),
        _column("window_last", DAY, "Last day that was asked for; empty: the whole record."),
        _column("filters", LIST, "Which part of it was asked for; empty: all of it."),
        _column("run_id", TEXT, "Id of the Dagster run."),
        _column("report", TEXT, "The report that asked."),
        _column("account_id", ID, "Id of the Harvest account."),
        _column("role", TEXT, "Role of the person behind the token; what it hides is not here."),
        _column("user_id", ID, "Harvest's id of that person."),
        _column("user_name", TEXT, "Name of that person."),
        _column(
            "proof",
            TEXT,
            "total_entries, cursor_chain or module_off: why it is complete; changes: all that "
            "changed, without days that are not kept; counted: after these, there were as many "
            "rows as Harvest has records; followed: only the records that had left another part; "
            "narrower: all that this person sees, who sees less than the one who loaded before.",
        ),
        _column("requests", INTEGER, "HTTP requests that the read cost."),
        _column("rows", INTEGER, "Records that came."),
        _column("deleted", INTEGER, "Rows that Harvest did not have any more."),
        _column("kept", INTEGER, "Rows that did not come and stay: loaded by one who sees more."),
        _column("total_entries", INTEGER, "Harvest's own count; empty where it gave none."),
        _column("seconds", "DOUBLE", "How long the read took, in seconds."),
        _column("read_at", INSTANT, "Harvest's clock before the read began, in UTC."),
        _column("loaded_at", INSTANT, "When it was loaded, in UTC; _loaded_at of its rows."),
        _column("unknown_fields", LIST, "Fields without a column, and in how many records."),
        _column("missing_fields", LIST, "Fields that should be there, and how often not."),
    ),
)


_OF_A_LOAD = ("record", "window_first", "window_last", "role", "user_id", "user_name", "read_at")
#: Columns of views that are not in the ledger.
_SINCE = _column("since", INSTANT, "The changes are those since this instant, in UTC.")
_POSITION = _column("position", INTEGER, "The order of the commits; clocks are set back.")


@dataclass(frozen=True, slots=True)
class _Meaning:
    """A view: the loads of one meaning."""

    name: str
    description: str
    condition: str
    columns: str = ""


#: One view for each meaning that a load can have.
MEANINGS = (
    _Meaning(
        "_read_in_full",
        "Loads that brought all records of their days, or of the whole record.",
        f"filters IS NULL AND proof IN ('{Proof.TOTAL_ENTRIES}', '{Proof.CURSOR_CHAIN}')",
    ),
    _Meaning(
        "_counted",
        "Days on which there were as many rows as Harvest has records, after all changes were in.",
        f"proof = '{Proof.COUNTED}'",
    ),
    _Meaning(
        "_changes_read",
        "Loads that brought everything that had changed since an instant.",
        f"proof = '{Proof.CHANGES}'",
        "(filters->>'updated_since')::TIMESTAMPTZ AS since, ",
    ),
    _Meaning(
        "_module_off",
        "Days on which there was nothing to read, since the account's module was off.",
        f"proof = '{Proof.MODULE_OFF}'",
    ),
)


@dataclass(frozen=True, slots=True)
class LoadContext:
    """For whom a load is made: the Dagster run, the report (asset) that requested it, the Harvest
    account, and the person behind the token."""

    run_id: str
    report: str
    account_id: int
    reader: Reader


@dataclass(frozen=True, slots=True)
class Load:
    """One row of the ledger. `seconds` is the duration of the read; `deleted` rows were missing
    from the load and moved elsewhere. The fields are dotted names
    (`client.name`, `line_items.kind`) with the number of records concerned."""

    scope: Scope
    context: LoadContext
    proof: Proof
    requests: int
    rows: int
    total_entries: int | None
    seconds: float
    read_at: datetime
    unknown_fields: Mapping[str, int]
    missing_fields: Mapping[str, int]
    deleted: int = 0
    kept: int = 0
    kept_from: tuple[Reader, ...] = ()
    loaded_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    load_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @classmethod
    def of(
        cls,
        spool: Spool,
        context: LoadContext,
        unknown_fields: Mapping[str, int],
        missing_fields: Mapping[str, int],
    ) -> "Load":
        """The load of a spool, now."""
        return cls(
            scope=spool.scope,
            context=context,
            proof=spool.proof,
            requests=spool.requests,
            rows=spool.rows,
            total_entries=spool.total_entries,
            seconds=spool.seconds,
            read_at=spool.read_at,
            unknown_fields=unknown_fields,
            missing_fields=missing_fields,
        )


def refuse_another_account(connection: duckdb.DuckDBPyConnection, account_id: int) -> None:
    """Raise AnotherAccount if the ledger contains loads of another Harvest account."""
    if tables.exists(connection, LEDGER.name):
        _refuse_another_account(connection, account_id)


def _refuse_another_account(connection: duckdb.DuckDBPyConnection, account_id: int) -> None:
    others = connection.execute(
        f"SELECT DISTINCT account_id FROM {identifier(LEDGER.name)} WHERE account_id <> ?",
        [account_id],
    ).fetchall()
    if others:
        raise AnotherAccount(
            f"The schema holds records of the Harvest account {others[0][0]}, and this run reads "
            f"{account_id}; give each account a schema or a database of its own."
        )


def prepare_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the missing views on the ledger, whose table exists."""
    described = [*(each for each in LEDGER.columns if each.name in _OF_A_LOAD), _POSITION]
    for view in MEANINGS:
        if tables.exists(connection, view.name):
            continue
        connection.execute(
            f"CREATE VIEW {view.name} AS SELECT {view.columns}{comma(_OF_A_LOAD)},"
            f" rowid AS position FROM {LEDGER.name} WHERE {view.condition}"
        )
        connection.execute(f"COMMENT ON VIEW {view.name} IS {literal(view.description)}")
        shown = [*described, *([_SINCE] if view.columns else [])]
        comments = {column.name: column.description for column in shown}
        tables.comment_on_columns(connection, view.name, comments)


def write(connection: duckdb.DuckDBPyConnection, load: Load) -> None:
    """Add a load to the ledger, whose table exists. Raises AnotherAccount if it contains loads of
    another account."""
    _refuse_another_account(connection, load.context.account_id)
    window = load.scope.window
    row: dict[str, object] = {
        "load_id": load.load_id,
        "record": load.scope.record,
        "window_first": window and window.first,
        "window_last": window and window.last,
        "filters": _written(load.scope.filters),
        "run_id": load.context.run_id,
        "report": load.context.report,
        "account_id": load.context.account_id,
        "role": load.context.reader.role,
        "user_id": load.context.reader.user_id,
        "user_name": load.context.reader.name,
        "proof": str(load.proof),
        "requests": load.requests,
        "rows": load.rows,
        "deleted": load.deleted,
        "kept": load.kept,
        "total_entries": load.total_entries,
        "seconds": load.seconds,
        "read_at": load.read_at,
        "loaded_at": load.loaded_at,
        "unknown_fields": json.dumps(load.unknown_fields),
        "missing_fields": json.dumps(load.missing_fields),
    }
    connection.execute(
        f"INSERT INTO {identifier(LEDGER.name)} ({comma(map(identifier, row))})"
        f" VALUES ({comma('?' for _ in row)})",
        list(row.values()),
    )


def write_counted(
    connection: duckdb.DuckDBPyConnection,
    scope: Scope,
    context: LoadContext,
    read_at: datetime,
    total_entries: int,
) -> None:
    """Record that a scope was found to be equal, in the ledger, whose table exists.

    `read_at` is when the last changes were read, `total_entries` Harvest's count after that.
    """
    done = Load(scope, context, Proof.COUNTED, 1, 0, total_entries, 0.0, read_at, {}, {})
    write(connection, done)


def confirm(connection: duckdb.DuckDBPyConnection, load: Load) -> None:
    """Raise LoadNotCommitted unless the ledger has this load."""
    try:
        found = connection.execute(
            f"SELECT 1 FROM {identifier(LEDGER.name)} WHERE load_id = ?", [load.load_id]
        ).fetchall()
    except duckdb.CatalogException:  # not even its table was committed
        found = []
    if not found:
        raise LoadNotCommitted(
            f"The load of {load.scope} was not committed, although the database reported no "
            "error; what was there before is unchanged."
        )


def _written(filters: Filters) -> str | None:
    """Filters as JSON, without those that are not set; None if none is."""
    values = {name: value for name, value in asdict(filters).items() if value}
    return json.dumps(values, default=str) if values else None


def filters_of(text: str | None) -> Filters:
    """The filters in the column `filters` of a row of the ledger."""
    values: dict[str, Any] = json.loads(text) if text else {}
    for name in ("updated_since", "updated_before"):
        if name in values:
            values[name] = datetime.fromisoformat(values[name])
    for name in ("project_ids", "user_ids", "parent_ids"):
        values[name] = tuple(values.get(name, ()))
    return Filters(**values)


@dataclass(frozen=True, slots=True)
class LastLoad:
    """What a run has loaded of a record for a report: `rows` in total, the last of them at
    `loaded_at` (UTC)."""

    record: str
    report: str
    run_id: str
    rows: int
    loaded_at: datetime


def last_loads(connection: duckdb.DuckDBPyConnection) -> list[LastLoad]:
    """The last run of every record and report that requested it, the latest first."""
    if not tables.exists(connection, LEDGER.name):
        return []
    found = connection.execute(
        "SELECT record, report, run_id, sum(rows)::BIGINT, max(loaded_at) AS latest"
        f" FROM {identifier(LEDGER.name)} WHERE proof <> ? GROUP BY record, report, run_id"
        " QUALIFY row_number() OVER (PARTITION BY record, report ORDER BY latest DESC) = 1"
        " ORDER BY latest DESC",
        [str(Proof.MODULE_OFF)],
    ).fetchall()
    return [LastLoad(*row) for row in found]


def loaded_records(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """The records of which anything was ever loaded."""
    if not tables.exists(connection, LEDGER.name):
        return set()
    found = connection.execute(f"SELECT DISTINCT record FROM {identifier(LEDGER.name)}").fetchall()
    return {row[0] for row in found}


def last_loaded_at(connection: duckdb.DuckDBPyConnection) -> datetime | None:
    """When the latest load was committed, in UTC; None if there was none."""
    if not tables.exists(connection, LEDGER.name):
        return None
    # The one committed last, not the one with the latest time: clocks can be set back.
    found = connection.execute(
        f"SELECT loaded_at FROM {identifier(LEDGER.name)} ORDER BY rowid DESC LIMIT 1"
    ).fetchall()
    return found[0][0] if found else None
