"""`harvest.yaml`: datasets, and reports that are switched off."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline.definitions import build_definitions
from harvest_pipeline.settings import project_folder
from harvest_pipeline.settings.datasets import TAKEN, Dataset
from harvest_pipeline.settings.parameters import RunOptions, parameter_of
from harvest_pipeline_tests.projects import dataset
from harvest_pipeline_tests.settings.written import project_of, refusal_of

EXAMPLE = (project_folder() / "harvest.example.yaml").read_text("utf-8")


def own(datasets: tuple[Dataset, ...]) -> list[Dataset]:
    return [dataset for dataset in datasets if not dataset.is_report]


def of_one(folder: Path, text: str, **variables: str) -> list[Dataset]:
    [only] = project_of(folder, text, **variables).accounts
    return own(only.datasets)


def test_the_example_of_the_documentation_is_a_dataset_with_all_that_it_says(
    tmp_path: Path,
) -> None:
    text = """
        accounts:
          - name: acme
        datasets:
          - name: support_projects_time
            report: all_projects_time_entries
            account: acme
            filters: {project_ids: [14307913, 14308069]}
            window: {days_back_to_start_from: 10, days_back_to_end_at: 5}
            schedule: {cron: "0 6 * * 1-5", timezone: Europe/Berlin}
            update: partition          # replace | append | merge | partition
            retry: {attempts: 3, wait_minutes: 10}
    """
    [made] = of_one(tmp_path, text)
    assert made == dataset(
        "support_projects_time",
        "all_projects_time_entries",
        "partition",
        account="acme",
        project_ids=[14307913, 14308069],
        days_back_to_start_from=10,
        days_back_to_end_at=5,
        schedule={"cron": "0 6 * * 1-5", "timezone": "Europe/Berlin"},
        retry={"attempts": 3, "wait_minutes": 10},
    )
    assert made.options == RunOptions.of(
        {
            "project_ids": "14308069,14307913",
            "days_back_to_start_from": 10,
            "days_back_to_end_at": 5,
        },
        "a test",
    )


def test_the_update_suits_the_report_and_its_parameters() -> None:
    for report, parameters, update in (
        ("daily", {}, "partition"),
        ("daily", {"project_ids": [1], "days_back": 3}, "partition"),
        ("daily", {"updated_since_days_back": 3}, "merge"),
        ("clients", {}, "replace"),
        ("clients", {"days_back": 3}, "merge"),
    ):
        assert dataset("mine", report, **parameters).update == update


def test_a_schedule_is_in_the_time_zone_of_the_project_unless_it_has_its_own(
    tmp_path: Path,
) -> None:
    text = """
        datasets:
          - {name: a, report: daily, schedule: {cron: "0 6 * * *"}}
          - {name: b, report: daily, schedule: {cron: "0 6 * * *", timezone: Asia/Kolkata}}
    """
    [only] = project_of(tmp_path, text, HARVEST_TIMEZONE="Pacific/Auckland").accounts
    zones = [only.zone_of(each) for each in own(only.datasets)]
    assert zones == ["Pacific/Auckland", "Asia/Kolkata"]


def test_days_instants_and_ids_can_be_written_as_yaml_or_as_text(tmp_path: Path) -> None:
    text = """
        datasets:
          - name: a
            report: invoices
            window: {start_date: 2026-01-01, end_date: 10 days back}
            filters: {project_ids: "2, 1,2", invoice_status: None}
          - name: b
            report: daily
            filters: {updated_since: 2026-11-02T14:30:00Z, user_ids: 7}
          - {name: c, report: daily, filters: {updated_since: "2026-11-02"}, window: {}}
    """
    a, b, c = (dataset.options for dataset in of_one(tmp_path, text))
    assert (a.start_date, a.end_date, a.project_ids) == (date(2026, 1, 1), 10, (1, 2))
    assert a.invoice_status is None
    assert b.updated_since == datetime(2026, 11, 2, 14, 30, tzinfo=UTC)
    assert b.user_ids == (7,)
    assert c.updated_since == date(2026, 11, 2)


def test_a_report_that_is_switched_off_has_no_dataset_and_can_be_built_on(tmp_path: Path) -> None:
    text = """
        disabled_reports: [invoice_messages, daily, daily]
        datasets:
          - {name: mine, report: daily}
    """
    [only] = project_of(tmp_path, text).accounts
    left = [name for name in REPORTS if name not in ("invoice_messages", "daily")]
    assert [dataset.name for dataset in only.datasets] == [*left, "mine"]


def test_no_dataset_can_be_called_like_a_job_or_schedule_that_there_is(tmp_path: Path) -> None:
    made = build_definitions(project_of(tmp_path, ""))
    names = [each.name for each in (*(made.jobs or ()), *(made.schedules or ()))]
    assert len(names) >= 4
    for name in names:
        text = f"datasets: [{{name: {name.removeprefix('harvest_')}, report: daily}}]\n"
        assert "choose another name" in refusal_of(tmp_path, text)


WINDOWS = st.one_of(
    st.fixed_dictionaries({"days_back": st.integers(0, 3660)}),
    st.integers(0, 3660).flatmap(
        lambda first: st.fixed_dictionaries(
            {"days_back_to_start_from": st.just(first)},
            optional={"days_back_to_end_at": st.integers(0, first)},
        )
    ),
    st.fixed_dictionaries(
        {"start_date": st.one_of(st.dates(), st.just("yesterday"), st.integers(0, 3660))}
    ),
)
FILTER_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "updated_since": st.one_of(st.dates(), st.datetimes(timezones=st.just(UTC))),
    "updated_since_days_back": st.integers(0, 3660),
    "invoice_status": st.sampled_from(["draft", "open", "paid", "closed"]),
    "project_ids": st.lists(st.integers(1, 10**9), min_size=1, max_size=4, unique=True),
    "user_ids": st.integers(1, 10**9).map(str),
}
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,39}", fullmatch=True).filter(lambda n: n not in TAKEN)
SCHEDULES = st.fixed_dictionaries(
    {"cron": st.sampled_from(["0 6 * * 1-5", "*/15 * * * *", "@daily", "5 4 1,15 * MON"])},
    optional={"timezone": st.sampled_from(["UTC", "Asia/Kolkata", "America/Asuncion"])},
)
RETRIES = st.fixed_dictionaries(
    {"attempts": st.integers(1, 20)}, optional={"wait_minutes": st.floats(0, 1440)}
)


@st.composite
def entries(draw: st.DrawFn) -> dict[str, Any]:
    """A dataset made of pieces that go together."""
    report = draw(st.sampled_from(sorted(REPORTS)))
    takes = [n for n in FILTER_VALUES if parameter_of(n) in REPORTS[report].parameters]
    chosen = set(draw(st.lists(st.sampled_from(takes), unique=True))) if takes else set[str]()
    if {"updated_since", "updated_since_days_back"} <= chosen:
        chosen.remove("updated_since")
    entry: dict[str, Any] = {"name": draw(NAMES), "report": report}
    entry["filters"] = {name: draw(FILTER_VALUES[name]) for name in sorted(chosen)}
    entry["window"] = draw(st.one_of(st.just({}), WINDOWS))
    for key, values in (
        ("schedule", SCHEDULES),
        ("retry", RETRIES),
        ("update", st.sampled_from(["append", "merge"])),
    ):
        if draw(st.booleans()):
            entry[key] = draw(values)
    return entry


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(entries(), max_size=3, unique_by=lambda entry: entry["name"]),
    st.lists(st.sampled_from(sorted(REPORTS)), max_size=17, unique=True),
    st.lists(st.sampled_from(["acme", "blue_sky", "zeta"]), unique=True),
    st.data(),
)
def test_whatever_is_made_of_valid_pieces_loads_and_says_what_was_written(
    tmp_path: Path,
    datasets: list[dict[str, Any]],
    disabled: list[str],
    accounts: list[str],
    data: st.DataObject,
) -> None:
    for entry in datasets:
        if len(accounts) > 1:
            entry["account"] = data.draw(st.sampled_from(accounts))
    document = {
        "accounts": [{"name": name} for name in accounts],
        "disabled_reports": disabled,
        "datasets": datasets,
    }
    text = yaml.safe_dump(document, sort_keys=False)
    loaded = project_of(tmp_path, text, HARVEST_TIMEZONE="Asia/Tokyo").accounts
    assert [each.name for each in loaded] == (accounts or ["harvest"])
    for each in loaded:
        reports = {dataset.name for dataset in each.datasets if dataset.is_report}
        assert reports == set(REPORTS) - set(disabled)
        written = [e for e in datasets if e.get("account", each.name) == each.name]
        assert [dataset.name for dataset in own(each.datasets)] == [e["name"] for e in written]
        for made, entry in zip(own(each.datasets), written, strict=True):
            assert made.report.name == entry["report"]
            assert made.options == RunOptions.model_validate(
                {**entry["filters"], **entry["window"]}
            )
            assert made.update == entry.get("update", made.update)
            assert (made.schedule is None) == ("schedule" not in entry)
            if made.schedule:
                assert each.zone_of(made) == entry["schedule"].get("timezone", "Asia/Tokyo")
            assert (made.retry is None) == ("retry" not in entry)


def keys_of(node: yaml.Node) -> list[yaml.ScalarNode]:
    """Every key of a document."""
    if isinstance(node, yaml.SequenceNode):
        return [key for item in node.value for key in keys_of(item)]
    if isinstance(node, yaml.MappingNode):
        return [k for key, value in node.value for k in (key, *keys_of(value))]
    return []


KEYS = keys_of(yaml.compose(EXAMPLE, Loader=yaml.SafeLoader))
KNOWN = {key.value for key in KEYS} | set(RunOptions.model_fields)


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(KEYS), st.data())
def test_a_misspelt_key_is_named_with_its_line(
    tmp_path: Path, key: yaml.ScalarNode, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(key.value) - 1))
    letter = data.draw(st.sampled_from(["", *"abcdefghijklmnopqrstuvwxyz_"]))
    wrong = key.value[:at] + letter + key.value[at + data.draw(st.integers(0, 1)) :]
    assume(wrong and wrong not in KNOWN and wrong not in ("y", "n", "no", "on"))
    mark = key.start_mark
    text = EXAMPLE[: mark.index] + wrong + EXAMPLE[key.end_mark.index :]
    refusal = refusal_of(tmp_path, text)
    assert refusal.startswith(f"line {mark.line + 1}: ")
    assert f"{wrong}: there is no such setting" in refusal
