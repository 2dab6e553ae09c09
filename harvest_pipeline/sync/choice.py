"""What `sync` is to do: which datasets, over which days, in how many runs.

Belongs here: the way from the arguments to plans of runs, and a sentence for each choice that
cannot work. It is made before anything is started.
Does not belong here: Dagster, Harvest.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from typing import Any

from harvest_pipeline.datasets import Dataset
from harvest_pipeline.options import OptionsError, RunOptions, WindowOptions
from harvest_pipeline.scope import Window
from harvest_pipeline.settings import Settings, SettingsError
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

    settings: Settings
    datasets: tuple[Dataset, ...]
    window: Window | None
    config: Mapping[str, Any]

    @property
    def plan(self) -> Plan:
        """The same for a worker."""
        return Plan(
            schema=self.settings.schema,
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
        return "its own" if _window_of(dataset.options) else "all"


def chosen_accounts(
    accounts: Sequence[Settings], name: str | None, reports: Sequence[str] = ()
) -> list[Settings]:
    """The account of that name; without a name those that have all these reports, and all accounts
    where none has. Raises SettingsError."""
    if name is None:
        having = [
            settings
            for settings in accounts
            if {dataset.name for dataset in settings.datasets}.issuperset(reports)
        ]
        return having or list(accounts)
    found = [settings for settings in accounts if settings.schema == name]
    if not found:
        raise SettingsError(
            f"There is no account {shown(name)}; there are: "
            f"{', '.join(each.schema for each in accounts)}."
        )
    return found


def options_of(given: Mapping[str, Any]) -> RunOptions:
    """The options of the command, by the parameter that each is. Raises SettingsError."""
    try:
        return RunOptions.of(given, "the command")
    except OptionsError as error:
        raise _as_typed(error) from None


def runs_of(settings: Settings, names: Sequence[str], options: RunOptions) -> list[Run]:
    """The runs with which Dagster can do it: one, unless datasets have days of their own.

    Raises SettingsError for names that are not there, for an option that nothing takes, and for
    days that have no partition.
    """
    datasets = _chosen(settings, names)
    for option in options.given:
        if not any(dataset.takes_in_a_run(option) for dataset in datasets):
            raise SettingsError(_refusal(option, datasets))
    try:
        windows = {each.name: _window(each, options, settings) for each in datasets}
        config = _config(datasets, options, settings)
    except OptionsError as error:
        raise _as_typed(error) from None
    of_runs = list(dict.fromkeys(window for window in windows.values() if window)) or [None]
    return [
        Run(
            settings,
            tuple(
                dataset
                for dataset in datasets
                # What has no partitions goes with the first run.
                if (windows[dataset.name] or of_runs[0]) == window
            ),
            window,
            config,
        )
        for window in of_runs
    ]


def ignored(runs: Sequence[Run], options: RunOptions) -> list[str]:
    """A line for the options that mean nothing for some of the datasets."""
    by_names: dict[tuple[str, ...], list[str]] = {}
    for option in options.given:
        names = tuple(
            dataset.name
            for run in runs
            for dataset in run.datasets
            if not dataset.takes_in_a_run(option)
        )
        if names:
            by_names.setdefault(names, []).append(OPTIONS[option])
    return [
        f"{' and '.join(typed)} {'means' if len(typed) == 1 else 'mean'} nothing for "
        f"{', '.join(names)}."
        for names, typed in by_names.items()
    ]


def _chosen(settings: Settings, names: Sequence[str]) -> list[Dataset]:
    """The datasets of these names in their own order; without names, all reports."""
    known = {dataset.name: dataset for dataset in settings.datasets}
    for name in names:
        if name not in known:
            close = get_close_matches(name, known, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(close)}?" if close else "these are the ones there:"
            rest = "" if close else f" {', '.join(known)}."
            raise SettingsError(
                f"{settings.schema} has no report {shown(name)}; {hint}{rest} "
                "`harvest-pipeline reports` lists them."
            )
    if names:
        return [dataset for name, dataset in known.items() if name in names]
    reports = [dataset for dataset in known.values() if dataset.is_report]
    if not reports:
        raise SettingsError(
            f"All reports of {settings.schema} are switched off; name what to read: "
            f"{', '.join(known)}."
        )
    return reports


def _window(dataset: Dataset, options: RunOptions, settings: Settings) -> Window | None:
    """The days that are read of a dataset with partitions: the command's, else its own, else the
    last HARVEST_DAYS_BACK and today. Raises OptionsError."""
    if not dataset.has_partitions:
        return None
    if options.full_refresh:
        return _every(settings)
    for given in (options, dataset.options):
        if _window_of(given):
            return given.window(_today(settings), _every(settings))
    return settings.recent_days(settings.today())


def _config(datasets: Sequence[Dataset], options: RunOptions, settings: Settings) -> dict[str, Any]:
    """The options without the days, which are the run's partitions. But a dataset can be read by
    days without having partitions."""
    config = {
        name: _plain(getattr(options, name))
        for name in options.given
        if name not in WindowOptions.model_fields
    }
    if _window_of(options) and any(
        dataset.takes("start_date") and not dataset.has_partitions for dataset in datasets
    ):
        window = options.window(_today(settings), _every(settings))
        config |= {"start_date": str(window.first), "end_date": str(window.last)}
    return config


def _window_of(options: RunOptions) -> bool:
    return not WindowOptions.model_fields.keys().isdisjoint(options.given)


def _today(settings: Settings) -> Window:
    return Window(settings.today(), settings.today())


def _every(settings: Settings) -> Window:
    return Window(settings.start_date, settings.today())


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
