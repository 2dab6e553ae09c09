"""Combines the days and parameters of a run and of a dataset into one scope, or rejects them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from harvest_pipeline.scope import Scope, Window
from harvest_pipeline.settings.datasets import Dataset
from harvest_pipeline.settings.parameters import DAYS, OptionsError, RunOptions, start_of

#: The Dagster resource through which a launch sets its parameters.
REPORT_OPTIONS = "report_options"
_WHERE = f"{REPORT_OPTIONS} of the launch"


@dataclass(frozen=True, slots=True)
class Days:
    """The days of a run.

    `run` are its partitions, today if it has none; `every` are all days that have a partition.
    `timezone` is where days given as parameters begin.
    """

    run: Window
    every: Window
    timezone: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a run reads for a dataset. `ignored` are parameters of the run that it does not use;
    `full_refresh`: the content of its own table is dropped first."""

    scope: Scope
    full_refresh: bool = False
    ignored: tuple[str, ...] = ()


def resolve(
    dataset: Dataset, values: Mapping[str, Any], days: Days, together: Sequence[Dataset]
) -> Resolved:
    """What a run reads for one dataset.

    `values` are the parameters of the run as given, `together` all datasets of the run. Raises
    OptionsError for an invalid value, for days if a dataset of the run has partitions, for a
    parameter that no dataset of the run uses, and for one that would lose rows of the dataset's
    table.
    """
    given = RunOptions.of(values, _WHERE)
    _refuse_days(given, together)
    ignored = tuple(name for name in given.given if not dataset.takes_in_a_run(name))
    for name in ignored:
        if not any(each.takes_in_a_run(name) for each in together):
            raise OptionsError(_refusal(dataset, name))
    options = given.only(set(given.given) - set(ignored)).over(dataset.options)
    if dataset.has_own_table and (reason := dataset.losing(options)):
        raise OptionsError(
            f"{dataset.name}: update: {dataset.update} {reason}; the parameter is set in {_WHERE}."
        )
    return Resolved(_scope(dataset, options, days), options.full_refresh, ignored)


def _scope(dataset: Dataset, options: RunOptions, days: Days) -> Scope:
    record, today = dataset.record, days.run.last
    filters = replace(options.part, updated_since=options.since(today, days.timezone))
    if dataset.has_partitions:
        return Scope(record.name, days.run, filters)
    if record.is_snapshot:
        return Scope(record.name, Window(days.every.last, days.every.last), filters)
    window = options.days(today, days.every) if options.has_window else days.every
    if record.day is not None:
        return Scope(record.name, window, filters)
    if options.has_window:  # for a record without a day: the window of `updated_at`
        first = start_of(window.first, days.timezone)
        filters = replace(
            filters,
            updated_since=max(first, filters.updated_since or first),
            updated_before=start_of(window.last + timedelta(days=1), days.timezone),
        )
    return Scope(record.name, None, filters)


def _refuse_days(given: RunOptions, together: Sequence[Dataset]) -> None:
    """Reject days in a launch if it materializes a dataset with partitions: Dagster would show
    other days as materialized than were read."""
    names = [name for name in given.given if name in DAYS]
    with_days = [dataset.name for dataset in together if dataset.has_partitions]
    if names and with_days:
        raise OptionsError(
            f"{names[0]} is set in {_WHERE}, but {with_days[0]} has a partition for each day; "
            f"remove {names[0]} and choose the days as the partitions of the run."
        )


def _refusal(dataset: Dataset, name: str) -> str:
    if name in dataset.options.given:
        return (
            f"The dataset {dataset.name} fixes {name} in harvest.yaml; remove {name} from {_WHERE}."
        )
    return (
        f"The report {dataset.report.name} has no {name}; it takes {dataset.parameters_in_a_run}. "
        f"Remove {name} from {_WHERE}."
    )
