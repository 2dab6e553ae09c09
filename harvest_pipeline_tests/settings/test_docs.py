"""The documents in docs/, the JSON schema of harvest.yaml and its example say what is true."""

import json
import pkgutil
import re
from collections.abc import Callable
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import BaseModel

import harvest_pipeline
from harvest_pipeline import build_definitions
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline.cli.choice import chosen_accounts
from harvest_pipeline.harvest.oauth import checked
from harvest_pipeline.scope import Window
from harvest_pipeline.settings import VARIABLES, Project, load_project, project_folder
from harvest_pipeline.settings.docs import (
    DOCUMENTS,
    configuration,
    parameters,
    reports,
    troubleshooting,
)
from harvest_pipeline.settings.harvest_yaml import ProjectFile, json_schema
from harvest_pipeline.settings.parameters import RunOptions
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline_tests.places import place_at
from harvest_pipeline_tests.settings.written import project_of, refusal_of

PROJECT = project_folder()
EXAMPLE = (PROJECT / "harvest.example.yaml").read_text("utf-8")


def test_the_files_in_docs_are_up_to_date() -> None:
    for name, text in DOCUMENTS.items():
        assert (PROJECT / "docs" / name).read_text("utf-8") == text(), "run `make docs`"


def models_in(model: type[BaseModel]) -> set[type[BaseModel]]:
    """A model and those of its fields."""
    found = {model}
    for field in model.model_fields.values():
        for kind in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found |= models_in(kind)
    return found


def test_the_documents_have_every_variable_and_every_setting_with_its_meaning() -> None:
    lines = f"{configuration()}{parameters()}".splitlines()
    rows = [line for line in lines if line.startswith("| `")]

    def is_there(name: str, meaning: str) -> bool:
        return any(row.startswith(f"| `{name}` ") and meaning in row for row in rows)

    assert all(is_there(variable.name, variable.meaning) for variable in VARIABLES.values())
    models = models_in(ProjectFile) | {RunOptions}
    assert len(models) >= 7
    for model in models:
        for name, field in model.model_fields.items():
            assert field.description, name
            assert is_there(field.alias or name, field.description), name


def test_the_dictionary_has_every_report_and_every_column() -> None:
    text = reports()
    assert all(report.description in text for report in REPORTS.values())
    for record in RECORDS.values():
        section = text.split(f"\n## {record.name}\n")[1].split("\n## ")[0]
        assert all(f"| `{column.name}` " in section for column in record.columns)


#: Exceptions that the code catches itself, and those that only have others derived from them.
INTERNAL = {
    *("ApiError", "TransferFailed", "NeverSent", "Truncated", "Interrupted", "HarvestError"),
    "StateFailed",
    *("_Uncut", "_Unusable", "_Repeated", "_TooLarge", "_NotMade"),
}


def exceptions() -> dict[str, type[Exception]]:
    """Every exception of the package, by name."""
    found = dict[str, type[Exception]]()
    # The first two run when they are imported, the last one needs what only servers have.
    left_out = ("definitions", "cli.__main__", "orchestration.celery_launcher")
    for module in pkgutil.walk_packages(harvest_pipeline.__path__, "harvest_pipeline."):
        if module.name.removeprefix("harvest_pipeline.") not in left_out:
            for name, value in vars(import_module(module.name)).items():
                if isinstance(value, type) and issubclass(value, Exception):
                    found |= {name: value} if value.__module__ == module.name else {}
    return found


def test_each_exception_that_a_person_sees_is_explained_with_what_to_do() -> None:
    text, every = troubleshooting(), exceptions()
    assert len(every) > 30
    for name in every.keys() - INTERNAL:
        section = text.split(f"\n### {name}\n")[1].split("\n#")[0].strip()
        means, does = section.split("\n\n")[:2]
        assert means and not does.startswith(("- ", "A run tries")), f"what to do about {name}?"


