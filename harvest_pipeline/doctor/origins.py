"""Where each variable has its value from: the environment, `.env`, or nowhere.

Belongs here: telling the two apart, which is only possible before `.env` is added to the
environment.
Does not belong here: what the variables mean (settings.py).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from harvest_pipeline.settings import load_environment, project_folder


@dataclass(frozen=True, slots=True)
class Origins:
    """All variables, as every command of the project sees them.

    `outside` are those of the environment itself, which win over those of the file `dotenv`; the
    latter are in `inside`. `unreadable` says why the file could not be read, if it could not.
    """

    environment: Mapping[str, str]
    outside: frozenset[str]
    inside: Mapping[str, str]
    dotenv: Path
    unreadable: str = ""

    @classmethod
    def read(cls) -> "Origins":
        """Look at the environment, then add `.env` to it as every command does."""
        dotenv = project_folder() / ".env"
        outside = frozenset(os.environ)
        try:
            inside = {name: text for name, text in dotenv_values(dotenv).items() if text}
            return cls(load_environment(), outside, inside, dotenv)
        except OSError as error:
            problem = error.strerror or "it is not readable"
        except UnicodeDecodeError:
            problem = "it is not a text file in UTF-8"
        return cls(os.environ, outside, {}, dotenv, problem)

    def value(self, name: str) -> str:
        """The value, "" if it is not set; a blank one counts as not set."""
        return self.environment.get(name, "").strip()

    def source(self, name: str) -> str:
        """Where the value is from, in a word or two; for one that is not set, "default"."""
        if self.value(name):
            return "environment" if name in self.outside else ".env"
        if name in self.outside and self.inside.get(name, "").strip():
            return "default; it is empty in the environment, which wins over .env"
        return "default"
