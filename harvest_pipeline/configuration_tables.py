"""The tables of docs/configuration.md, made from the models and by trying.

Belongs here: how a setting is told in words, which updates and parameters go with what.
Does not belong here: the text around them (configuration.py).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import yaml
from tabulate import tabulate

from harvest_pipeline.catalogue.columns import Report
from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline.datasets import Dataset, Update, default_update
from harvest_pipeline.options import FilterOptions, RunOptions, WindowOptions


def sections(schema: dict[str, Any]) -> Iterator[str]:
    """A table for each group of settings of the file, but for the parameters of a run."""
    yield _fields(schema, schema)
    definitions = schema["$defs"]
    for key, name in (
        ("accounts", "AccountEntry"),
        ("datasets", "DatasetEntry"),
        ("schedule", "ScheduleEntry"),
        ("retry", "RetryEntry"),
    ):
        yield f"### `{key}:`\n\n{definitions[name]['description']}"
        yield _fields(definitions[name], schema)


def _fields(section: dict[str, Any], schema: dict[str, Any]) -> str:
    needed = section.get("required", ())
    return table(
        ["setting", "is", "default", "meaning"],
        [
            (
                f"`{name}`",
                _kind(field, schema),
                "**needed**" if name in needed else code(field.get("default")),
                field["description"],
            )
            for name, field in section["properties"].items()
        ],
    )


def options_table() -> str:
    """The parameters of a run, and where a dataset has each."""
    schema = RunOptions.model_json_schema()
    places = {"window": WindowOptions, "filters": FilterOptions}
    rows = [
        (
            f"`{name}`",
            _kind(field, schema),
            next((f"`{key}:`" for key, group in places.items() if name in group.model_fields), ""),
            field["description"],
        )
        for name, field in schema["properties"].items()
    ]
    return table(["parameter", "is", "in a dataset", "meaning"], rows)


def _kind(field: dict[str, Any], schema: dict[str, Any]) -> str:
    """What a setting is, and which values it can have, in words."""
    kinds: list[str] = []
    for one in field.get("anyOf", [field]):
        if reference := one.get("$ref"):
            one = schema["$defs"][reference.rpartition("/")[2]]
        words = one.get("enum")
        if words == list(REPORTS):
            kinds.append("name of a report")
        elif words:
            kinds.append(", ".join(map(code, words)))
        elif "anyOf" in one:
            kinds.append(_kind(one, schema))
        elif one["type"] == "array":
            kinds.append(f"list ({_kind(one['items'], schema)})")
        elif one["type"] != "null":
            kinds.append(_KINDS[one["type"]] + _limits(one))
    examples = [code(example) for example in field.get("examples", ())]
    return " or ".join(kinds) + (f", as {', '.join(examples)}" if examples else "")


_KINDS = {
    "object": "settings",
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
}


def _limits(kind: dict[str, Any]) -> str:
    if "pattern" in kind:
        return f" that matches `{kind['pattern']}`"
    if "maximum" in kind:
        return f" from {kind['minimum']} to {kind['maximum']}"
    return ""


def combinations() -> tuple[str, str]:
    """Which update goes with what, found by trying; and why the others do not, as a list."""
    reasons: list[str] = []

    def judged(dataset: str, options: RunOptions, update: Update) -> str:
        report = REPORTS[dataset]
        try:
            Dataset("any_name", report, options, update)
        except ValueError as error:
            if str(error) not in reasons:
                reasons.append(str(error))
            return f"no ({reasons.index(str(error)) + 1})"
        return "*default*" if update is default_update(report, options) else "yes"

    rows = [
        (days, told, *(judged(report, RunOptions.model_validate(given), u) for u in Update))
        for days, report in (("with days", "invoices"), ("without", "assignments"))
        for told, given in (
            ("nothing, or ids or a state", {"project_ids": "1"}),
            ("a window", {"days_back": 1}),
            ("`updated_since`", {"updated_since": "2026-11-02"}),
        )
    ]
    headers = ["report", "parameters", *(f"`{update}`" for update in Update)]
    listed = "\n".join(f"{number}. {reason}." for number, reason in enumerate(reasons, 1))
    return table(headers, rows), listed


def takes_table() -> str:
    """The reports, and which parameters each takes."""
    # What stands for each group of parameters, which are taken together.
    columns = {
        "days": "days_back",
        "`updated_since…`": "updated_since",
        **{f"`{name}`": name for name in ("invoice_status", "project_ids", "user_ids")},
    }

    def taken(report: Report, option: str) -> str:
        if Dataset.of_report(report).takes(option):
            return "yes"
        fixed = Dataset("any_name", report, update=default_update(report, RunOptions()))
        return "*in a dataset*" if fixed.takes(option) else ""

    rows = [
        (f"`{report.name}`", *(taken(report, option) for option in columns.values()))
        for report in REPORTS.values()
    ]
    return table(["report", *columns], rows)


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def code(value: object) -> str:
    """A value as it is written in YAML; nothing for a default that means "not set"."""
    if value is None or value in ("", False, []):
        return ""
    if isinstance(value, dict | list):
        value = yaml.safe_dump(value, default_flow_style=True, width=1000, sort_keys=False).strip()
    return f"`{value}`"
