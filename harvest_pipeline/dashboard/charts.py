"""The charts of the dashboard, as Vega-Lite by Altair."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import altair as alt
import vl_convert

from harvest_pipeline.dashboard.figures import MONTHS, PARTS, WEEKS, Figures

_BLUE, _LIGHT, _ORANGE, _RED, _GREEN = "#2f6690", "#b9c6d3", "#e08e45", "#b23a48", "#5b8e7d"
_WIDTH, _HEIGHT = 560, 240
#: The buckets of `receivables`.
AGES = ("0", "1–30", "31–60", "61–90", "90+")
_FONT = "Inter, 'Helvetica Neue', Arial, sans-serif"

_OF_WEEK = alt.Tooltip("week:T", timeUnit="utcyearmonthdate", title="week of")
_OF_MONTH = alt.Tooltip("month:T", timeUnit="utcyearmonth")


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of one part of the figures. `title` is the question that it answers, `about` says
    what is shown; `table` is the part whose rows are listed below it, if it is another one."""

    part: str
    title: str
    about: str
    draw: Callable[[alt.Chart], Any]
    table: str | None = None


def specification(chart: Chart, figures: Figures, *, width: int | str = "container") -> Any:
    """The chart as Vega-Lite without its rows, which it expects under the name of its part.

    It has a parameter for each filter of the part: the currency is the one that most is in, the
    others are null, which is everything.
    """
    base = alt.Chart(alt.NamedData(name=chart.part))
    for each in PARTS[chart.part].filters:
        base = base.transform_filter(f"{each} === null || datum.{each} === {each}")
    drawn = chart.draw(base).add_params(
        *(
            alt.param(name=each, value=figures.currency if each == "currency" else None)
            for each in PARTS[chart.part].filters
        )
    )
    fitted = drawn.properties(
        width=width, autosize=alt.AutoSizeParams(type="fit-x", contains="padding")
    )
    return fitted.configure(font=_FONT).configure_view(stroke=None).to_dict()


def svg(chart: Chart, figures: Figures) -> str:
    """The chart with all its rows as an SVG image of about 20 KB."""
    alone = specification(chart, figures, width=_WIDTH)
    alone["config"]["aria"] = False  # text for each mark, which trebles its size
    return vl_convert.vegalite_to_svg(
        {**alone, "datasets": {chart.part: figures.parts[chart.part]}}
    )


def _weeks(**axis: Any) -> alt.X:
    return alt.X(
        "week:O",
        timeUnit="utcyearmonthdate",
        title=None,
        axis=alt.Axis(format="%b %-d", labelAngle=0, labelOverlap=True, **axis),
    )


def _hours(base: alt.Chart) -> Any:
    bars = (
        base.transform_fold(["billable", "not billable"], as_=["kind", "hours"])
        .mark_bar()
        .encode(
            x=_weeks(),
            y=alt.Y("sum(hours):Q", title="hours"),
            color=alt.Color(
                "kind:N",
                title=None,
                scale=alt.Scale(domain=["billable", "not billable"], range=[_BLUE, _LIGHT]),
                legend=alt.Legend(orient="top"),
            ),
            order=alt.Order("kind:N", sort="ascending"),
            tooltip=[
                _OF_WEEK,
                alt.Tooltip("kind:N", title="kind"),
                alt.Tooltip("sum(hours):Q", format=",.1f", title="hours"),
            ],
        )
    )
    share = (
        base.transform_aggregate(
            billable="sum(billable)", other="sum(not billable)", groupby=["week"]
        )
        .transform_calculate(share="datum.billable / (datum.billable + datum.other)")
        .mark_line(color=_ORANGE, point=alt.OverlayMarkDef(color=_ORANGE, size=30))
        .encode(
            x=alt.X("week:O", timeUnit="utcyearmonthdate"),
            y=alt.Y(
                "share:Q",
                title="billable share",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format="%", grid=False, titleColor=_ORANGE),
            ),
            tooltip=[alt.Tooltip("share:Q", format=".0%", title="billable share")],
        )
    )
    both: Any = alt.layer(bars, share)
    return both.resolve_scale(y="independent").properties(height=_HEIGHT)


