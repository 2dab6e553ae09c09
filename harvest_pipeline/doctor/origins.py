"""Where each variable has its value from: `.env`, which wins, the environment, or nowhere."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from harvest_pipeline.settings import SettingsError, load_environment
from harvest_pipeline.settings.environment import dotenv


@dataclass(frozen=True, slots=True)
class Origins:
    """All variables, as every command of the project and of Dagster sees them.

    `inside` are the names of those in `.env`, `differing` the sentence on those that the
    environment sets otherwise, `unreadable` the one on a file that cannot be read.
    """

    environment: Mapping[str, str]
    inside: frozenset[str] = frozenset()
    differing: str = ""
    unreadable: SettingsError | None = None

    @classmethod
    def read(cls) -> "Origins":
        """Put `.env` over the environment as every command does."""
        told: list[str] = []
        try:
            environment = load_environment(told.append)
            return cls(environment, frozenset(dotenv()), "".join(told))
        except SettingsError as error:
            return cls(os.environ, unreadable=error)

    def value(self, name: str) -> str:
        """The value, "" if it is not set; a blank one counts as not set."""
        return self.environment.get(name, "").strip()

    def source(self, name: str) -> str:
        """Where the value is from, in a word or two; for one that is not set, "default"."""
        if self.value(name):
            return ".env" if name in self.inside else "environment"
        return "default; it is empty in .env" if name in self.inside else "default"
