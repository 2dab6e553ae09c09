"""The database that machines share, and what to say where it cannot be used for reading Harvest."""

from collections.abc import Generator
from contextlib import contextmanager

from harvest_pipeline.harvest.errors import StateUnreachable, StateUnusable
from harvest_pipeline.state import REMEDY, SharedState, StateFailed


@contextmanager
def explained(state: SharedState, use: str) -> Generator[None]:
    """Raise StateUnusable or StateUnreachable for StateFailed; `use` says what is done there."""
    try:
        yield
    except StateFailed as error:
        sentence = f"{state}, where {use}, cannot be used: {error}. {REMEDY}"
        if error.passing:
            raise StateUnreachable(sentence) from error
        raise StateUnusable(sentence) from error
