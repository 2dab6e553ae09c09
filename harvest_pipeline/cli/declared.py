"""The accounts that commands work on: those that components of a Dagster project declare, else
those of `harvest.yaml` or of the environment."""

import tomllib
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import click

from harvest_pipeline.settings import Account, SettingsError, load_project

#: What a file that declares an account says, or the module of a component that is made of ours.
_MARK = b"HarvestAccount"
_READ = (".yaml", ".yml", ".py")
#: The checkout of this package, if it is one: its accounts are those of `harvest.yaml`.
_OURS = Path(__file__).resolve().parents[2]


def accounts_of(environment: Mapping[str, str] | None = None) -> tuple[Account, ...]:
    """The accounts that components of the Dagster project in the current folder declare, if any,
    else those of the project of `environment`; see `load_project`. Raises SettingsError."""
    return by_components() or load_project(environment).accounts


def by_components() -> tuple[Account, ...]:
    """The accounts that components of the Dagster project in the current folder declare.

    Dagster, whose import takes seconds, is asked only where a file of that project names our
    component. Raises SettingsError.
    """
    return _by_components(Path.cwd())


@cache
def _by_components(folder: Path) -> tuple[Account, ...]:
    if not _declares_some(folder):
        return ()
    import dagster as dg

    from harvest_pipeline.orchestration.component import HarvestAccount

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = dg.ComponentTree.for_project(folder)
            found = tree.get_all_components(of_type=HarvestAccount)
    except click.ClickException:
        raise
    except Exception as error:  # of anybody's code; its text may repeat lines of files
        raise SettingsError(
            f"The accounts of this project are declared by components below {folder}, which Dagster"
            f" cannot load ({type(error).__name__}); `dg check defs` says why."
        ) from error
    return tuple(account for each in found for account in each.project(folder).accounts)


def refuse_components(instead: str) -> None:
    """Raise SettingsError if components declare the accounts: then Dagster itself does what a
    command would, and `instead` says how, for the account {name}."""
    if names := [each.name for each in by_components()]:
        raise SettingsError(
            f"The accounts of this project ({', '.join(names)}) are declared by components below "
            f"{Path.cwd()}, and their runs are those of that project: use "
            f"{instead.format(name=names[0])}."
        )


def _declares_some(folder: Path) -> bool:
    """Whether a file of the Dagster project in `folder`, which is not our own, may declare one."""
    root = _root_module(folder)
    if root is None or folder.resolve() == _OURS:
        return False
    below = [folder / "src" / root, folder / root]
    return any(
        _MARK in path.read_bytes()
        for each in below
        for path in each.rglob("*")
        if path.suffix in _READ and path.is_file()
    )


def _root_module(folder: Path) -> str | None:
    """The package of a Dagster project, by its `[tool.dg.project]`; None if there is none."""
    try:
        settings: Any = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
        root = settings["tool"]["dg"]["project"]["root_module"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return root.replace(".", "/") if isinstance(root, str) else None
