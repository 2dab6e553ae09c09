"""The asset checks of every dataset, evaluated right after its load."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any, cast

import dagster as dg
import duckdb

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.scope import Reader, Scope
from harvest_pipeline.settings.datasets import Dataset, Update
from harvest_pipeline.warehouse import integrity

_KEY = "key_is_unique"
_WINDOW = "rows_are_inside_their_window"
_DROP = "no_day_dropped_suddenly"
_REFERENCES = "references_are_known"
_FIELDS = "fields_are_known"
_ASIDE = "no_record_is_set_aside"
_ROLE = "everything_is_visible"
#: Where one of these fails, sums are wrong, so what is computed from the asset waits.
_BLOCKING = {_KEY, _WINDOW}


def check_specs(dataset: Dataset, asset: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """The checks of a dataset: those that its table or view can fail."""
    record = dataset.record
    descriptions = {
        _KEY: f"No {record.key} stands in two rows.",
        _WINDOW: "Every row lies on a day of the window whose load brought it.",
        _DROP: "No finished day has less than a tenth of the rows that its weekday usually has; a "
        "holiday has, and so has a day that Harvest did not give in full.",
        _REFERENCES: "The clients, people, projects, … that rows refer to are in their tables, as "
        "far as those have been loaded.",
        _FIELDS: "Harvest sent every field that the columns are made for, and no other.",
        _ASIDE: "Every record that Harvest sent is in the table. One that does not fit there is in "
        "_rejected, and an older row of it stays, until Harvest sends it in another form.",
        _ROLE: "The person behind the token is an administrator, whom Harvest shows everything.",
    }
    without = _not_asked(dataset)
    return [
        dg.AssetCheckSpec(name, asset=asset, description=description, blocking=name in _BLOCKING)
        for name, description in descriptions.items()
        if name not in without
    ]


def _not_asked(dataset: Dataset) -> set[str]:
    """The checks that a dataset does not need: a record without a day has no window, a history
    repeats keys, and rows of an own table and of a snapshot stay after the rows that they refer to
    are gone."""
    without: set[str] = set()
    if not dataset.has_partitions:
        without |= {_WINDOW, _DROP}
    if dataset.has_own_table or dataset.record.is_snapshot:
        without.add(_REFERENCES)
    if dataset.update is Update.APPEND:
        without.add(_KEY)
    return without


def check_results(
    connection: duckdb.DuckDBPyConnection,
    dataset: Dataset,
    scope: Scope,
    reader: Reader,
    asset: dg.AssetKey,
    today: date,
) -> Iterator[dg.AssetCheckResult]:
    """The results for the current state of the warehouse, as `reader` could load it; `today` is the
    day that is not over yet."""
    record, without = dataset.record, _not_asked(dataset)

    def result(
        name: str, wrong: Mapping[str, Any], severity: dg.AssetCheckSeverity
    ) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(
            asset_key=asset,
            check_name=name,
            passed=not wrong,
            severity=severity,
            metadata={key: _shown(value) for key, value in wrong.items()},
        )

    if _KEY not in without:
        duplicated = integrity.duplicated_keys(connection, record, dataset.name)
        yield result(_KEY, _finding("duplicated", duplicated), dg.AssetCheckSeverity.ERROR)
    if _WINDOW not in without:
        outside = integrity.rows_outside_window(connection, record)
        yield result(_WINDOW, _finding("outside", outside), dg.AssetCheckSeverity.ERROR)
    if _DROP not in without:
        dropped = integrity.sudden_drops(connection, record, dataset.name, scope.window, today)
        yield result(_DROP, _finding("dropped", dropped), dg.AssetCheckSeverity.WARN)
    if _REFERENCES not in without:
        unknown: dict[str, Any] = {}
        for column, finding in integrity.unknown_references(connection, record).items():
            unknown |= _finding(column, finding)
        # A client created a minute ago is not in a table that was loaded an hour ago.
        yield result(_REFERENCES, unknown, dg.AssetCheckSeverity.WARN)
    drift = integrity.field_drift(connection, scope)
    fields = {f"unknown: {name}": count for name, count in sorted(drift.unknown.items())}
    fields |= {f"missing: {name}": count for name, count in sorted(drift.missing.items())}
    yield result(_FIELDS, fields, dg.AssetCheckSeverity.WARN)
    aside = _finding("set aside", integrity.set_aside(connection, record))
    yield result(_ASIDE, aside, dg.AssetCheckSeverity.ERROR)
    yield result(_ROLE, _hidden(record, reader), dg.AssetCheckSeverity.ERROR)


def unsound(dataset: Dataset, results: Iterable[dg.AssetCheckResult]) -> str | None:
    """The sentence about rows that make sums wrong; None if there are none.

    Dagster's own error for a blocking check names no row and no remedy.
    """
    failed = [each for each in results if not each.passed and each.check_name in _BLOCKING]
    if not failed:
        return None
    found = "; ".join(f"{each.check_name}: {_in_words(each.metadata)}" for each in failed)
    table = dataset.name if dataset.has_own_table else dataset.record.name
    return (
        f"The rows of {table} are not sound, so what is computed from them waits ({found}). Read "
        "all of them again: `harvest-pipeline sync` with this report and --full-refresh."
    )


def _in_words(metadata: Mapping[str, dg.MetadataValue[Any]]) -> str:
    """How many, and which, of `_finding`."""
    number, examples = (each.value for each in metadata.values())
    return f"{number}, for example {', '.join(cast('list[str]', examples))}"


def evaluation(asset: dg.AssetKey, result: dg.AssetCheckResult) -> dg.AssetCheckEvaluation:
    """The result as an event that an op can report for an asset that it does not materialize."""
    return dg.AssetCheckEvaluation(
        asset_key=asset,
        check_name=result.check_name or "",
        passed=result.passed,
        severity=result.severity,
        metadata=result.metadata,
        description=result.description,
    )


def _finding(name: str, finding: integrity.Finding) -> dict[str, Any]:
    if not finding.count:
        return {}
    return {name: finding.count, f"{name}, for example": list(finding.examples)}


def _hidden(record: Record, reader: Reader) -> dict[str, str]:
    """What a person who is not an administrator has to know."""
    if reader.role == "administrator":
        return {}
    return {
        "role": reader.role,
        "person": reader.name,
        "what may be missing": f"Harvest leaves out, without an error, what this person may not "
        f"see of {record.title.lower()}: {record.permission}. Use an administrator's token.",
    }


def _shown(value: Any) -> Any:
    return value if isinstance(value, int | str) else dg.MetadataValue.json([str(v) for v in value])
