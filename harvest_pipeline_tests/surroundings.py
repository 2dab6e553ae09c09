"""What tests see of the machine: a few variables, an empty home folder, the programs it has."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

#: All that tests see of the environment: where programs and temporary files are, language and
#: time zone, and what is meant for the tests themselves.
_KEPT = re.compile(r"PATH|LD_\w+|USER|LOGNAME|TMPDIR|LANG|LC_\w+|TZ|CI|WRITE_DOCS|PYTEST_\w+")

#: Why tests are skipped that need a program.
MISSING = "is not installed"


@contextmanager
def of_nobody(home: Path) -> Iterator[None]:
    """No account, `.env`, proxy, certificate, keyring or home folder of the person at work."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if not _KEPT.fullmatch(name):
                patch.delenv(name)
        patch.setenv("HOME", str(home))
        patch.setenv("PYTHON_DOTENV_DISABLED", "1")
        patch.setenv("HARVEST_CONFIG", os.devnull)
        patch.setenv("HARVEST_TOKEN_STORE", str(home / "accounts"))
        yield


def utc_today() -> date:
    """The day as Harvest and the sandbox have it, whatever the machine's time zone."""
    return datetime.now(UTC).date()


def needs(program: str) -> pytest.MarkDecorator:
    """Marks tests that need a program. Without it they are skipped; in CI they fail."""
    return pytest.mark.skipif(
        shutil.which(program) is None and not os.environ.get("CI"),
        reason=f"{program} {MISSING}; on Debian: apt-get install {program}",
    )
