"""What a shell completes (`harvest-pipeline --help` says how to switch it on): names of accounts,
reports and models. It says nothing, also where settings are wrong."""

from collections.abc import Iterable, Sequence

import click

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.settings import Account, SettingsError, load_environment, load_project


def names_of_reports(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """The reports and datasets that can be loaded."""
    return _beginning(begun, (d.name for a in _accounts() for d in a.datasets), context, parameter)


def names_of_tables(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """The same, and the tables and models."""
    names = [*names_of_reports(context, parameter, begun), *RECORDS]
    names += [model.name for account in _accounts() for model in account.models]
    return _beginning(begun, names, context, parameter)


def _names(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    return _beginning(begun, (account.name for account in _accounts()), context, parameter)


account_option = click.option(
    "--account", metavar="NAME", help="One account of harvest.yaml.", shell_complete=_names
)


def _accounts() -> Sequence[Account]:
    try:
        return load_project(load_environment(lambda _: None)).accounts
    except SettingsError:
        return ()


def _beginning(
    begun: str, names: Iterable[str], context: click.Context, parameter: click.Parameter
) -> list[str]:
    """The names that go on from there, without those that have been typed before."""
    given = context.params.get(parameter.name or "") or ()
    return [name for name in dict.fromkeys(names) if name.startswith(begun) and name not in given]
