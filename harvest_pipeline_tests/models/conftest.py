"""The databases of these tests: one that holds an account of the sandbox, to be read, and an empty
one for each test that gives its own rows."""

import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from harvest_pipeline.sandbox.generator import generate
from harvest_pipeline.sandbox.records import Records
from harvest_pipeline_tests.models.warehouse import Answers, make_empty, of_account, opened

NOW = datetime(2026, 11, 20, 17, tzinfo=UTC)
TODAY = NOW.date()
#: What one euro gives from a day on. There is no rate for Canada, and none for Norway in January.
RATES = {
    ("USD", date(2025, 1, 1)): Decimal("1.08"),
    ("USD", date(2026, 6, 1)): Decimal("1.1234"),
    ("NOK", date(2026, 2, 1)): Decimal("11.5"),
    ("JPY", date(2025, 1, 1)): Decimal("163.7"),
    ("GBP", date(2025, 1, 1)): Decimal("0.85"),
    ("CHF", date(2025, 1, 1)): Decimal("0.955"),
}


@pytest.fixture(scope="session")
def records() -> Records:
    """A consultancy in euros with clients in eight currencies, over more than a year; not to be
    changed."""
    return generate(seed=7, now=NOW, years=1.2, scale=1.0)


@pytest.fixture(scope="session")
def account(records: Records, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answers]:
    """The database that holds these records."""
    with of_account(records, NOW, tmp_path_factory.mktemp("account")) as answers:
        for (currency, day), rate in RATES.items():
            row = {"day": day, "from_currency": "EUR", "to_currency": currency, "rate": rate}
            answers.add("exchange_rates", row)
        yield answers


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_empty(tmp_path_factory.mktemp("template") / "empty.duckdb", TODAY)


@pytest.fixture
def answers(template: Path, tmp_path: Path) -> Iterator[Answers]:
    """A database of a company in euros in which everything was read on the 20th of November 2026,
    and that has no rows yet."""
    path = Path(shutil.copy(template, tmp_path))
    with opened(path) as answers:
        yield answers
