"""docs/analysis.md: its queries give what stands below them (WRITE_DOCS=1 writes it); the Python
code of docs/bi-tools.md and the notebook run on a published copy."""

import json
import os
import re
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import altair as alt
import pytest
from tabulate import tabulate

from harvest_pipeline.dashboard.charts import CHARTS, svg
from harvest_pipeline.dashboard.figures import PARTS, figures
from harvest_pipeline.models import models
from harvest_pipeline.settings import project_folder
from harvest_pipeline_tests.models.warehouse import Answers

DOCUMENT = project_folder() / "docs" / "analysis.md"
TOOLS = DOCUMENT.with_name("bi-tools.md")
NOTEBOOK = project_folder() / "docs" / "examples" / "harvest.ipynb"
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


def test_each_chart_of_the_dashboard_stands_below_an_answer(account: Answers) -> None:
    found, folder = figures(account.connection, PARTS), DOCUMENT.with_name("charts")
    charts = {
        re.sub(r"[^a-z]+", "-", chart.title.lower()).strip("-"): svg(chart, found)
        for chart in CHARTS
    }
    if os.environ.get("WRITE_DOCS"):
        for name, image in charts.items():
            (folder / f"{name}.svg").write_text(image, "utf-8")
    # Where a text ends depends on the fonts of the machine, so the images are not compared.
    assert {each.stem for each in folder.glob("*.svg")} == {*charts}
    shown = re.findall(r"\]\(charts/(.*)\.svg\)", DOCUMENT.read_text("utf-8"))
    assert sorted(shown) == sorted(charts)


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


@pytest.fixture
def published(account: Answers, tmp_path: Path) -> Path:
    """A folder with both kinds of a published copy of what the code reads."""
    (tmp_path / "published" / "harvest").mkdir(parents=True)
    account.rows(f"ATTACH '{tmp_path}/published.duckdb'")
    account.rows("CREATE SCHEMA published.harvest")
    for name in ("receivables", "receivables_by_client", "utilisation"):
        account.rows(f"CREATE TABLE published.harvest.{name} AS FROM {name}")
        account.rows(f"COPY {name} TO '{tmp_path}/published/harvest/{name}.parquet'")
    account.rows("DETACH published")
    return tmp_path


@pytest.mark.parametrize("package", ["duckdb", "polars"])
def test_the_code_for_data_frames_runs(
    package: str, published: Path, account: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(package)
    (code,) = re.findall(
        rf"```python\n(import {package}\b.*?)```", TOOLS.read_text("utf-8"), re.DOTALL
    )
    monkeypatch.chdir(published)
    found: dict[str, Any] = {}
    exec(code, found)
    (total,) = account.rows("SELECT sum(due_amount) FROM receivables WHERE days_past_due > 0")
    assert float(found["overdue"]["due_amount"].sum()) == pytest.approx(float(total[0]))


def test_the_notebook_runs_and_is_kept_without_outputs(
    published: Path, account: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARVEST_PUBLISH", str(published / "published.duckdb"))
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code)
    found: dict[str, Any] = {}
    for cell in code:
        exec("".join(cell["source"]), found)
    charts = [each for each in found.values() if isinstance(each, alt.TopLevelMixin)]
    shown = [chart.to_dict() for chart in charts]
    assert len(found["utilisation"]) and len(found["receivables"])
    assert any("facet" in chart for chart in shown)
