"""One account for all tests of changes: loaded once, put back before each."""

from collections.abc import Iterator

import pytest

from harvest_pipeline import access
from harvest_pipeline.sandbox.server import SandboxServer
from harvest_pipeline.settings import Settings
from harvest_pipeline_tests.changes.watching import START, Watching, unlimited
from harvest_pipeline_tests.conftest import TODAY


@pytest.fixture(scope="package")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watching]:
    """Two weeks of an account, with every record that is watched loaded."""
    folder = tmp_path_factory.mktemp("changes")
    with (
        pytest.MonkeyPatch.context() as patch,
        SandboxServer(today=TODAY, years=0.1, rate_limit=None, refuse_get_bodies=True) as sandbox,
    ):
        patch.setattr(access, "HarvestClient", unlimited)
        for name, value in sandbox.environment().items():
            patch.setenv(name, value)
        patch.setenv("HARVEST_DUCKDB", str(folder / "warehouse.duckdb"))
        patch.setenv("HARVEST_START_DATE", START.isoformat())
        watching = Watching(sandbox, Settings.from_environment(), folder)
        sandbox.account.clock.advance(600)
        watching.load()
        watching.keep()
        yield watching


@pytest.fixture
def watching(loaded: Watching) -> Watching:
    """That account, with nothing outstanding."""
    loaded.put_back()
    return loaded


@pytest.fixture
def watching_time(watching: Watching) -> Watching:
    """The same with the reports on time and clients only: three requests a tick."""
    kept = {"time_entries", "clients"}
    return watching.with_datasets(
        each for each in watching.settings.datasets if each.record.name in kept
    )
