"""The environment, with `.env` applied over it, and the project's folder."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import click
from dotenv import dotenv_values

from harvest_pipeline.safety.files import closed

#: The variables whose values are secrets.
_SECRET = re.compile(
    r"HARVEST_(\w+_)?(ACCESS_TOKEN|CLIENT_SECRET|REFRESH_TOKEN|ALERTS|STATE_KEY)|PGPASSWORD"
)
_PACKAGE_FOLDER = Path(__file__).resolve().parents[1]
#: The settings of the Dagster instance, which are part of the package.
DAGSTER_YAML = _PACKAGE_FOLDER / "dagster.yaml"
#: The variables already reported by this process for being set twice.
_NAMED: set[str] = set()


# A `ClickException`, because the `dagster` command prints those as one sentence.
class SettingsError(click.ClickException):
    """A setting or an option of a command cannot work.

    The message names it, says where it was set and what is allowed there. Settings are in
    docs/configuration.md; `harvest-pipeline doctor` shows what each is now, and where it is from.
    """


def project_folder() -> Path:
    """The folder of `workspace.yaml`, the base of relative paths and of `.env`.

    If the package is installed without its project (as a dependency of another one), the current
    folder.
    """
    beside = _PACKAGE_FOLDER.parent
    return beside if (beside / "workspace.yaml").is_file() else Path.cwd()


def load_environment(
    report: Callable[[str], object] | None = None, *, closing: bool = True
) -> Mapping[str, str]:
    """The environment with `.env` applied over it, for this process and its children. A `.env` with
    credentials that others can read is closed to them if `closing`.

    That `.env` wins is Dagster's own rule, so `dagster` and our commands see the same account and
    database. `report` (by default standard error) gets one sentence, once per process, if both set
    a HARVEST_ variable and differ, and one if `.env` was closed. Raises SettingsError for a file
    that cannot be read.
    """
    before = (dict(os.environ), _started_with())
    values = dotenv()
    os.environ.update(values)
    report = report or _to_standard_error
    secret = closing and any(values[name] for name in filter(_SECRET.fullmatch, values))
    if secret and (told := closed(dotenv_path())):
        report(f"{told}, since it holds credentials; renew them if somebody may have read them.")
    differing = [
        name
        for name, text in sorted(values.items())
        if name.startswith("HARVEST_") and any(each.get(name, text) != text for each in before)
    ]
    if differing and not _NAMED.issuperset(differing):
        _NAMED.update(differing)
        report(_sentence(differing))
    return os.environ


def _sentence(differing: list[str]) -> str:
    names, be, them = differing[-1], "is", "it"
    if others := differing[:-1]:
        names, be, them = f"{', '.join(others)} and {names}", "are", "them"
    return (
        f"{names} {be} set in the environment and, differently, in {dotenv_path()}, which wins; "
        f"remove {them} from one of the two."
    )


def _to_standard_error(sentence: str) -> None:
    click.echo(sentence, err=True)


def dotenv_path() -> Path:
    """The path of `.env` beside `workspace.yaml`, whether it exists or not."""
    return project_folder() / ".env"


def dotenv() -> dict[str, str]:
    """The variables in `.env`, as Dagster's own loader (`dagster._core.secrets.env_file`, whose
    import takes a second or two) reads them. Raises SettingsError.

    Empty if PYTHON_DOTENV_DISABLED is set, as for `load_dotenv`, and in a workspace of `dg`: there
    each project has a file of its own, which Dagster has already loaded.
    """
    disabled = os.environ.get("PYTHON_DOTENV_DISABLED", "").casefold()
    if disabled in ("1", "true", "t", "yes", "y") or "DAGSTER_PROJECT_ENV_FILE_PATHS" in os.environ:
        return {}
    path = dotenv_path()
    try:
        values = {name: text for name, text in dotenv_values(path).items() if text is not None}
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read: {error.strerror or error}; make it readable for you."
        ) from None
    except UnicodeDecodeError:
        values = {"": ""}
    # UTF-16 without a byte order mark has a NUL in every other place.
    if not all(name and name.isprintable() and "\0" not in text for name, text in values.items()):
        raise SettingsError(f"{path} is not a text file in UTF-8; save it as one.")
    return values


def _started_with() -> dict[str, str]:
    """The environment that this process was started with: Dagster's commands have already applied
    `.env` over it.

    Empty if the system does not provide it (Linux does).
    """
    try:
        content = Path("/proc/self/environ").read_bytes()
    except OSError:
        return {}
    pairs = (os.fsdecode(each).partition("=") for each in content.split(b"\0"))
    return {name: text for name, equals, text in pairs if equals}
