"""The section on Dagster: versions, its home, and what dagster.yaml there says.

Belongs here: what this project needs of a Dagster instance to work as it says.
Does not belong here: what the instance has stored (dagster_runs.py), starting Dagster (local.py).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple, cast

import yaml

from harvest_pipeline.doctor.findings import Finding, Section, ok, section, warning, wrong
from harvest_pipeline.doctor.origins import Origins
from harvest_pipeline.settings import project_folder


class _Need(NamedTuple):
    """A setting of dagster.yaml that the project relies on, and what happens without it."""

    path: tuple[str, ...]
    is_met: Callable[[object], bool]
    otherwise: str


def _is(expected: object) -> Callable[[object], bool]:
    def is_met(value: object) -> bool:
        return value == expected

    return is_met


def _is_positive(value: object) -> bool:
    return isinstance(value, int) and value > 0


_NEEDS = (
    _Need(
        ("instance_class", "class"),
        _is("Instance"),
        "a run whose process died counts as running for ever then",
    ),
    _Need(
        ("run_queue", "max_user_code_failure_retries"),
        _is_positive,
        "a run that is launched while its code server starts fails then",
    ),
    _Need(
        ("telemetry", "enabled"),
        _is(False),
        "Dagster sends statistics of its use to its makers then",
    ),
    _Need(
        ("run_monitoring", "enabled"),
        _is(True),
        "a run that was cancelled and does not end counts as running for ever then",
    ),
)


class DagsterCheck:
    """Looks at the home that DAGSTER_HOME names, else at the one of `make dev`."""

    def __init__(self, origins: Origins) -> None:
        named = origins.value("DAGSTER_HOME")
        self.home = Path(named) if named else project_folder() / ".dagster"
        self._source = f"DAGSTER_HOME, {origins.source('DAGSTER_HOME')}" if named else "default"
        self._is_named = bool(named)
        self._config: Mapping[str, object] = {}

    @property
    def has_history(self) -> bool:
        """Whether Dagster has ever stored anything; known once the section is there."""
        # Opening an instance makes its files, and there is nothing to be read in new ones.
        is_elsewhere = self._config.keys() & {"storage", "run_storage"}
        return bool(is_elsewhere) or (self.home / "history" / "runs.db").is_file()

    def section(self) -> Section:
        """The findings."""
        return section("Dagster", self._versions, self._home, self._settings, self._instance)

    def _versions(self) -> Iterator[Finding]:
        versions: dict[str, str] = {}
        for package in ("dagster", "dagster-webserver", "dagster-duckdb", "duckdb"):
            try:
                versions[package] = metadata.version(package)
            except metadata.PackageNotFoundError:
                yield wrong(
                    "versions", f"{package} is not installed.", "Install this project again."
                )
        if len({versions.get("dagster"), versions.get("dagster-webserver")}) > 1:
            yield wrong(
                "versions",
                f"dagster is {versions.get('dagster')} and dagster-webserver "
                f"{versions.get('dagster-webserver')}; they only work in the same version.",
                "Install this project again, with `-c constraints.txt`.",
            )
        else:
            yield ok("versions", ", ".join(f"{name} {text}" for name, text in versions.items()))

    def _home(self) -> Iterator[Finding]:
        if self.home.is_dir() and self.home.is_absolute():
            yield ok("home", f"{self.home} ({self._source})")
        elif self._is_named:
            problem = (
                "is not an existing folder" if self.home.is_absolute() else "is a relative path"
            )
            yield wrong(
                "home",
                f"{self.home} ({self._source}) {problem}, and Dagster does not start with that.",
                "Make the folder, or remove DAGSTER_HOME to use the one of this project.",
            )
        else:
            yield ok("home", f"{self.home} does not exist yet; `make dev` makes it")

    def _settings(self) -> Iterator[Finding]:
        """Whether dagster.yaml of the home has what the project relies on."""
        if not self.home.is_dir():
            return
        path = self.home / "dagster.yaml"
        copy = f"ln -s {project_folder() / 'dagster.yaml'} {path}"
        if not path.is_file():
            if not self._is_named:
                yield ok("dagster.yaml", f"there is no {path} yet; `make dev` makes it")
                return
            yield warning(
                "dagster.yaml",
                f"there is none in {self.home}: runs whose process died count as running for ever.",
                copy,
            )
            return
        config: object = None
        with suppress(yaml.YAMLError, UnicodeDecodeError, OSError):
            config = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        if not isinstance(config, dict):
            yield wrong(
                "dagster.yaml",
                f"{path} is not readable as settings in YAML.",
                f"Correct it, or move it away and: {copy}",
            )
            return
        self._config = cast("dict[str, object]", config)
        unmet = [need for need in _NEEDS if not need.is_met(_at(self._config, need.path))]
        for need in unmet:
            name = ".".join(need.path)
            yield warning(
                "dagster.yaml",
                f"{path} has {name}: {_at(self._config, need.path)}; {need.otherwise}.",
                f"Take {name} over from {project_folder() / 'dagster.yaml'}.",
            )
        if not unmet:
            yield ok("dagster.yaml", f"{path} has the settings of this project")

    def _instance(self) -> Iterator[Finding]:
        """The daemon and the runs, where Dagster has ever stored anything."""
        # Dagster takes a second or two to import, and every command imports this module.
        from harvest_pipeline.doctor.dagster_runs import instance_findings, no_daemon

        if self.has_history:
            yield from instance_findings(self.home)
        else:
            yield no_daemon(f"Dagster has never run with the home {self.home}")


def _at(config: object, path: Sequence[str]) -> Any:
    """The value under these keys, None if there is none."""
    for key in path:
        config = cast("dict[str, object]", config).get(key) if isinstance(config, dict) else None
    return config
