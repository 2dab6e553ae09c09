"""docs/configuration.md, the JSON schema of harvest.yaml and its example say what the code says."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from harvest_pipeline.config import account_settings
from harvest_pipeline.configuration import configuration, schema_text
from harvest_pipeline.entries import AccountEntry, DatasetEntry, RetryEntry, ScheduleEntry
from harvest_pipeline.options import RunOptions
from harvest_pipeline.project_file import ProjectFile, json_schema
from harvest_pipeline.settings import Settings, project_folder
from harvest_pipeline.variables import VARIABLES
from harvest_pipeline_tests.test_config import refusal_of, settings_of

PROJECT = project_folder()
EXAMPLE = (PROJECT / "harvest.example.yaml").read_text("utf-8")
MODELS = (
    AccountEntry,
    DatasetEntry,
    ProjectFile,
    RetryEntry,
    RunOptions,
    ScheduleEntry,
)


def test_the_files_in_docs_are_up_to_date() -> None:
    for name, text in (
        ("configuration.md", configuration()),
        ("harvest.schema.json", schema_text()),
    ):
        assert (PROJECT / "docs" / name).read_text("utf-8") == text, "run `make docs`"


def test_the_document_has_every_variable_and_every_setting_with_its_meaning() -> None:
    rows = [line for line in configuration().splitlines() if line.startswith("| `")]

    def told(name: str, meaning: str) -> bool:
        return any(row.startswith(f"| `{name}` ") and meaning in row for row in rows)

    assert all(told(variable.name, variable.meaning) for variable in VARIABLES.values())
    for model in MODELS:
        for name, field in model.model_fields.items():
            assert field.description, name
            assert told(field.alias or name, field.description), name


def test_each_variable_is_in_the_example_with_its_default() -> None:
    text = (PROJECT / ".env.example").read_text("utf-8")
    for variable in VARIABLES.values():
        assert variable.name in text
        written = re.search(rf"{variable.name}=([^\n]+)", text)
        if variable.default:
            assert written and written[1] == variable.default


def test_the_readme_leads_to_the_document() -> None:
    assert "(docs/configuration.md)" in (PROJECT / "README.md").read_text("utf-8")


def test_the_defaults_that_are_told_can_all_be_set() -> None:
    told = {v.name: v.default for v in VARIABLES.values() if v.name != "HARVEST_CONFIG"}
    assert Settings.from_mapping(told) == Settings.from_mapping({})


def test_the_example_loads_and_the_document_shows_it(tmp_path: Path) -> None:
    acme, blue_sky = settings_of(tmp_path, EXAMPLE)
    updates = {
        d.name: d.update.value for d in (*acme.datasets, *blue_sky.datasets) if not d.is_report
    }
    assert updates == {
        "support_projects_time": "partition",
        "open_invoices": "replace",
        "projects_by_week": "append",
        "changed_time": "merge",
    }
    assert f"```yaml\n{EXAMPLE}```" in configuration()
    assert account_settings({"HARVEST_CONFIG": "harvest.example.yaml"}) == (acme, blue_sky)


def test_the_mistake_that_the_document_tells_of_is_told_like_that(tmp_path: Path) -> None:
    refusal = refusal_of(tmp_path, EXAMPLE.replace("update: partition", "update: upsert"))
    assert f"`harvest.yaml, {refusal}`" in configuration()


def test_the_first_line_of_the_example_leads_editors_to_the_schema() -> None:
    line = EXAMPLE.splitlines()[0]
    path = line.removeprefix("# yaml-language-server: $schema=")
    assert json.loads((PROJECT / path).read_text("utf-8")) == json_schema()


# A JSON schema is only as good as what it refuses. These are the words of JSON Schema that ours
# uses, read as its specification says; one that is not known here fails the test.
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
NOTES = {"title", "description", "examples", "default", "$schema", "$defs"}


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """Whether the schema allows a value that YAML has read."""
    return all(word in NOTES or obeys(value, word, rule, schema) for word, rule in schema.items())


def obeys(value: Any, word: str, rule: Any, schema: dict[str, Any]) -> bool:
    match word:
        case "$ref":
            return fits(value, json_schema()["$defs"][rule.removeprefix("#/$defs/")])
        case "anyOf":
            return any(fits(value, one) for one in rule)
        case "not":
            return not fits(value, rule)
        case "enum":
            return value in rule
        case "type":
            return isinstance(value, TYPES[rule]) and (rule == "boolean" or type(value) is not bool)
        case "required":
            return not isinstance(value, dict) or set(rule) <= value.keys()
        case "properties":
            return not isinstance(value, dict) or all(
                fits(value[key], one) for key, one in rule.items() if key in value
            )
        case "additionalProperties":
            return (
                rule or not isinstance(value, dict) or value.keys() <= schema["properties"].keys()
            )
        case "items":
            return not isinstance(value, list) or all(fits(item, rule) for item in value)
        case "pattern":
            return not isinstance(value, str) or re.search(rule, value) is not None
        case "minLength":
            return not isinstance(value, str) or len(value) >= rule
        case "minimum":
            return not isinstance(value, int | float) or value >= rule
        case "exclusiveMinimum":
            return not isinstance(value, int | float) or value > rule
        case "maximum":
            return not isinstance(value, int | float) or value <= rule
    raise AssertionError(f"{word} is a word of JSON Schema that this test does not know")


def is_valid(text: str) -> bool:
    quoted = re.sub(r"\d{4}-\d\d-\d\d", r'"\g<0>"', text)  # to YAML 1.2 a day is text
    return fits(yaml.safe_load(quoted), json_schema())


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
    assert settings_of(tmp_path, text)
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
