"""An asset of one's own: a payroll, computed from a model and kept month by month.

`.venv/bin/dagster dev -f docs/examples/payroll.py` shows it beside the account's tables.
"""

import dagster as dg
import pandas as pd

from harvest_pipeline import build_definitions


@dg.asset(
    # The first part of a key is the schema: the table stands beside those of the account.
    key=["harvest", "payroll"],
    group_name="payroll",
    ins={"months": dg.AssetIn(key=["harvest", "utilisation_monthly"])},
    partitions_def=dg.MonthlyPartitionsDefinition(start_date="2025-01-01"),
    # A run replaces the rows of its month only, so that a month that was paid stays as it was,
    # whatever is changed in Harvest later.
    metadata={"partition_expr": "month"},
)
def payroll(context: dg.AssetExecutionContext, months: pd.DataFrame) -> pd.DataFrame:
    """What each employee is paid for: the hours of a month, and those above the capacity."""
    is_month = months["month"] == pd.Timestamp(context.partition_key)
    rows = months[is_month & months["is_contractor"].eq(False)]
    above = (rows["hours"] - rows["capacity_hours"]).clip(lower=0).round(2)
    columns = ["month", "user_id", "user_name", "hours", "capacity_hours", "overtime_hours"]
    return rows.assign(month=rows["month"].dt.date, overtime_hours=above)[columns]


defs = dg.Definitions.merge(build_definitions(), dg.Definitions(assets=[payroll]))
