"""One way to fail: how it is provoked, and what has to be said then.

Belongs here: the value, and playing it. Does not belong here: which failures there are (answers.py,
mistakes.py, stored.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harvest_pipeline_tests.sandbox.faults import Fault
from harvest_pipeline_tests.security.stage import Outcome, Stage, Worker


@dataclass(frozen=True)
class Failure:
    """A run, or a command, that has to fail; `told` is what it says, as a regular expression.

    `environment` is what is different in it, `files` what is written beforehand. A failure without
    `told` is a success.
    """

    name: str
    told: str = ""
    environment: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    faults: tuple[Fault, ...] = ()
    command: tuple[str, ...] = ()
    typed: str = ""
    run_config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    files: Mapping[Path, str] = field(default_factory=dict[Path, str])
    schema: str = "harvest"


def play(stage: Stage, worker: Worker, failure: Failure) -> Outcome:
    """Provoke it; what came of it."""
    waiting = stage.sandbox.faults
    waiting.clear()
    for each in failure.faults:
        waiting.add(each)
    for path, text in failure.files.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    try:
        return worker.do(
            stage.environment(**failure.environment),
            assets=[] if failure.command else [(failure.schema, "clients")],
            command=failure.command,
            typed=failure.typed,
            run_config=failure.run_config,
        )
    finally:
        waiting.clear()
        (stage.project / ".env").unlink(missing_ok=True)  # it would win over what comes next
