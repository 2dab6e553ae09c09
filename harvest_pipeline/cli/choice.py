"""Which Dagster runs `sync` makes: their datasets, days and parameters."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, TypeVar

import click

from harvest_pipeline.safety.text import shown
from harvest_pipeline.scope import Window
from harvest_pipeline.settings import Account, SettingsError
from harvest_pipeline.settings.datasets import Dataset
from harvest_pipeline.settings.parameters import DAYS, OptionsError, RunOptions

C = TypeVar("C", bound=Callable[..., Any])

#: The command-line option for each parameter of a run.
OPTIONS = {
    name: {"start_date": "--from", "end_date": "--to"}.get(name, f"--{name.replace('_', '-')}")
    for name in RunOptions.model_fields
}
_NAMES = re.compile(rf"(?<![\w-])({'|'.join(sorted(OPTIONS, key=len, reverse=True))})(?!\w)")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one account. `window` is the range of its partitions, None if no dataset has any.
    `config` is the config of the resource `report_options`. `with_models`: it creates the models of
    the account in the end. `job`: it is a run of this job instead, without datasets."""

    account: Account
    datasets: tuple[Dataset, ...]
    window: Window | None
    config: Mapping[str, Any]
    with_models: bool = False
    job: str | None = None

    def days_of(self, dataset: Dataset) -> str:
        """The days that are read for a dataset, as text."""
        if dataset.has_partitions:
            return str(self.window)
        if "start_date" in self.config and dataset.takes("start_date"):
            return f"{self.config['start_date']} to {self.config['end_date']}"
        if "full_refresh" in self.config:
            return "all"
        return str(_own_days(self.account, dataset) or "all")


def run_options(command: C) -> C:
    """Give a click command an option for each parameter of a run."""
    for name, field in reversed(RunOptions.model_fields.items()):
        command = click.option(
            OPTIONS[name],
            name,
            is_flag=field.annotation is bool or None,  # False would make its value optional
            metavar=None if field.annotation is bool else "N" if "days_back" in name else "VALUE",
            help=_as_typed(field.description or "").removesuffix(" Days."),
        )(command)
    return command


def options_of(given: Mapping[str, Any]) -> RunOptions:
    """The command's options, by run parameter. Raises SettingsError."""
    numbers = {
        name: int(value)
        for name, value in given.items()
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value)
    }
    try:
        return RunOptions.of({**given, **numbers}, "the command")
    except OptionsError as error:
        raise SettingsError(_as_typed(str(error))) from None


def chosen_accounts(
    accounts: Sequence[Account], name: str | None, reports: Sequence[str] = ()
) -> list[Account]:
    """The account of that name. Without a name, the accounts that have all these reports; if there
    are none, all accounts. Raises SettingsError."""
    if name is None:
        having = [
            account
            for account in accounts
            if {dataset.name for dataset in account.datasets}.issuperset(reports)
        ]
        return having or list(accounts)
    found = [account for account in accounts if account.name == name]
    if not found:
        raise SettingsError(
            f"There is no account {shown(name)}; there are: "
            f"{', '.join(each.name for each in accounts)}."
        )
    return found


def one_account(accounts: Sequence[Account], name: str | None) -> Account:
    """The account of that name; without a name, the only one. Raises SettingsError."""
    chosen = chosen_accounts(accounts, name)
    if len(chosen) > 1:
        raise SettingsError(
            f"There are several accounts ({', '.join(each.name for each in chosen)}); name one with"
            " --account."
        )
    return chosen[0]


def takes(dataset: Dataset, option: str) -> bool:
    """Whether a dataset uses an option; for a dataset with partitions it chooses the partitions."""
    return (dataset.has_partitions and option in DAYS) or dataset.takes_in_a_run(option)


