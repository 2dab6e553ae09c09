"""What `sync` is to do: which datasets, over which days, in how many runs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from typing import Any

from harvest_pipeline.scope import Window
from harvest_pipeline.settings import Account, SettingsError
from harvest_pipeline.settings.datasets import Dataset
from harvest_pipeline.settings.parameters import DAYS, OptionsError, RunOptions
from harvest_pipeline.sync.messages import Plan
from harvest_pipeline.text import shown

#: Of the command, by the parameter of a run that they are.
OPTIONS = {
    "days_back": "--days-back",
    "start_date": "--from",
    "end_date": "--to",
    "days_back_to_start_from": "--days-back-to-start-from",
    "days_back_to_end_at": "--days-back-to-end-at",
    "project_ids": "--project-ids",
    "user_ids": "--user-ids",
    "invoice_status": "--invoice-status",
    "updated_since": "--updated-since",
    "updated_since_days_back": "--updated-since-days-back",
    "full_refresh": "--full-refresh",
}
_NAMES = re.compile(rf"(?<![\w-])({'|'.join(sorted(OPTIONS, key=len, reverse=True))})(?!\w)")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one account. `window` are its partitions, None where no dataset has any.
    `config` is that of the resource `report_options`."""

    settings: Account
    datasets: tuple[Dataset, ...]
    window: Window | None
    config: Mapping[str, Any]

    @property
    def plan(self) -> Plan:
        """The same for a worker."""
        return Plan(
            schema=self.settings.name,
            datasets=tuple(dataset.name for dataset in self.datasets),
            first=self.window and self.window.first,
            last=self.window and self.window.last,
            options=dict(self.config),
        )

    def days_of(self, name: str) -> str:
        """The days that are read of a dataset, for a person."""
        dataset = next(each for each in self.datasets if each.name == name)
        if dataset.has_partitions:
            return str(self.window)
        if "start_date" in self.config and dataset.takes("start_date"):
            return f"{self.config['start_date']} to {self.config['end_date']}"
        return "its own" if dataset.options.has_window else "all"


def chosen_accounts(
    accounts: Sequence[Account], name: str | None, reports: Sequence[str] = ()
) -> list[Account]:
    """The account of that name; without a name those that have all these reports, and all accounts
    where none has. Raises SettingsError."""
    if name is None:
        having = [
            settings
            for settings in accounts
            if {dataset.name for dataset in settings.datasets}.issuperset(reports)
        ]
        return having or list(accounts)
    found = [settings for settings in accounts if settings.name == name]
    if not found:
        raise SettingsError(
            f"There is no account {shown(name)}; there are: "
            f"{', '.join(each.name for each in accounts)}."
        )
    return found


def options_of(given: Mapping[str, Any]) -> RunOptions:
    """The options of the command, by the parameter that each is. Raises SettingsError."""
    try:
        return RunOptions.of(given, "the command")
    except OptionsError as error:
        raise _as_typed(error) from None


def takes(dataset: Dataset, option: str) -> bool:
    """Whether an option means anything for a dataset; of one with partitions it chooses them."""
    return (dataset.has_partitions and option in DAYS) or dataset.takes_in_a_run(option)


def runs_of(settings: Account, names: Sequence[str], options: RunOptions) -> list[Run]:
    """The runs with which Dagster can do it: one, unless datasets have days of their own.

    Raises SettingsError for names that are not there, for an option that nothing takes, and for
    days that have no partition.
    """
    datasets = _chosen(settings, names)
    for option in options.given:
        if not any(takes(dataset, option) for dataset in datasets):
            raise SettingsError(_refusal(option, datasets))
    try:
        windows = [_window(each, options, settings) for each in datasets]
        days = _days(options, settings)
    except OptionsError as error:
        raise _as_typed(error) from None
    first = next((window for window in windows if window), None)
    of_runs: dict[Window | None, list[Dataset]] = {}
    for dataset, window in zip(datasets, windows, strict=True):
        # What has no partitions goes with the first run, unless it has to be given its days, which
        # a run over partitions does not take.
        alone = days and dataset.has_own_table
        of_runs.setdefault(None if alone else window or first, []).append(dataset)
    part = {name: _plain(getattr(options, name)) for name in options.given if name not in DAYS}
    return [
        Run(settings, tuple(each), window, part if window else {**part, **days})
        for window, each in of_runs.items()
    ]


def ignored(runs: Sequence[Run], options: RunOptions) -> list[str]:
    """A line for the options that mean nothing for some of the datasets."""
    by_names: dict[tuple[str, ...], list[str]] = {}
    for option in options.given:
        names = tuple(
            dataset.name for run in runs for dataset in run.datasets if not takes(dataset, option)
        )
        if names:
            by_names.setdefault(names, []).append(OPTIONS[option])
    return [
        f"{' and '.join(typed)} {'means' if len(typed) == 1 else 'mean'} nothing for "
        f"{', '.join(names)}."
        for names, typed in by_names.items()
    ]


def _chosen(settings: Account, names: Sequence[str]) -> list[Dataset]:
    """The datasets of these names in their own order; without names, all reports."""
    known = {dataset.name: dataset for dataset in settings.datasets}
    for name in names:
        if name not in known:
            close = get_close_matches(name, known, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(close)}?" if close else "these are the ones there:"
            rest = "" if close else f" {', '.join(known)}."
            raise SettingsError(
                f"{settings.name} has no report {shown(name)}; {hint}{rest} "
                "`harvest-pipeline reports` lists them."
            )
    if names:
        return [dataset for name, dataset in known.items() if name in names]
    reports = [dataset for dataset in known.values() if dataset.is_report]
    if not reports:
        raise SettingsError(
            f"All reports of {settings.name} are switched off; name what to read: "
            f"{', '.join(known)}."
        )
    return reports


def _window(dataset: Dataset, options: RunOptions, settings: Account) -> Window | None:
    """The days that are read of a dataset with partitions: the command's, else its own, else the
    last HARVEST_DAYS_BACK and today. Raises OptionsError."""
    if not dataset.has_partitions:
        return None
    if options.full_refresh:
        return _every(settings)
    if options.has_window:
        return options.days(settings.project.today(), _every(settings))
    return settings.project.days_of(dataset, settings.project.today(), _every(settings))


def _days(options: RunOptions, settings: Account) -> dict[str, Any]:
    """The days as parameters of a run without partitions. Raises OptionsError."""
    if options.full_refresh:
        return {"full_refresh": True}
    if not options.has_window:
        return {}
    window = options.days(settings.project.today(), _every(settings))
    return {"start_date": str(window.first), "end_date": str(window.last)}


def _every(settings: Account) -> Window:
    return Window(settings.project.start_date, settings.project.today())


def _plain(value: object) -> object:
    """A value as JSON has it."""
    if isinstance(value, date):  # datetime too
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def _refusal(option: str, datasets: Sequence[Dataset]) -> str:
    typed = OPTIONS[option]
    if fixed := [each.name for each in datasets if option in each.options.given]:
        return f"{', '.join(fixed)}: {option} is fixed in harvest.yaml; leave {typed} out."
    names = ", ".join(dataset.name for dataset in datasets)
    return f"{typed} means nothing for {names}; leave it out, or name other reports."


def _as_typed(error: OptionsError) -> SettingsError:
    """The same sentence with the names that were typed."""
    return SettingsError(_NAMES.sub(lambda match: OPTIONS[match[0]], str(error)))
