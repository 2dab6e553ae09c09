"""What a run asks Harvest for: its parameters, put together with those of a dataset.

Belongs here: the one place where the run's days, its `report_options` and what a dataset fixes
become a scope, and where a parameter is refused or ignored.
Does not belong here: Dagster; what the parameters mean (options.py); reading.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from harvest_pipeline.datasets import Dataset
from harvest_pipeline.options import OptionsError, RunOptions, WindowOptions, start_of
from harvest_pipeline.scope import Filters, Scope, Window

#: Where a launch sets its parameters.
REPORT_OPTIONS = "report_options"
_WHERE = f"{REPORT_OPTIONS} of the launch"


@dataclass(frozen=True, slots=True)
class Days:
    """The days of a run.

    `run` are its partitions, today where it has none; `every` are all days that have a partition.
    `exact`: the partitions are the window already, whatever a dataset says. `timezone` is where
    days given as parameters begin.
    """

    run: Window
    every: Window
    timezone: str
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What is read for a dataset. `ignored` are parameters of the run that mean nothing for it;
    `anew`: what a table of its own holds is given up."""

    scope: Scope
    anew: bool = False
    ignored: tuple[str, ...] = ()


def asked(
    dataset: Dataset, values: Mapping[str, Any], days: Days, together: Sequence[Dataset]
) -> Asked:
    """What a run asks for one dataset.

    `values` are the parameters of the run as given, `together` all datasets of the run. Raises
    OptionsError for a value that cannot work, for a parameter that no dataset of the run takes,
    and for one that would lose rows of the dataset's table.
    """
    given = RunOptions.of(values, _WHERE)
    ignored = tuple(name for name in given.given if not dataset.takes_in_a_run(name))
    for name in ignored:
        if not any(each.takes_in_a_run(name) for each in together):
            raise OptionsError(_refusal(dataset, name))
    meant = RunOptions.model_validate(
        {name: getattr(given, name) for name in given.given if name not in ignored}
    ).over(dataset.options)
    if dataset.has_own_table and (reason := dataset.losing(meant)):
        raise OptionsError(f"{dataset.name}: {reason}; the parameter is set in {_WHERE}.")
    if days.exact and dataset.has_partitions:
        meant = meant.without_window()
    return Asked(_scope(dataset, meant, days), meant.full_refresh, ignored)


def _scope(dataset: Dataset, options: RunOptions, days: Days) -> Scope:
    record = dataset.record
    filters = options.filters(days.run.last, days.timezone)
    chosen = any(name in WindowOptions.model_fields for name in options.given)
    # A table of its own has no partitions that could say which days are meant: all of them.
    everything = options.full_refresh or not (chosen or dataset.has_partitions)
    window = days.every if everything else options.window(days.run, days.every)
    if record.day is not None:
        return Scope(record.name, window, filters)
    if chosen:
        filters = _changed_in(window, filters, days.timezone)
    return Scope(record.name, None, filters)


def _changed_in(window: Window, filters: Filters, timezone: str) -> Filters:
    """The window of a record without a day: that of `updated_at` (REFERENCE 16.2)."""
    first = start_of(window.first, timezone)
    end: date = window.last + timedelta(days=1)
    return replace(
        filters,
        updated_since=max(first, filters.updated_since or first),
        updated_before=start_of(end, timezone),
    )


def _refusal(dataset: Dataset, name: str) -> str:
    if name in dataset.options.given:
        return (
            f"The dataset {dataset.name} fixes {name} in harvest.yaml; remove {name} from {_WHERE}."
        )
    return (
        f"The report {dataset.report.name} has no {name}; it takes {dataset.parameters}. Remove "
        f"{name} from {_WHERE}."
    )
