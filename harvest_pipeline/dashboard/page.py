"""The page of the dashboard: charts, tables and figures in one HTML file."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import vl_convert
from jinja2 import Environment

from harvest_pipeline.dashboard.charts import AGES, CHARTS, Chart, specification
from harvest_pipeline.dashboard.figures import PARTS, RECENT_WEEKS, Compared, Figures, Rows
from harvest_pipeline.models import models

_RECENT = ("recent", [True])
_WEEKS = f"last {RECENT_WEEKS} full weeks"


@dataclass(frozen=True, slots=True)
class _Tile:
    """A number on top: the sum of `column` (without one the number of rows), divided by that of the
    columns `of`, over the rows of a part where a column has one of some values."""

    title: str
    about: str
    kind: str
    part: str
    column: str | None = None
    of: tuple[str, ...] = ()
    where: tuple[str, list[Any]] | None = None


_TILES = (
    _Tile(
        "Billable share",
        _WEEKS,
        "share",
        "hours",
        "billable",
        ("billable", "not billable"),
        _RECENT,
    ),
    _Tile(
        "Utilisation",
        f"{_WEEKS}, of all work",
        "share",
        "utilisation",
        "hours",
        ("capacity",),
        _RECENT,
    ),
    _Tile("To be invoiced", "work and expenses", "money", "unbilled", "amount"),
    _Tile("Owed to us", "open invoices", "money", "receivables", "due"),
    _Tile(
        "Past due",
        "of that",
        "money",
        "receivables",
        "due",
        (),
        ("bucket", [*AGES[1:]]),
    ),
    _Tile(
        "Budgets used up",
        "of projects that are worked on",
        "count",
        "budgets",
        where=("state", ["over"]),
    ),
    _Tile(
        "Budgets that run out",
        "within 30 days",
        "count",
        "budgets",
        where=("state", ["within 30 days"]),
    ),
    _Tile(
        "Days without time",
        f"working days, {_WEEKS}",
        "count",
        "timesheets",
        "missing",
        (),
        _RECENT,
    ),
)

_PLURALS = {"client": "clients", "project": "projects", "person": "people"}
#: The table below a chart: the column of its rows, its title, and how it is written.
_TABLES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "unbilled": (
        ("client", "client", "text"),
        ("project", "project", "text"),
        ("month", "month", "text"),
        ("hours", "hours", "amount"),
        ("amount", "amount", "amount"),
        ("currency", "", "text"),
        ("age_days", "days", "count"),
    ),
    "receivables": (
        ("client", "client", "text"),
        ("number", "invoice", "text"),
        ("due_date", "due on", "text"),
        ("due", "due", "amount"),
        ("currency", "", "text"),
        ("days_past_due", "days late", "count"),
        ("expected_on", "expected", "text"),
    ),
    "unknown": (
        ("client", "client", "text"),
        ("project", "project", "text"),
        ("reason", "not in it, because", "text"),
    ),
    "budgets": (
        ("client", "client", "text"),
        ("project", "project", "text"),
        ("budget", "budget", "amount"),
        ("spent", "spent", "amount"),
        ("unit", "", "text"),
        ("runs_out_on", "runs out on", "text"),
    ),
}


def page(title: str, as_of: str, compared: Compared, figures: Figures) -> str:
    """The HTML of the dashboard, about 1.2 MB with its scripts: it needs no network. `as_of` is a
    sentence that says how fresh the figures are."""
    parts = figures.parts
    charts = [
        (f"part-{number}", chart) for number, chart in enumerate(CHARTS) if chart.part in parts
    ]
    tiles = [tile for tile in _TILES if tile.part in parts]
    data = {
        "rows": parts,
        "filters": {name: part.filters for name, part in PARTS.items() if name in parts},
        "tiles": [asdict(tile) for tile in tiles],
        "charts": [
            {"id": id, "part": chart.part, "chart": specification(chart, figures)}
            for id, chart in charts
        ],
    }
    template = files(__package__ or "").joinpath("page.html").read_text("utf-8")
    return (
        Environment(autoescape=True)
        .from_string(template)
        .render(
            title=title,
            as_of=as_of,
            compared=compared,
            currency=figures.currency,
            filters=_filters(parts),
            tiles=tiles,
            parts=[_section(id, chart, parts) for id, chart in charts],
            data=data,
            scripts=_scripts(),
        )
    )


@cache
def _scripts() -> str:
    # Its types ask for a snippet; without one it is Vega, Vega-Lite and what embeds them.
    bundle: Any = vl_convert.javascript_bundle  # pyright: ignore[reportUnknownMemberType]
    return bundle()


def _filters(parts: Mapping[str, Rows]) -> dict[str, list[str]]:
    """The values of each filter."""
    values: dict[str, set[str]] = {
        each: set() for each in ("client", "project", "person", "currency")
    }
    for name, rows in parts.items():
        for each in PARTS[name].filters:
            values[each] |= {row[each] for row in rows if row[each]}
    return {each: sorted(found, key=str.casefold) for each, found in values.items()}


def _section(id: str, chart: Chart, parts: Mapping[str, Rows]) -> dict[str, Any]:
    model = models()[PARTS[chart.part].models[0]]
    whole = [plural for each, plural in _PLURALS.items() if each not in PARTS[chart.part].filters]
    listed = chart.table or chart.part
    columns = _TABLES.get(listed, ())
    return {
        "id": id,
        "title": chart.title,
        "about": f"{chart.about} For all {' and '.join(whole)}." if whole else chart.about,
        "model": model.name,
        "definition": [model.title, *model.definition.split("\n\n")],
        "columns": [(title, kind != "text") for _, title, kind in columns],
        "rows": [
            (
                f"{listed} {at}",
                [(_text(row[name], kind), kind != "text") for name, _, kind in columns],
            )
            for at, row in enumerate(parts[listed])
            if columns
        ],
    }


def _text(value: Any, kind: str) -> str:
    if value is None:
        return ""
    return f"{value:,.2f}" if kind == "amount" else str(value)
