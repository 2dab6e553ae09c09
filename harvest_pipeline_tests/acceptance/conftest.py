"""An account that was copied once, of which many questions are asked."""

import shutil
from collections.abc import Iterator

import pytest

from harvest_pipeline.catalogue.columns import Report
from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline.scope import Spool
from harvest_pipeline_tests.acceptance.copy import ASKED, Copy, Query, new_copy
from harvest_pipeline_tests.places import KIND


@pytest.fixture(scope="session")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    """All reports, loaded in full. Whoever loads anything more leaves it as it was."""
    with new_copy(tmp_path_factory.mktemp("copied")) as copy:
        copy.load(*(record.name for record in ASKED))
        yield copy


@pytest.fixture(scope="session")
def query(copied: Copy) -> Iterator[Query]:
    """Queries on what was loaded, whatever is loaded later."""
    kept = Copy(copied.sandbox, copied.client, copied.folder / "kept")
    kept.folder.mkdir()
    if KIND == "file":
        shutil.copy(copied.database, kept.database)
    else:
        kept.load(*(record.name for record in ASKED))
    with kept.reading() as query:
        yield query


@pytest.fixture(scope="session")
def answers(copied: Copy) -> dict[str, Spool]:
    """Each record as it came, with what its parents give in front; nothing of it is loaded."""
    read = (each for record in ASKED for each in copied.spools(record.name, run="answers"))
    return {spool.scope.record: spool for spool in read}


@pytest.fixture(params=REPORTS.values(), ids=lambda report: report.name)
def report(request: pytest.FixtureRequest) -> Report:
    """Each of the 18 reports."""
    return request.param
