"""The asset `<schema>/reconciliation`, the statement of warehouse and Harvest, and the checks that
compare the two.

No run of reports materializes it: the job `<schema>_reconcile` reports it, and its checks can be
run on their own. They use requests of a limit of 100 in 15 minutes.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from harvest_pipeline.loading.figures import RECORDS, Theme, themes
from harvest_pipeline.loading.statement import Statement
from harvest_pipeline.loading.verify import (
    Outcome,
    Verdict,
    compare,
    days_in_words,
    month_of,
    reasons,
    verdict,
)
from harvest_pipeline.orchestration.checks import evaluation
from harvest_pipeline.orchestration.metadata import EVERY_NIGHT, markdown
from harvest_pipeline.orchestration.narrow import narrow
from harvest_pipeline.orchestration.partitions import existing_days
from harvest_pipeline.orchestration.resources import HarvestResource
from harvest_pipeline.orchestration.steps import Retries, explained
from harvest_pipeline.safety.text import unlinked
from harvest_pipeline.settings import Account
from harvest_pipeline.warehouse.database import warehouse_of

_MOST_SHOWN = 20

CHECKS: dict[Theme, tuple[str, str]] = {
    "time": (
        "equals_harvest_time_reports",
        "Harvest comparison: hours, billable hours and billable amounts by client, project, task, "
        "person and currency are those of Harvest's time reports, in every month since "
        "HARVEST_START_DATE.",
    ),
    "expenses": (
        "equals_harvest_expense_reports",
        "Harvest comparison: expenses and their billable part by client, project, category, person "
        "and currency are those of Harvest's expense reports, in every month since "
        "HARVEST_START_DATE.",
    ),
    "uninvoiced": (
        "equals_harvest_uninvoiced_report",
        "Harvest comparison: uninvoiced hours, expenses and amounts of every project that is "
        "billed by hours are those of Harvest's uninvoiced report, in every month since "
        "HARVEST_START_DATE.",
    ),
}


def reconciliation_key(account: Account) -> dg.AssetKey:
    """The key of the asset of an account."""
    return dg.AssetKey([account.name, "reconciliation"])


def reconciliation_assets(accounts: Sequence[Account]) -> list[dg.AssetSpec]:
    """The asset of each account for which anything can be compared."""
    return [
        dg.AssetSpec(
            reconciliation_key(account),
            description="The Harvest comparison, which says whether the warehouse equals Harvest: "
            "the statement of the last night, and the checks that compare with Harvest's own "
            f"reports. The job {account.name}_reconcile makes both.",
            group_name=account.group("reconciliation"),
            owners=account.project.owners,
            kinds={"duckdb", "report"},
            freshness_policy=EVERY_NIGHT,
            deps=[
                dg.AssetKey([account.name, each.name])
                for each in account.datasets
                if each.is_report and each.record.name in _records(account)
            ],
        )
        for account in accounts
        if themes(account)
    ]


def reconciliation_checks(accounts: Sequence[Account]) -> list[dg.AssetsDefinition]:
    """A check for each theme of each account."""
    return [narrow(_check(account, theme)) for account in accounts for theme in themes(account)]


def statement_events(
    account: Account, statement: Statement
) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    """The statement as a materialization of the asset, and the results of its checks."""
    key, data = reconciliation_key(account), statement.data()
    metadata: dict[str, Any] = {
        "verdict": data["verdict"],
        "statement": dg.MetadataValue.md(
            f"**{data['verdict'].capitalize()}**: {data['from']} to {data['to']}, compared at "
            f"{data['compared_at']}\n\n{markdown(data['figures'])}"
        ),
        "differences": len(data["differences"]),
        "requests": data["requests"],
    }
    if data["remarks"]:
        metadata["remarks"] = " ".join(data["remarks"])
    yield dg.AssetMaterialization(key, metadata=metadata)
    for outcome in statement.outcomes:
        yield evaluation(key, check_result(outcome, CHECKS[outcome.theme][0]))


def _records(account: Account) -> set[str]:
    return {record for theme in themes(account) for record in RECORDS[theme]}


def _check(account: Account, theme: Theme) -> dg.AssetChecksDefinition:
    name, description = CHECKS[theme]

    @dg.asset_check(
        asset=reconciliation_key(account),
        name=name,
        description=description,
        required_resource_keys={account.name},
    )
    def comparison(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        harvest: HarvestResource = getattr(context.resources, account.name)
        warehouse = warehouse_of(account, context.log.info)
        days = existing_days(account.project)
        with explained(Retries.of(None)):
            outcome = compare(harvest.client(account), warehouse, theme, days, days.last)
        return check_result(outcome)

    return comparison


def check_result(outcome: Outcome, name: str | None = None) -> dg.AssetCheckResult:
    """The outcome as a check result with this `name`: a difference is an error, an unproven figure
    a warning."""
    ended = verdict(outcome)
    different = len(outcome.differences)
    headline = f"{different or 'None'} of {len(outcome.pairs):,} figures differ."
    return dg.AssetCheckResult(
        check_name=name,
        passed=ended is Verdict.EQUAL,
        severity=dg.AssetCheckSeverity.ERROR
        if ended is Verdict.DIFFERENT
        else dg.AssetCheckSeverity.WARN,
        description=unlinked(" ".join([headline, *reasons(outcome)])),
        metadata=_metadata(outcome),
    )


def _metadata(outcome: Outcome) -> dict[str, Any]:
    rows = [
        {
            "month": month_of(each.window),
            "of": f"{each.question.about} {each.name} ({each.subject_id})",
            "figure": f"{each.title} {each.currency}",
            "Harvest": f"{each.harvest.normalize():f}",
            "warehouse": f"{each.warehouse.normalize():f}",
        }
        for each in outcome.differences[:_MOST_SHOWN]
    ]
    return {
        "compared_at": dg.MetadataValue.timestamp(outcome.at),
        "days_compared": days_in_words(outcome.compared) or "none",
        "figures_compared": len(outcome.pairs),
        "requests": outcome.requests,
        "differences": len(outcome.differences),
        **({"first_differences": dg.MetadataValue.md(markdown(rows))} if rows else {}),
        "person": f"{outcome.identity.user_name}, {outcome.identity.role}",
    }
