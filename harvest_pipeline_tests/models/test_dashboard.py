"""The dashboard in a browser that has no network: its numbers are the models', by every filter."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harvest_pipeline.dashboard.charts import CHARTS, svg
from harvest_pipeline.dashboard.figures import PARTS, Compared, Figures, figures
from harvest_pipeline.dashboard.page import page as page_of
from harvest_pipeline_tests.browser import page as page
from harvest_pipeline_tests.models.conftest import TODAY
from harvest_pipeline_tests.models.warehouse import Answers, invoice
from harvest_pipeline_tests.surroundings import needs

pytestmark = [pytest.mark.browser, pytest.mark.slow, needs("chromium")]
EQUAL = Compared("equal", "Equal to Harvest's own reports.")


class Page:
    """The page of some figures, opened from disk without a network."""

    def __init__(self, page: Any, folder: Path, found: Figures) -> None:
        self.requests: list[str] = []
        self.problems: list[str] = []
        page.context.set_offline(True)
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.file = folder / "dash board.html"
        self.file.write_text(page_of("Juniper & Co", "As of now.", EQUAL, found), "utf-8")
        page.goto(self.file.as_uri())
        for number in range(len(CHARTS)):
            page.wait_for_selector(f"#part-{number} .chart svg")
        self.page = page

    def _hear(self, line: Any) -> None:
        if line.type == "error":
            self.problems.append(line.text)

    def choose(self, **values: str) -> None:
        for name, value in values.items():
            self.page.select_option(f"#{name}", value)

    def tile(self, title: str) -> str:
        """A number on top, without its unit."""
        text = self.page.locator(".tile", has_text=title).first.locator("b").inner_text()
        return text.split()[0].replace(",", "")

    def rows(self, title: str) -> list[list[str]]:
        """The visible rows of the table below a chart."""
        lines = self.page.locator("section", has_text=title).locator("tbody tr:visible").all()
        return [line.locator("td").all_inner_texts() for line in lines]

    def marks(self, title: str) -> int:
        """How many bars, cells or points a chart shows."""
        chart = self.page.locator("section", has_text=title).locator(".chart svg")
        return int(chart.locator("g.mark-rect > path, g.mark-symbol > path").count())


@pytest.fixture
def shown(page: Any, account: Answers, tmp_path: Path) -> Iterator[Page]:
    yield Page(page, tmp_path, figures(account.connection, PARTS))


def test_it_needs_no_network_and_draws_every_question(shown: Page) -> None:
    assert shown.requests == [shown.file.as_uri()]
    assert shown.problems == []
    assert shown.page.locator("h1").inner_text() == "Juniper & Co"
    assert shown.page.locator(".compared.equal").inner_text() == EQUAL.text
    for chart in CHARTS:
        assert shown.marks(chart.title) > 0, chart.title
        section = shown.page.locator("section", has_text=chart.title)
        # The definition is one click away.
        section.locator("> details > summary").click()
        assert section.locator("> details p").first.is_visible()


def test_its_numbers_are_those_of_the_models_whatever_is_chosen(
    shown: Page, account: Answers
) -> None:
    [(client, currency)] = account.rows(
        "SELECT client_name, currency FROM receivables WHERE bucket = '90+'"
        " ORDER BY due_amount DESC LIMIT 1"
    )
    [(person,)] = account.rows(
        "SELECT user_name FROM timesheets WHERE missing_days > 0 ORDER BY week DESC LIMIT 1"
    )

    def expected(sql: str, *parameters: Any) -> str:
        [(value,)] = account.rows(f"SELECT coalesce(round({sql}, 0), 0)", *parameters)
        return f"{value:.0f}"

    for chosen in (None, client):
        shown.choose(client=chosen or "", currency=currency)
        where = "WHERE currency = ? AND client_name = coalesce(?, client_name)"
        due = f"(SELECT sum(due_amount) FROM receivables {where}"
        assert shown.tile("Owed to us") == expected(f"{due})", currency, chosen)
        late = expected(f"{due} AND days_past_due > 0 AND due_amount > 0)", currency, chosen)
        assert shown.tile("Past due") == late
        amount = expected(f"(SELECT sum(amount) FROM unbilled_work {where})", currency, chosen)
        assert shown.tile("To be invoiced") == amount
        invoices = account.rows(f"SELECT invoice_number FROM receivables {where}", currency, chosen)
        listed = [row[1] for row in shown.rows("Who owes us")]
        assert sorted(listed) == sorted(number for (number,) in invoices)
    shown.page.click("#reset")
    every = shown.marks("Who is overbooked")
    for chosen in (None, person):
        shown.choose(person=chosen or "")
        of = (
            "WHERE user_name = coalesce(?, user_name) AND week BETWEEN ?::DATE - 34 AND ?::DATE - 7"
        )
        share = expected(
            f"(SELECT 100 * sum(hours) / sum(capacity_hours) FROM utilisation {of})",
            *(chosen, TODAY, TODAY),
        )
        assert shown.tile("Utilisation") == share
        missing = f"(SELECT sum(missing_days) FROM timesheets {of})"
        assert shown.tile("Days without time") == expected(missing, chosen, TODAY, TODAY)
    assert 0 < shown.marks("Who is overbooked") < every


def test_names_of_others_are_text_and_nothing_else(
    page: Any, answers: Answers, tmp_path: Path
) -> None:
    name = "</script><script>window.hit = 1</script><img src=x onerror='window.hit = 2'>{{ 7*7 }}"
    answers.add("invoices", invoice(1, 100, client_name=name, number="<b>1</b>"))
    address = "https://evil.example/"
    answers.add("invoices", invoice(2, 50, client_name=name, number=address))
    shown = Page(page, tmp_path, figures(answers.connection, PARTS))
    shown.choose(client=name)
    assert [row[:2] for row in shown.rows("Who owes us")] == [[name, "<b>1</b>"], [name, address]]
    assert page.locator("a[href*=evil]").count() == 0
    assert page.evaluate("window.hit") is None
    assert shown.problems == []
    assert shown.requests == [shown.file.as_uri()]


def test_an_account_without_rows_has_a_page_too(
    page: Any, answers: Answers, tmp_path: Path
) -> None:
    shown = Page(page, tmp_path, figures(answers.connection, PARTS))
    assert shown.problems == []
    assert shown.tile("Days without time") == "0"
    assert shown.tile("Billable share") == "–"


def test_a_chart_is_an_image_too(account: Answers) -> None:
    found = figures(account.connection, PARTS)
    for chart in CHARTS:
        image = svg(chart, found)
        assert image.startswith("<svg")
        assert image.count("<path") > 3
        assert len(image) < 60_000