def _grid(base: alt.Chart, color: alt.Color, text: alt.Text, tooltip: list[Any]) -> Any:
    """A cell for each person and week."""
    cells = base.encode(
        x=_weeks(orient="top"),
        y=alt.Y("person:N", title=None, sort="ascending"),
        tooltip=[
            alt.Tooltip("person:N"),
            _OF_WEEK,
            *tooltip,
        ],
    )
    return alt.layer(
        cells.mark_rect(stroke="white", strokeWidth=2).encode(color=color),
        cells.mark_text(fontSize=10).encode(text=text),
    ).properties(height=alt.Step(22))


def _utilisation(base: alt.Chart) -> Any:
    return _grid(
        base,
        alt.Color(
            "utilisation:Q",
            scale=alt.Scale(
                domain=[0, 0.5, 0.85, 1, 1.25],
                range=["#f4f1ec", "#cfdde8", "#8fb3cc", "#f0c38e", "#d97b6c"],
                clamp=True,
                interpolate="rgb",
            ),
            legend=None,
        ),
        alt.Text("utilisation:Q", format=".0%"),
        [
            alt.Tooltip("utilisation:Q", format=".0%"),
            alt.Tooltip("hours:Q", format=",.1f"),
            alt.Tooltip("billable:Q", format=",.1f"),
            alt.Tooltip("capacity:Q", format=",.1f"),
        ],
    )


def _timesheets(base: alt.Chart) -> Any:
    return _grid(
        base,
        alt.Color(
            "missing:Q",
            scale=alt.Scale(domain=[0, 1, 5], range=["#eef3f0", "#f0c38e", "#d97b6c"], clamp=True),
            legend=None,
        ),
        alt.Text("shown:N"),
        [
            alt.Tooltip("missing:Q", title="days without time"),
            alt.Tooltip("late:Q", title="entries made late"),
            alt.Tooltip("hours:Q", format=",.1f"),
        ],
    ).transform_calculate(shown="datum.missing > 0 ? datum.missing : ''")


def _profit(base: alt.Chart) -> Any:
    month = alt.X(
        "month:O",
        timeUnit="utcyearmonth",
        title=None,
        axis=alt.Axis(format="%b %y", labelAngle=0, labelOverlap=True),
    )
    kinds: list[Any] = ["revenue", "cost"]
    bars = (
        base.transform_fold(kinds, as_=["kind", "amount"])
        .mark_bar()
        .encode(
            x=month,
            xOffset=alt.XOffset("kind:N", sort=kinds),
            y=alt.Y("sum(amount):Q", title=None, axis=alt.Axis(format="~s")),
            color=alt.Color(
                "kind:N",
                title=None,
                scale=alt.Scale(domain=[*kinds, "margin"], range=[_BLUE, _LIGHT, _GREEN]),
                legend=alt.Legend(orient="top"),
            ),
            tooltip=[
                _OF_MONTH,
                alt.Tooltip("kind:N"),
                alt.Tooltip("sum(amount):Q", format=",.2f", title="amount"),
            ],
        )
    )
    line = (
        base.transform_calculate(kind="'margin'")
        .mark_line(point=alt.OverlayMarkDef(size=30))
        .encode(
            x=month,
            y=alt.Y("sum(margin):Q", title=None),
            color=alt.Color("kind:N"),
            tooltip=[
                _OF_MONTH,
                alt.Tooltip("sum(margin):Q", format=",.2f", title="margin"),
            ],
        )
    )
    return alt.layer(bars, line).properties(height=_HEIGHT)


def _clients(base: alt.Chart) -> Any:
    return (
        base.transform_aggregate(
            revenue="sum(revenue)", cost="sum(cost)", margin="sum(margin)", groupby=["client"]
        )
        .mark_bar(color=_GREEN)
        .encode(
            x=alt.X("margin:Q", title="margin", axis=alt.Axis(format="~s")),
            y=alt.Y("client:N", title=None, sort="-x"),
            color=alt.condition("datum.margin < 0", alt.value(_RED), alt.value(_GREEN)),
            tooltip=[
                alt.Tooltip("client:N"),
                *(
                    alt.Tooltip(f"{each}:Q", format=",.2f")
                    for each in ("revenue", "cost", "margin")
                ),
            ],
        )
        .properties(height=alt.Step(24))
    )


