"""`harvest.yaml`: the accounts of a project that reads several.

Belongs here: the model of the file, finding and reading it, and a sentence with the line for
whatever is wrong in it.
Does not belong here: what is set by variables (settings.py); secrets, which no file of the project
holds.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from harvest_pipeline.harvest.account import is_instance
from harvest_pipeline.settings import Settings, SettingsError, project_folder
from harvest_pipeline.text import shown

#: What an account may not be called: each is the name of something else in the definitions.
_RESERVED = ("io_manager", "all_accounts", "main", "temp", "system", "pg_catalog")
#: With a file that names accounts these would say the same thing twice.
_OF_ONE_ACCOUNT = ("HARVEST_SCHEMA", "HARVEST_ACCOUNT_ID", "HARVEST_INSTANCE")


class AccountEntry(BaseModel):
    """An account that the file names. Where it has neither `account_id` nor `instance`, the stored
    account of that name says which one it is, or the token, if it reaches only one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        pattern=r"^[a-z][a-z0-9_]{0,39}$",
        description="Prefix of the asset keys, DuckDB schema, and name of the stored account.",
    )
    account_id: int | None = Field(default=None, gt=0, description="Harvest's number of it.")
    instance: str | None = Field(
        default=None, min_length=1, description="The acme of acme.harvestapp.com, instead."
    )

    @field_validator("name")
    @classmethod
    def _is_free(cls, name: str) -> str:
        if name in _RESERVED:
            raise ValueError(f"{name!r} is taken; choose another name")
        return name

    @field_validator("instance")
    @classmethod
    def _is_instance(cls, instance: str | None) -> str | None:
        # Dagster shows it: a token that somebody puts here must not get that far.
        if instance is not None and not is_instance(instance):
            raise ValueError("this is not the acme of acme.harvestapp.com")
        return instance


class ProjectFile(BaseModel):
    """All of `harvest.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    accounts: tuple[AccountEntry, ...] = Field(
        default=(), description="The accounts; with none there is one, from the environment."
    )

    @field_validator("accounts")
    @classmethod
    def _are_different(cls, accounts: tuple[AccountEntry, ...]) -> tuple[AccountEntry, ...]:
        for name, count in Counter(entry.name for entry in accounts).items():
            if count > 1:
                raise ValueError(f"the name {name!r} is there {count} times; each needs its own")
        return accounts


def account_settings(environment: Mapping[str, str]) -> tuple[Settings, ...]:
    """The settings of every account of the project, in the order of the file.

    Without a file, or with one that names no account: the one account of the environment.
    Raises SettingsError.
    """
    settings = Settings.from_mapping(environment)
    path = _path(environment)
    entries = _read(path).accounts if path else ()
    if not entries:
        return (settings,)
    for variable in _OF_ONE_ACCOUNT:
        if environment.get(variable, "").strip():
            raise SettingsError(
                f"{variable} is set, and {path} names the accounts; remove one of the two."
            )
    return tuple(
        replace(
            settings,
            schema=entry.name,
            account_id=str(entry.account_id or ""),
            instance=entry.instance or "",
            prefixes=(f"HARVEST_{entry.name.upper()}_", *settings.prefixes),
        )
        for entry in entries
    )


def _path(environment: Mapping[str, str]) -> Path | None:
    """The file that HARVEST_CONFIG names, else `harvest.yaml` of the project, if there is one."""
    if named := environment.get("HARVEST_CONFIG", "").strip():
        return project_folder() / Path(named).expanduser()
    path = project_folder() / "harvest.yaml"
    return path if path.exists() else None


def _read(path: Path) -> ProjectFile:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            f"{path} (HARVEST_CONFIG) cannot be read: {error.strerror}; correct the path, or "
            "remove the variable."
        ) from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not a text file in UTF-8; save it as one.") from error
    try:
        return ProjectFile.model_validate(yaml.safe_load(text) or {})
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        # What it quotes stands in the file, and may be a token.
        why = re.sub(r"'[^'<]{4,}'", "'…'", error.problem or "")
        raise SettingsError(
            f"{path}{f', line {mark.line + 1}' if mark else ''}: {why}; correct the YAML."
        ) from None
    except yaml.YAMLError as error:  # a character that YAML does not have
        raise SettingsError(f"{path} is not YAML; save it anew as text in UTF-8.") from error
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        keys = problem["loc"]
        where = ".".join(shown(str(key)).strip("'") for key in keys)
        raise SettingsError(
            f"{path}, line {_line(text, keys)}: {where + ': ' if where else ''}{_wrong(problem)}."
        ) from None


def _wrong(problem: Any) -> str:
    """What is wrong, never with the value: somebody may have put a token there."""
    if problem["type"] == "extra_forbidden":
        model = AccountEntry if len(problem["loc"]) > 1 else ProjectFile
        return (
            f"there is no such setting; there are: {', '.join(model.model_fields)}. Credentials "
            "are not kept in this file: run `harvest-pipeline connect`, or set variables such as "
            "HARVEST_ACME_ACCESS_TOKEN"
        )
    if problem["type"] in ("model_type", "model_attributes_type", "tuple_type"):
        return "settings are expected here, as in `accounts:` and below it `  - name: acme`"
    if problem["type"] == "string_pattern_mismatch":
        return "a name is made of small letters, digits and underscores, and begins with a letter"
    return problem["msg"].removeprefix("Value error, ")


def _line(text: str, keys: tuple[str | int, ...]) -> int:
    """The line on which the value under these keys begins, or the innermost that there is."""
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    line = 1
    for key in keys:
        if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
        elif isinstance(node, yaml.MappingNode):
            found = [pair for pair in node.value if pair[0].value == str(key)]
            if not found:
                break
            key_node, node = found[0]
            line = key_node.start_mark.line + 1
            continue
        else:
            break
        line = node.start_mark.line + 1
    return line
