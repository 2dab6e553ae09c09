"""What is left of fixed fees: the part of the uninvoiced report that has no days.

Belongs here: when it can be compared at all, and comparing it.
Does not belong here: the arithmetic of a fee (figures.py).
"""

import duckdb
import msgspec

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.equality.figures import rows_of
from harvest_pipeline.equality.pairs import Pair, pairs
from harvest_pipeline.equality.questions import FIXED_FEES
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import PermissionMissing, RecordNotFound
from harvest_pipeline.harvest.reports import read_report
from harvest_pipeline.scope import Window
from harvest_pipeline.warehouse import tables
from harvest_pipeline.warehouse.database import Warehouse


class _Count(msgspec.Struct):
    total_entries: int


_decoder = msgspec.json.Decoder(_Count)


def has_fees(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether the warehouse has a billable project with a fixed fee."""
    query = "SELECT 1 FROM projects WHERE is_fixed_fee AND is_billable LIMIT 1"
    return bool(connection.execute(query).fetchall())


def compare_fees(
    client: HarvestClient, warehouse: Warehouse, today: Window
) -> tuple[list[Pair], str | None]:
    """The fixed-fee projects beside Harvest's report of `today`; or why they cannot be compared.

    A fee is reduced by every invoice there ever was, so all of them must be in the warehouse. Costs
    two requests. Raises HarvestError.
    """
    try:
        answer, _ = client.get(
            f"{client.api_url}/invoices",
            _decoder,
            {"per_page": "1"},
            RECORDS["invoices"].permission,
        )
        rows = read_report(client, FIXED_FEES.path, today, FIXED_FEES.permission)
    except (PermissionMissing, RecordNotFound) as error:
        return [], f"Fixed fees: not comparable. {error}"
    with warehouse.reader() as connection:
        if not tables.exists(connection, "invoices"):
            return [], "Fixed fees: not comparable, no invoice has been loaded."
        ours = rows_of(connection, FIXED_FEES, today)
        loaded = connection.execute("SELECT count(*) FROM invoices").fetchall()[0][0]
    if loaded != answer.total_entries:
        return [], (
            f"Fixed fees: not comparable, the warehouse has {loaded:,} of {answer.total_entries:,} "
            "invoices, and each of them reduces a fee."
        )
    fixed = {subject for subject, _ in ours}
    theirs = [row for row in rows if row.project_id in fixed]
    return pairs(FIXED_FEES, today, theirs, ours), None
