"""What `doctor` finds of the state: of this machine alone, or the database that machines share."""

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from harvest_pipeline.cli.findings import Finding
from harvest_pipeline.harvest.errors import StateUnusable, StoreUnusable
from harvest_pipeline.harvest.vaults import SharedVault
from harvest_pipeline.settings import Project
from harvest_pipeline.state import REMEDY, SharedState, StateFailed

if TYPE_CHECKING:
    from harvest_pipeline.state import Connection


def state_findings(project: Project, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Where requests are counted, accounts are kept and turns are taken, and whether that works."""
    if project.state is None:
        text = f"of this machine: requests are counted in {project.state_folder}"
        yield Finding("state", "ok", text)
        return
    try:
        version = project.state.transact(_version)
        began = time.monotonic()  # with a connection, as in a run
        project.state.transact(_version)
    except StateFailed as error:
        text = f"{project.state} cannot be used: {error}."
        yield Finding("state", "wrong", text, REMEDY)
        return
    milliseconds = (time.monotonic() - began) * 1000
    text = f"{project.state.address}, PostgreSQL {version}, which answers in {milliseconds:.0f} ms"
    yield Finding("state", "ok", f"{text}: shared by all machines that name it")
    yield _key(project.state, environment.get("HARVEST_STATE_KEY", "").strip())


def _version(connection: "Connection") -> str:
    (version,) = connection.execute("SHOW server_version").fetchall()[0]
    return version.partition(" ")[0]


def _key(state: SharedState, key: str) -> Finding:
    """Whether stored accounts can be decrypted, and which keys that takes."""
    name = "state key"
    vault = SharedVault(state, key)
    try:
        stored = vault.keys()
        if not stored and not key:
            return Finding(name, "ok", "not set, and no account is stored")
        old = vault.old()
    except (StoreUnusable, StateUnusable) as error:
        return Finding.from_error(name, error)
    if old:
        text = f"a later key of HARVEST_STATE_KEY is still needed for {', '.join(old)}."
        remedy = "Keep it until a run, or `harvest-pipeline accounts test`, has read them."
        return Finding(name, "warning", text, remedy)
    return Finding(
        name, "ok", f"all that is stored ({len(stored)}) is encrypted with the first key"
    )
