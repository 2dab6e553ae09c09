"""docs/analysis.md: its queries give what stands below them, and its Python code runs. WRITE_DOCS=1
writes the results."""

import os
import re
from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from tabulate import tabulate

from harvest_pipeline.models import models
from harvest_pipeline.settings import project_folder
from harvest_pipeline_tests.models.warehouse import Answers

DOCUMENT = project_folder() / "docs" / "analysis.md"
#: A query and its result.
_ANSWER = re.compile(
    r"```sql\n(?P<query>.*?)```\n\n<!-- result -->\n(?P<result>.*?)<!-- end -->", re.DOTALL
)
_SHOWN = 8


def test_each_result_is_that_of_the_query_above_it(account: Answers) -> None:
    def written(answer: re.Match[str]) -> str:
        shown = _result(account.records(answer["query"]))
        start, end = (place - answer.start() for place in answer.span("result"))
        return f"{answer[0][:start]}{shown}\n{answer[0][end:]}"

    text = DOCUMENT.read_text("utf-8")
    current = _ANSWER.sub(written, text)
    if os.environ.get("WRITE_DOCS"):
        DOCUMENT.write_text(current, "utf-8")
    else:
        assert text == current, "run this file with WRITE_DOCS=1"


def _result(rows: Sequence[dict[str, object]]) -> str:
    """The first rows of a result, as Markdown."""
    assert rows, "a question without an answer shows nobody what it is good for"
    table = tabulate(
        [[_cell(value) for value in row.values()] for row in rows[:_SHOWN]],
        headers=[*rows[0]],
        tablefmt="github",
        disable_numparse=True,
        colalign=[_alignment([row[name] for row in rows]) for name in rows[0]],
    )
    more = f"\n\nThe first {_SHOWN} of {len(rows)} rows." if len(rows) > _SHOWN else ""
    return table + more


def _cell(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value:,.2f}"
    if isinstance(value, int):
        return f"{value:,}"
    assert value is None or isinstance(value, str | date), "round it to a DECIMAL"
    return "" if value is None else str(value)


def _alignment(values: Sequence[object]) -> str:
    return "right" if any(isinstance(value, Decimal | int) for value in values) else "left"


def test_every_model_that_people_ask_for_answers_a_question_there() -> None:
    queries = " ".join(answer["query"] for answer in _ANSWER.finditer(DOCUMENT.read_text("utf-8")))
    asked = set(re.findall(r"harvest\.(\w+)", queries))
    assert asked >= {name for name, model in models().items() if model.group == "answers"}
