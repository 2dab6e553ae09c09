"""The accounts of the project: the environment, and `harvest.yaml` if there is one.

Belongs here: which file it is, and what it and the variables say together.
Does not belong here: what is set by variables (settings.py), reading the file (config_file.py);
secrets, which no file of the project holds.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from harvest_pipeline.config_file import read
from harvest_pipeline.project_file import ProjectFile
from harvest_pipeline.settings import Settings, SettingsError, project_folder
from harvest_pipeline.variables import VARIABLES

#: With a file that names accounts these would say the same thing twice.
_OF_ONE_ACCOUNT = ("HARVEST_SCHEMA", "HARVEST_ACCOUNT_ID", "HARVEST_INSTANCE")


def account_settings(environment: Mapping[str, str]) -> tuple[Settings, ...]:
    """The settings of every account of the project with its datasets, in the order of the file.

    Without a file, or with one that names no account: the one account of the environment.
    Raises SettingsError.
    """
    settings = Settings.from_mapping(environment)
    path = _path(environment)
    file = read(path) if path else ProjectFile()
    for variable in _OF_ONE_ACCOUNT if file.accounts else ():
        if environment.get(variable, "").strip():
            raise SettingsError(
                f"{variable} is set, and {path} names the accounts; remove one of the two."
            )
    return settings_of(file, settings)


def settings_of(file: ProjectFile, settings: Settings) -> tuple[Settings, ...]:
    """The settings of every account of `file`; `settings` are what all of them share."""
    settings = replace(settings, alerts=file.alerts)
    if not file.accounts:
        return (replace(settings, datasets=file.datasets_of(None, settings.timezone)),)
    return tuple(
        replace(
            settings,
            schema=entry.name,
            account_id=str(entry.account_id or ""),
            instance=entry.instance or "",
            prefixes=(f"HARVEST_{entry.name.upper()}_", *settings.prefixes),
            datasets=file.datasets_of(entry.name, settings.timezone),
        )
        for entry in file.accounts
    )


def _path(environment: Mapping[str, str]) -> Path | None:
    """The file that HARVEST_CONFIG names, else `harvest.yaml` of the project, if there is one."""
    if named := environment.get("HARVEST_CONFIG", "").strip():
        return project_folder() / Path(named).expanduser()
    path = project_folder() / VARIABLES["HARVEST_CONFIG"].default
    return path if path.exists() else None
