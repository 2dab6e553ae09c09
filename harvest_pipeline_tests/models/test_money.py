"""Money in all models: exact, and with the digits of its currency."""

import pytest

from harvest_pipeline.models import models
from harvest_pipeline_tests.models.warehouse import Answers

OF_ONE_CURRENCY = (
    "budget_burn", "client_months", "profitability", "receivables", "receivables_by_client",
    "receivables_history", "revenue", "unbilled_work",
)  # fmt: skip


@pytest.mark.parametrize("name", OF_ONE_CURRENCY)
def test_money_has_the_digits_of_its_currency(name: str, account: Answers) -> None:
    currency = "unit" if name == "budget_burn" else "currency"
    types = {row[0]: row[1] for row in account.rows(f"DESCRIBE {name}")}
    money = [column for column, type in types.items() if type == "DECIMAL(38,3)"]
    assert money
    assert not {column for column, type in types.items() if type in ("DOUBLE", "FLOAT")}
    for column in money:
        wrong = " OR ".join(
            f"({currency} {test} 'JPY' AND {column} <> round({column}, {digits}))"
            for test, digits in (("=", 0), ("<>", 2))
        )
        assert account.rows(f"SELECT {currency}, {column} FROM {name} WHERE {wrong}") == []
    assert account.rows(f"SELECT count(*) > 0 FROM {name} WHERE {currency} = 'JPY'") == [(True,)]


def test_every_answer_about_money_says_how_fresh_it_is(account: Answers) -> None:
    for name in OF_ONE_CURRENCY:
        assert list(models()[name].columns)[-1] == "as_of"
        assert account.rows(f"SELECT count(DISTINCT as_of) FROM {name}") == [(1,)], name