def _ages(base: alt.Chart, age: str, order: list[str], amount: str, colors: list[str]) -> Any:
    """A bar for each age, the last ones in warning colours."""
    return (
        base.mark_bar()
        .encode(
            x=alt.X(
                f"{age}:O",
                title="days",
                scale=alt.Scale(domain=order),
                axis=alt.Axis(labelAngle=0),
            ),
            y=alt.Y(f"sum({amount}):Q", title=None, axis=alt.Axis(format="~s")),
            color=alt.Color(f"{age}:O", scale=alt.Scale(domain=order, range=colors), legend=None),
            tooltip=[
                alt.Tooltip(f"{age}:O", title="days"),
                alt.Tooltip(f"sum({amount}):Q", format=",.2f", title="amount"),
            ],
        )
        .properties(height=_HEIGHT)
    )


def _unbilled(base: alt.Chart) -> Any:
    order = ["0–30", *AGES[2:], "fixed fee"]
    return _ages(base, "age", order, "amount", [_BLUE, _LIGHT, _ORANGE, _RED, _GREEN])


def _receivables(base: alt.Chart) -> Any:
    colors = [_GREEN, _BLUE, _LIGHT, "#f0c38e", _ORANGE, _RED]
    return _ages(base, "bucket", ["credit", *AGES], "due", colors)


def _budgets(base: alt.Chart) -> Any:
    order = ["over", "within 30 days", "later", "not at this pace"]
    bars = (
        base.mark_bar()
        .encode(
            x=alt.X("spent_percent:Q", title="% of the budget spent"),
            y=alt.Y(
                "project:N",
                title=None,
                sort=alt.EncodingSortField("spent_percent", op="max", order="descending"),
            ),
            color=alt.Color(
                "state:N",
                title="runs out",
                scale=alt.Scale(domain=order, range=[_RED, _ORANGE, _BLUE, _LIGHT]),
                legend=alt.Legend(orient="top"),
            ),
            tooltip=[
                alt.Tooltip("client:N"),
                alt.Tooltip("project:N"),
                alt.Tooltip("budget:Q", format=",.2f"),
                alt.Tooltip("spent:Q", format=",.2f"),
                alt.Tooltip("unit:N"),
                alt.Tooltip("runs_out_on:N", title="runs out on"),
            ],
        )
        .properties(height=alt.Step(22))
    )
    days = bars.mark_text(align="left", dx=4, fontSize=10).encode(
        text="text:N", color=alt.value("#444")
    )
    full = base.mark_rule(strokeDash=[4, 3]).encode(x=alt.datum(100))
    return alt.layer(bars, days, full).transform_calculate(text="datum.runs_out_on || ''")


CHARTS = (
    Chart(
        "hours",
        "What do we work on?",
        f"Hours by week, the last {WEEKS} weeks, and the share of them that can be billed.",
        _hours,
    ),
    Chart(
        "utilisation",
        "Who is overbooked, who is free?",
        "Hours of each person in percent of what they could work, by week.",
        _utilisation,
    ),
    Chart(
        "profit",
        "What do we earn?",
        f"Revenue, cost and margin by month, the last {MONTHS} months, where the margin is known.",
        _profit,
    ),
    Chart(
        "profit",
        "With whom do we earn it?",
        f"Margin by client, the last {MONTHS} months.",
        _clients,
        table="unknown",
    ),
    Chart(
        "unbilled",
        "What is to be invoiced?",
        "Work and expenses that are not invoiced, by the age of the oldest in each month, and what"
        " is left of fixed fees.",
        _unbilled,
    ),
    Chart(
        "receivables",
        "Who owes us how much, and since when?",
        "Open invoices by the days that they are past due.",
        _receivables,
    ),
    Chart(
        "budgets",
        "Which budgets run out, and when?",
        "What is spent of the budget of each project that is worked on, and the day on which"
        " nothing is left at the pace of the last 28 days.",
        _budgets,
    ),
    Chart(
        "timesheets",
        "Which timesheets are missing?",
        "Working days on which nobody entered anything, by person and week.",
        _timesheets,
    ),
)
