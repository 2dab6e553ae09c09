"""How many made-up examples a property gets: a few in `make test`, all in `make test-long`."""

import os
from collections.abc import Callable
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, settings

ALL = bool(os.environ.get("ALL_EXAMPLES"))


def made_up(every: int, few: int) -> Callable[[Any], Any]:
    """Give the property the same examples in every run, `few` of them or `every` one; on the older
    DuckDB a tenth."""
    wanted = every if ALL else few
    chosen = settings(
        max_examples=wanted if duckdb.__version__ >= "2" else max(wanted // 10, 5),
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
    return lambda test: pytest.mark.examples(chosen(test))