def runs_of(account: Account, names: Sequence[str], options: RunOptions) -> list[Run]:
    """The Dagster runs that are needed: one, unless datasets have days of their own. Where all
    reports are read, the last one creates the models.

    Raises SettingsError for unknown names, for an option that no dataset uses, and for days that
    have no partition.
    """
    datasets = _chosen(account, names)
    for option in options.given:
        if not any(takes(dataset, option) for dataset in datasets):
            raise SettingsError(_refusal(option, datasets))
    today = account.project.today()
    every = Window(account.project.start_date, today)
    days: dict[str, Any] = {}
    try:
        if options.full_refresh:
            asked, days = every, {"full_refresh": True}
        elif options.has_window:
            asked = options.days(today, every)
            days = {"start_date": str(asked.first), "end_date": str(asked.last)}
        else:
            asked = None
    except OptionsError as error:
        raise SettingsError(_as_typed(str(error))) from None
    own = [None if asked else _own_days(account, each) for each in datasets]
    windows = [
        (asked or window) if each.has_partitions else None
        for each, window in zip(datasets, own, strict=True)
    ]
    first = next(filter(None, windows), None)
    of_runs: dict[Window | None, list[Dataset]] = {}
    for dataset, window in zip(datasets, windows, strict=True):
        # Unpartitioned datasets go with the first run, unless their days have to be given, which a
        # run over partitions does not accept.
        alone = days and dataset.has_own_table
        of_runs.setdefault(None if alone else window or first, []).append(dataset)
    part = options.model_dump(mode="json", include=set(options.given) - set(DAYS))
    runs = [
        Run(account, tuple(each), window, part if window else {**part, **days})
        for window, each in of_runs.items()
    ]
    if all(each in datasets for each in account.datasets if each.is_report):
        runs[-1] = replace(runs[-1], with_models=True)
    return runs


def ignored(runs: Sequence[Run], options: RunOptions, *, named: bool) -> list[str]:
    """One line about the options that some of the datasets do not use. Where no dataset is `named`,
    days are for those that have some, and nothing is said of the others."""
    by_names: dict[tuple[str, ...], list[str]] = {}
    for option in options.given:
        if option in DAYS and not named:
            continue
        datasets = [dataset for run in runs for dataset in run.datasets]
        if names := tuple(each.name for each in datasets if not takes(each, option)):
            by_names.setdefault(names, []).append(OPTIONS[option])
    return [
        f"{' and '.join(typed)} {'means' if len(typed) == 1 else 'mean'} nothing for "
        f"{', '.join(names)}."
        for names, typed in by_names.items()
    ]


def _own_days(account: Account, dataset: Dataset) -> Window | None:
    """The days over which a dataset is read if none are given; None: all. Raises SettingsError."""
    today = account.project.today()
    every = Window(account.project.start_date, today)
    try:
        if dataset.has_partitions:
            return account.project.days_of(dataset, today, every)
        return dataset.options.days(today, every) if dataset.options.has_window else None
    except OptionsError as error:
        raise SettingsError(f"The window of {dataset.name} in harvest.yaml: {error}") from None


def _chosen(account: Account, names: Sequence[str]) -> list[Dataset]:
    """The datasets of these names, in the account's order; without names, all reports."""
    known = [dataset.name for dataset in account.datasets]
    for name in names:
        if name not in known:
            close = get_close_matches(name, known, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(close)}?" if close else "these are the ones there:"
            rest = "" if close else f" {', '.join(known)}."
            raise SettingsError(
                f"{account.name} has no report {shown(name)}; {hint}{rest} "
                "`harvest-pipeline reports` lists them."
            )
    chosen = [each for each in account.datasets if (each.name in names or not names)]
    if names:
        return chosen
    if reports := [dataset for dataset in chosen if dataset.is_report]:
        return reports
    raise SettingsError(
        f"All reports of {account.name} are switched off; name what to read: {', '.join(known)}."
    )


def _refusal(option: str, datasets: Sequence[Dataset]) -> str:
    typed = OPTIONS[option]
    if fixed := [each.name for each in datasets if option in each.options.given]:
        return f"{', '.join(fixed)}: {option} is fixed in harvest.yaml; leave {typed} out."
    names = ", ".join(dataset.name for dataset in datasets)
    return f"{typed} means nothing for {names}; leave it out, or name other reports."


def _as_typed(text: str) -> str:
    """The same text with the option names as they are typed."""
    return _NAMES.sub(lambda match: OPTIONS[match[0]], text)
