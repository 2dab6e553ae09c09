"""Every report with every parameter of the connector that this project replaces.

Each cell of 18 reports × all parameters is either applied, which is seen from what Harvest is asked
and from every row that is there afterwards, or refused with its sentence before any request. Days
are given to `sync`, which makes partitions of them; everything else to a launch. What each report
takes is written down here from Harvest's documentation; docs/from-domo.md has the results
(WRITE_DOCS=1 writes them there).
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any
from unittest.mock import patch

import dagster as dg
import pytest
from tabulate import tabulate

from harvest_pipeline import settings as configured
from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline.cli.choice import options_of, runs_of
from harvest_pipeline.scope import Filters, Scope, Window
from harvest_pipeline.settings import Project, project_folder
from harvest_pipeline.settings.datasets import Dataset
from harvest_pipeline.settings.parameters import DAYS, OptionsError
from harvest_pipeline.settings.resolve import Days, resolve
from harvest_pipeline_tests import reference
from harvest_pipeline_tests.orchestration.parameters.expected import (
    Account,
    Part,
    differences,
    expected,
)
from harvest_pipeline_tests.orchestration.parameters.stage import (
    CHANGES_BEGIN,
    Changed,
    Question,
    Ran,
    Stage,
    question,
)
from harvest_pipeline_tests.orchestration.parameters.story import DAY, START, TODAY

pytestmark = pytest.mark.slow

#: What Harvest applies (S; docs/reports.md links its pages), what is applied to the invoices of a
#: record (P), and what only the client could do (C, which a run refuses) or means nothing (-).
APPLIES = """
report                        record                   days since status projects users
all_projects_time_entries     time_entries             S    S     -      S        S
all_projects_logged_expenses  expenses                 S    S     -      S        S
all_users_logged_expenses     expenses                 S    S     -      S        S
all_users_time_entries        time_entries             S    S     -      S        S
assignments                   task_assignments         C    S     -      S        -
clients                       clients                  C    S     -      -        -
contacts                      contacts                 C    S     -      -        -
daily                         time_entries             S    S     -      S        S
expense_categories            expense_categories       C    S     -      -        -
invoices                      invoices                 S    S     S      S        -
invoice_messages              invoice_messages         P    S     P      -        -
invoice_payments              invoice_payments         P    S     P      -        -
invoice_item_categories       invoice_item_categories  C    S     -      -        -
people                        users                    C    S     -      -        -
projects                      projects                 C    S     -      -        -
project_expenses              expenses                 S    S     -      S        -
tasks                         tasks                    C    S     -      -        -
user_expenses                 expenses                 S    S     -      -        S
"""
_HEAD, *_LINES = (line.split() for line in APPLIES.strip().splitlines())
#: Each report's line of the table.
TABLE: dict[str, dict[str, str]] = {line[0]: dict(zip(_HEAD, line, strict=True)) for line in _LINES}
#: What is set for each kind of parameter, in the order in which sentences name them.
OPTIONS = {
    "days": (
        "days_back, days_back_to_start_from, days_back_to_end_at, start_date, end_date"
    ),
    "since": "updated_since, updated_since_days_back",
    "status": "invoice_status",
    "projects": "project_ids",
    "users": "user_ids",
    "everything": "full_refresh",
}  # fmt: skip
_FROM, _TO = date(2026, 11, 15), DAY
_RANGE = (_FROM, _TO)
_EVERY_DAY = (START, TODAY)


@dataclass(frozen=True)
class Parameter:
    """One way to set a parameter: `column` is its name in the old connector, `kind` that of TABLE.

    A run over `partitions` with `options` reads the days of `window`; where the options say days,
    `sync` chooses the partitions. `{project}` stands for an id. `asks` are the parameters of each
    question to Harvest beside from and to.
    """

    name: str
    column: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    partitions: tuple[date, date] = (TODAY, TODAY)
    window: tuple[date, date] = _RANGE
    asks: tuple[Mapping[str, str], ...] = ({},)
    since: datetime | None = None

    def __str__(self) -> str:
        return self.name

    def part(self, ids: Mapping[str, int]) -> Part:
        """What it means of the account."""
        return Part(
            *self.window,
            since=self.since,
            status=next((ask["state"] for ask in self.asks if "state" in ask), None),
            projects=self._ids("project_id", ids),
            users=self._ids("user_id", ids),
        )

    def _ids(self, name: str, ids: Mapping[str, int]) -> frozenset[int]:
        return frozenset(ids[ask[name].strip("{}")] for ask in self.asks if name in ask)


def _part(name: str, kind: str, column: str, value: Any, *asks: Mapping[str, str]) -> Parameter:
    return Parameter(name, column, kind, {OPTIONS[kind]: value}, _RANGE, asks=asks)


_ONE = ({"project_id": "{project}"},)
_TWO = ({"project_id": "{project}"}, {"project_id": "{project2}"})
_ONE_USER = ({"user_id": "{user}"},)
_TWO_USERS = ({"user_id": "{user}"}, {"user_id": "{user2}"})
PARAMETERS = (
    Parameter("Duration, a date", "Duration", "days", partitions=(DAY, DAY), window=(DAY, DAY)),
    Parameter("Duration, a range", "Duration", "days", partitions=_RANGE),
    Parameter("Report Date, specific", "Report Date", "days",
              {"start_date": "2026-11-17", "end_date": "2026-11-17"}, window=(DAY, DAY)),
    Parameter("Report Date, days back", "Report Date", "days",
              {"start_date": 3, "end_date": "3 days back"}, window=(DAY, DAY)),
    Parameter("Report Updated Since Date, specific", "Updated Since", "since",
              {"updated_since": "2026-11-20T17:30:00Z"}, _RANGE,
              asks=({"updated_since": "2026-11-20T17:30:00Z"},), since=CHANGES_BEGIN),
    Parameter("Report Updated Since Date, days back", "Updated Since", "since",
              {"updated_since_days_back": 3}, (DAY, TODAY), (DAY, TODAY),
              ({"updated_since": "2026-11-17T00:00:00Z"},),
              datetime(2026, 11, 17, tzinfo=UTC)),
    Parameter("Days Back", "Days Back", "days", {"days_back": 3}, window=(DAY, TODAY)),
    Parameter("Start Date and End Date, both specific", "Start/End Date", "days",
              {"start_date": "2026-11-15", "end_date": "2026-11-17"}),
    Parameter("Start Date specific, End Date relative", "Start/End Date", "days",
              {"start_date": "2026-11-15", "end_date": 3}),
    Parameter("Start Date relative, End Date specific", "Start/End Date", "days",
              {"start_date": "5 days back", "end_date": "2026-11-17"}),
    Parameter("Start Date and End Date, both relative", "Start/End Date", "days",
              {"start_date": 5, "end_date": "3 days ago"}),
    Parameter("Days Back to Start From and to End At", "Start From/End At", "days",
              {"days_back_to_start_from": 5, "days_back_to_end_at": 3}),
    Parameter("Invoice Status None", "Invoice Status", "status", {"invoice_status": "none"},
              _RANGE),
    *(
        _part(f"Invoice Status {state}", "status", "Invoice Status", state, {"state": state})
        for state in ("draft", "open", "paid", "closed")
    ),
    _part("Project IDs, one", "projects", "Project IDs", "{project}", *_ONE),
    _part("Project IDs, a list", "projects", "Project IDs", ["{project}", "{project2}"], *_TWO),
    _part("Project IDs, by comma and twice", "projects", "Project IDs",
          "{project}, {project2},{project}", *_TWO),
    _part("User IDs, one", "users", "User IDs", "{user}", *_ONE_USER),
    _part("User IDs, a list", "users", "User IDs", ["{user}", "{user2}"], *_TWO_USERS),
    _part("User IDs, by comma and twice", "users", "User IDs", "{user}, {user2},{user}",
          *_TWO_USERS),
    Parameter("full refresh", "`full_refresh`", "everything", {"full_refresh": True},
              window=_EVERY_DAY),
)  # fmt: skip
#: What each cell gave, by report and column.
RESULTS: dict[tuple[str, str], set[str]] = {}


def takes(report: str, parameter: Parameter) -> bool:
    """Whether a report takes a parameter, by the table above; every one can be read whole."""
    return parameter.kind == "everything" or TABLE[report][parameter.kind] in "SP"


def _cells() -> Iterator[tuple[str, Parameter]]:
    """Each report with each column.

    Reports that show the same record share the ways to write a parameter out among themselves:
    that all of these mean the same is a test of its own, which needs no runs.
    """
    columns: dict[str, list[Parameter]] = {}
    for parameter in PARAMETERS:
        columns.setdefault(parameter.column, []).append(parameter)
    for report, line in TABLE.items():
        alike = [each for each in TABLE if TABLE[each]["record"] == line["record"]]
        mine = alike.index(report)
        for ways in columns.values():
            for number, parameter in enumerate(ways):
                if takes(report, parameter):
                    first = mine % len(ways) if len(alike) >= len(ways) else number % len(alike)
                    if first == (number if len(alike) >= len(ways) else mine):
                        yield report, parameter
                elif parameter.name != "Invoice Status None":
                    yield report, parameter


CELLS = tuple(_cells())


@pytest.fixture(scope="module")
def run(changed: Changed) -> Callable[[str, Parameter], Ran]:
    """The run of a cell, together with the others of its parameter that come to the same."""

    @cache
    def of(reports: tuple[str, ...], number: int) -> Ran:
        parameter, stage = PARAMETERS[number], changed.stage
        stage.put_back()
        days, options = _launch(stage.settings, reports, parameter, changed.ids)
        return stage.run(*reports, days=days, **options)

    def of_cell(report: str, parameter: Parameter) -> Ran:
        taken = takes(report, parameter)
        # A report that fails lets those that hang on it out, and invoices are read in another way
        # for their messages and payments than for themselves when only changes are asked for.
        apart = not taken or parameter.kind == "since"
        together = tuple(
            each
            for each, of in CELLS
            if of is parameter
            and takes(each, parameter) == taken
            and (not apart or _is_child(each) == _is_child(report))
        )
        return of(together, PARAMETERS.index(parameter))

    return of_cell


@pytest.mark.long
@pytest.mark.parametrize(
    ("report", "parameter"), CELLS, ids=[f"{report}, {parameter}" for report, parameter in CELLS]
)
def test_a_parameter_is_applied_or_refused(
    changed: Changed, run: Callable[[str, Parameter], Ran], report: str, parameter: Parameter
) -> None:
    if takes(report, parameter):
        result = _assert_applied(changed, run(report, parameter), report, parameter)
    elif parameter.options:
        result = _assert_refused(run(report, parameter), report, parameter)
    else:
        result = _assert_has_no_days(changed.stage, report)
    RESULTS.setdefault((report, parameter.column), set()).add(result)


@pytest.mark.parametrize("parameter", PARAMETERS, ids=str)
@pytest.mark.parametrize("report", TABLE)
def test_every_way_to_write_a_parameter_means_the_same_for_every_report(
    report: str, parameter: Parameter
) -> None:
    ids = {"project": 1, "project2": 2, "user": 3, "user2": 4}
    [settings] = Project.of({"HARVEST_START_DATE": START.isoformat()}).accounts
    partitions, values = _launch(settings, [report], parameter, ids)
    run = Window(*partitions) if partitions and _dated(report) else Window(TODAY, TODAY)
    days = Days(run, Window(*_EVERY_DAY), "UTC")
    dataset = Dataset(name=report, report=REPORTS[report])
    if not takes(report, parameter) and parameter.options != {"invoice_status": "none"}:
        if parameter.options:
            with pytest.raises(OptionsError) as refused:
                resolve(dataset, values, days, [dataset])
            assert str(refused.value) == _refusal(report, parameter)
        return
    ask = resolve(dataset, values, days, [dataset])
    part = parameter.part(ids)
    assert ask.scope == Scope(
        TABLE[report]["record"],
        Window(*parameter.window) if _dated(report) else None,
        Filters(part.since, None, part.status, tuple(part.projects), tuple(part.users)),
    )
    assert ask.ignored == ()


def test_what_reports_take_is_what_the_reference_says() -> None:
    said = {title.lower(): line for title, line in reference.parameters().items()}
    for report, line in TABLE.items():
        cells = said.pop(report.replace("_", " "))
        for kind in ("days", "since", "status", "projects", "users"):
            # Only the first word: what it is compared with, and how, is said in words.
            assert re.sub(r"[^SCP-]", "", cells[kind].split()[0]) == line[kind], (report, kind)
    assert not said


def _assert_applied(changed: Changed, ran: Ran, report: str, parameter: Parameter) -> str:
    record, part = TABLE[report]["record"], parameter.part(changed.ids)
    before, now = changed.before, changed.now
    _assert_can_fail(record, part, before, now)

    assert ran.refusals == {}
    outcome = expected(record, part, before, now)
    outcome.assert_is(ran.rows[report], changed.loaded_at)
    if report == "invoices":
        _assert_lines_follow(ran, before, now, set(outcome.fresh), set(outcome.kept))

    days = [str(day) for day in _days(*parameter.window)] if _dated(report) else [""]
    assert ran.days[report] == days
    said = {each["only"].value for each in ran.metadata[report] if "only" in each}
    assert bool(said) == bool(part.since or part.has_filters)
    return _assert_asked(changed, ran, report, parameter)


def _assert_can_fail(record: str, part: Part, before: Account, now: Account) -> None:
    """The account has changed in every way that the parameter could get wrong."""
    found = differences(record, part, before, now)
    assert found.edited_inside
    assert found.deleted_inside
    everything = (part.first, part.last) == _EVERY_DAY or (not part.has_filters and _whole(record))
    if not everything:
        assert found.changed_outside
        assert found.deleted_outside
        assert found.came
        assert found.left or record in ("task_assignments", "invoice_messages", "invoice_payments")


def _whole(record: str) -> bool:
    return next(line["days"] for line in TABLE.values() if line["record"] == record) == "C"


def _assert_lines_follow(
    ran: Ran, before: Account, now: Account, fresh: set[int], kept: set[int]
) -> None:
    """The lines of each invoice are as old, or as new, as the invoice itself."""
    lines = ran.rows["invoice_line_items"]
    old, new = before.rows["invoice_line_items"], now.rows["invoice_line_items"]
    assert {k: r for k, r in lines.items() if r["invoice_id"] in kept} == {
        k: r for k, r in old.items() if r["invoice_id"] in kept
    }
    names = next(iter(new.values()))
    assert {k: {n: r[n] for n in names} for k, r in lines.items() if r["invoice_id"] in fresh} == {
        k: r for k, r in new.items() if r["invoice_id"] in fresh
    }
    assert {row["invoice_id"] for row in lines.values()} <= fresh | kept


def _assert_asked(changed: Changed, ran: Ran, report: str, parameter: Parameter) -> str:
    """Harvest was asked what the parameter means, each question once. Returns how."""
    record = TABLE[report]["record"]
    asks = [_filled(ask, changed.ids) for ask in parameter.asks]
    if not _is_child(record):
        result, wanted = "yes", [_list(record, parameter.window, ask) for ask in asks]
    else:
        # What changed among the children is asked of them, everything else of their invoices.
        result = "by invoice" if parameter.kind in ("days", "status") else "yes"
        own, of_invoices = (asks[0], {}) if parameter.since else ({}, asks[0])
        wanted = [_list("invoices", parameter.window, of_invoices)]
        wanted += [
            question(f"/invoices/{id}/{record.removeprefix('invoice_')}", **own)
            for id in _parents(changed.now, record, parameter.part(changed.ids))
        ]
    counted = Counter(ran.questions)
    assert {each: counted[each] for each in wanted} == dict.fromkeys(wanted, 1)
    # Where those are that have left the part is asked beside: once for each id, or for the days.
    others = [each for each in ran.questions if each[0] == wanted[0][0] and each not in wanted]
    left = _left(changed, record, parameter)
    assert len(others) == left
    assert {name for _, query in others for name, _ in query} <= {"updated_since"}
    return result


def _left(changed: Changed, record: str, parameter: Parameter) -> int:
    """How many of the ids (or states, or days) asked for have lost a record since it was
    loaded."""
    if record == "task_assignments" or (parameter.since and not _is_child(record)):
        return 0
    record = "invoices" if _is_child(record) else record
    part = parameter.part(changed.ids)
    parts = [
        *(replace(part, projects=frozenset([each])) for each in part.projects),
        *(replace(part, users=frozenset([each])) for each in part.users),
        *([part] if part.status else []),
    ]
    if not (part.has_filters or _whole(record)):
        parts = [part]
    found = [differences(record, each, changed.before, changed.now) for each in parts]
    return sum(1 for each in found if each.left or each.deleted_inside)


def _list(record: str, window: tuple[date, date], ask: Mapping[str, Any]) -> Question:
    """The question for a list."""
    if record == "task_assignments" and "project_id" in ask:
        return question(f"/projects/{ask['project_id']}/task_assignments")
    if _whole(record):
        return question(f"/{record}", **ask)
    return question(f"/{record}", **{"from": window[0], "to": window[1]}, **ask)


def _dated(report: str) -> bool:
    return TABLE[report]["days"] in "SP"


def _launch(
    settings: configured.Account,
    reports: Sequence[str],
    parameter: Parameter,
    ids: Mapping[str, int],
) -> tuple[tuple[date, date] | None, Mapping[str, Any]]:
    """The partitions and the parameters of the run."""
    options = _filled(parameter.options, ids)
    by_sync = options and options.keys() <= set(DAYS)
    if not (by_sync and all(takes(each, parameter) for each in reports)):
        return parameter.partitions, options
    with patch.object(Project, "today", lambda _: TODAY):
        (run,) = runs_of(settings, reports, options_of(options))
    return run.window and (run.window.first, run.window.last), run.config


def _is_child(name: str) -> bool:
    return name in ("invoice_messages", "invoice_payments")


def _parents(now: Account, record: str, part: Part) -> list[int]:
    """The invoices whose messages or payments are asked for: all of them, but for payments not
    those of which nothing has been paid."""
    of_part = replace(part, since=None)
    invoices = now.rows["invoices"]
    found = [id for id, row in invoices.items() if now.holds("invoices", row, of_part, now)]
    if record == "invoice_messages":
        return found
    paid = {row["invoice_id"] for row in now.rows["invoice_payments"].values()}
    return [id for id in found if id in paid or invoices[id]["state"] == "paid"]


def _assert_refused(ran: Ran, report: str, parameter: Parameter) -> str:
    assert ran.refusals[report] == _refusal(report, parameter)
    assert ran.days[report] == []
    assert ran.questions == []
    return "refused"


def _refusal(report: str, parameter: Parameter) -> str:
    option = next(iter(parameter.options))
    line = TABLE[report]
    taken = [
        names
        for kind, names in OPTIONS.items()
        if line.get(kind, "S") in "SP" and not (_dated(report) and kind in ("days", "everything"))
    ]
    return (
        f"The report {report} has no {option}; it takes {', '.join(taken)}. Remove {option} from "
        "report_options of the launch."
    )


def _assert_has_no_days(stage: Stage, report: str) -> str:
    """There is no day to choose, neither in the launchpad nor in a backfill."""
    graph = stage.job.asset_layer.asset_graph
    assert not graph.get(dg.AssetKey([stage.settings.name, report])).is_partitioned
    return "read whole"


def _filled(value: Any, ids: Mapping[str, int]) -> Any:
    """The value with ids in place of their names; a list of ids has numbers."""
    if isinstance(value, Mapping):
        return {name: _filled(each, ids) for name, each in value.items()}
    if isinstance(value, list):
        return [int(_filled(each, ids)) for each in value]
    return value.format(**ids) if isinstance(value, str) else value


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


@pytest.mark.long
def test_an_instance_chooses_the_account(changed: Changed) -> None:
    """The token of these tests reaches two accounts, and HARVEST_INSTANCE names the second one:
    what was loaded before all changes is that one, all of it."""
    nothing = Account({record: {} for record in changed.planted.rows})
    for report, line in TABLE.items():
        outcome = expected(line["record"], Part(*_EVERY_DAY), nothing, changed.planted)
        outcome.assert_is(changed.before.rows[line["record"]], datetime(2000, 1, 1, tzinfo=UTC))
        assert outcome.fresh != changed.another.rows[line["record"]]
        RESULTS.setdefault((report, "Instance"), set()).add("yes")


@pytest.mark.long
def test_the_results_stand_in_the_documentation() -> None:
    """The table between the two marks of docs/from-domo.md is what the tests above have given."""
    columns = ["Instance", *dict.fromkeys(each.column for each in PARAMETERS)]
    missing = [(r, c) for r in TABLE for c in columns if (r, c) not in RESULTS]
    if missing:
        pytest.skip(f"only with all tests of this file: nothing known of {missing[0]}")
    rows = [[f"`{report}`", *(_one(RESULTS[report, each]) for each in columns)] for report in TABLE]
    table = tabulate(rows, headers=["report", *columns], tablefmt="github")
    path = project_folder() / "docs" / "from-domo.md"
    text = path.read_text("utf-8")
    before, rest = text.split(_BEGIN)
    written, after = rest.split(_END)
    if os.environ.get("WRITE_DOCS"):
        path.write_text(f"{before}{_BEGIN}\n{table}\n{_END}{after}", "utf-8")
    else:
        assert written.strip() == table, "run this file with WRITE_DOCS=1"


_BEGIN, _END = "<!-- results: begin -->", "<!-- results: end -->"


def _one(results: set[str]) -> str:
    """What a cell shows: all ways to write a parameter have given the same."""
    (result,) = results
    return result