@pytest.mark.parametrize(
    "fails",
    [
        lambda path: chosen_accounts([], "acme"),
        lambda path: checked("a b", "HARVEST_ACCESS_TOKEN"),
        lambda path: RunOptions.of({"start_date": "2026-11-02", "end_date": "2026-11-01"}, "a test")
        .days(date(2026, 11, 30), Window(date(2026, 1, 1), date(2026, 11, 30))),
        lambda path: Warehouse(place_at(path / "harvest.duckdb"), "harvest"),
    ],
)  # fmt: skip
def test_a_message_leads_to_its_section(fails: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises(Exception) as failure:
        fails(tmp_path)
    section = troubleshooting().split(f"### {failure.typename}\n")[1].split("\n#")[0]
    patterns = [
        ".*".join(map(re.escape, message.removeprefix("- ").split("…")))
        for message in section.splitlines()
    ]
    assert any(re.fullmatch(pattern, str(failure.value)) for pattern in patterns if pattern)


def test_each_check_is_explained() -> None:
    project = load_project({"HARVEST_CONFIG": "", "HARVEST_ALERTS": ""})
    keys = build_definitions(project).resolve_asset_graph().asset_check_keys
    named = {key.name for key in keys}
    assert len(named) > 10
    assert [name for name in named if f"`{name}`" not in troubleshooting()] == []


def test_each_variable_is_in_the_example_with_its_default() -> None:
    text = (PROJECT / ".env.example").read_text("utf-8")
    for variable in VARIABLES.values():
        assert variable.name in text
        written = re.search(rf"{variable.name}=([^\n]+)", text)
        if variable.default:
            assert written and written[1] == variable.default


def test_the_readme_leads_to_the_document() -> None:
    assert "(docs/configuration.md)" in (PROJECT / "README.md").read_text("utf-8")


def test_the_defaults_that_are_documented_can_all_be_set() -> None:
    assert Project.of({v.name: v.default for v in VARIABLES.values()}) == Project.of({})


def test_the_example_loads_and_the_document_shows_it(tmp_path: Path) -> None:
    project = project_of(tmp_path, EXAMPLE)
    updates = {dataset.name: dataset.update.value for dataset in project.file.datasets}
    assert updates == {
        "support_projects_time": "partition",
        "open_invoices": "replace",
        "projects_by_week": "append",
        "changed_time": "merge",
    }
    assert f"```yaml\n{EXAMPLE}```" in configuration()
    assert load_project({"HARVEST_CONFIG": "harvest.example.yaml"}) == project


def test_the_mistake_that_the_document_tells_of_is_told_like_that(tmp_path: Path) -> None:
    refusal = refusal_of(tmp_path, EXAMPLE.replace("update: partition", "update: upsert"))
    assert f"`harvest.yaml, {refusal}`" in configuration()


def test_the_first_line_of_the_example_leads_editors_to_the_schema() -> None:
    line = EXAMPLE.splitlines()[0]
    path = line.removeprefix("# yaml-language-server: $schema=")
    assert json.loads((PROJECT / path).read_text("utf-8")) == json_schema()


def is_valid(text: str) -> bool:
    quoted = re.sub(r"\d{4}-\d\d-\d\d", r'"\g<0>"', text)  # to YAML 1.2 a day is text
    value: Any = yaml.safe_load(quoted)
    return jsonschema.Draft202012Validator(json_schema()).is_valid(value)


@pytest.mark.parametrize(
    "text",
    [
        EXAMPLE,
        "accounts: [{name: acme}]",
        "datasets: [{name: a, report: invoices, filters: {invoice_status: none}}]",
        "datasets: [{name: a, report: daily, filters: {project_ids: '1, 2', user_ids: 7}}]",
        "datasets: [{name: a, report: daily, window: {start_date: 2026-01-01, end_date: 3}}]",
        "datasets: [{name: a, report: daily, retry: {attempts: 2, wait_minutes: 0.5}}]",
    ],
)
def test_editors_find_nothing_wrong_with_what_loads(text: str, tmp_path: Path) -> None:
    assert project_of(tmp_path, text)
    assert is_valid(text)


@pytest.mark.parametrize(
    "text",
    [
        "acounts: [{name: acme}]",
        "accounts: {name: acme}",
        "accounts: [acme]",
        "accounts: [{name: Acme}]",
        "accounts: [{name: temp}]",
        "accounts: [{name: acme, account_id: 0}]",
        "disabled_reports: [dayly]",
        "disabled_reports: daily",
        "datasets: [{name: a}]",
        "datasets: [{report: daily}]",
        "datasets: [{name: daily, report: daily}]",
        "datasets: [{name: a, report: dayly}]",
        "datasets: [{name: a, report: daily, filter: {}}]",
        "datasets: [{name: a, report: daily, update: upsert}]",
        "datasets: [{name: a, report: daily, window: {days_back: -1}}]",
        "datasets: [{name: a, report: daily, window: {days_back: ten}}]",
        "datasets: [{name: a, report: daily, filters: {invoice_status: late}}]",
        "datasets: [{name: a, report: daily, filters: {project_ids: [x]}}]",
        "datasets: [{name: a, report: daily, schedule: 0 6 * * *}]",
        "datasets: [{name: a, report: daily, schedule: {timezone: UTC}}]",
        "datasets: [{name: a, report: daily, retry: {attempts: 21}}]",
        "datasets: [{name: a, report: daily, retry: {attempts: true}}]",
    ],
)
def test_editors_mark_what_would_be_refused(text: str, tmp_path: Path) -> None:
    assert refusal_of(tmp_path, text)
    assert not is_valid(text)
