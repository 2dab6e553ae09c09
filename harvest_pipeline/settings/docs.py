"""The documents generated from the code (`make docs`), which tests compare with it:
docs/configuration.md, docs/parameters.md, docs/troubleshooting.md, docs/harvest.schema.json,
docs/reports.md and docs/models.md."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml
from tabulate import tabulate

from harvest_pipeline.catalogue.columns import Column, Record
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.catalogue.reports import REPORTS, record_of, views_on
from harvest_pipeline.models import Model, models
from harvest_pipeline.settings.datasets import Update
from harvest_pipeline.settings.environment import project_folder
from harvest_pipeline.settings.harvest_yaml import json_schema
from harvest_pipeline.settings.parameters import RunOptions
from harvest_pipeline.settings.project import VARIABLES
from harvest_pipeline.settings.troubleshooting import messages


def configuration() -> str:
    """docs/configuration.md, with the current tables between its markers."""
    example = (project_folder() / "harvest.example.yaml").read_text("utf-8")
    return _written(
        "configuration.md",
        {
            "variables": _table(
                ["variable", "default", "meaning"],
                [(f"`{v.name}`", _code(v.default), v.meaning) for v in VARIABLES.values()],
            ),
            "example": f"```yaml\n{example}```",
            "harvest.yaml": "\n\n".join(_sections(json_schema())),
        },
    )


def parameters() -> str:
    """docs/parameters.md, with the current tables between its markers."""
    options = RunOptions.model_json_schema()
    return _written(
        "parameters.md",
        {
            "updates": _table(["update", "meaning"], [(f"`{u}`", u.meaning) for u in Update]),
            "parameters": _fields(options, options),
        },
    )


def troubleshooting() -> str:
    """docs/troubleshooting.md, with the current messages between its markers."""
    return _written("troubleshooting.md", {"messages": messages()})


def _written(document: str, tables: dict[str, str]) -> str:
    """A document of docs/, with these tables between their markers."""
    return between_marks((project_folder() / "docs" / document).read_text("utf-8"), tables)


def between_marks(text: str, written: Mapping[str, str]) -> str:
    """The document with other text between `<!-- name -->` and the next `<!-- end -->`."""
    for name, part in written.items():
        before, _, rest = text.partition(f"<!-- {name} -->")
        _, end, after = rest.partition("<!-- end -->")
        text = f"{before}<!-- {name} -->\n{part}\n{end}{after}"
    return text


def schema() -> str:
    """docs/harvest.schema.json."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _sections(schema: dict[str, Any]) -> Iterator[str]:
    """A table for each group of settings of the file, except the parameters of a run, which have
    a table of their own."""
    yield _fields(schema, schema)
    for key, part in _parts(schema, schema):
        if not part["title"].endswith("Options"):
            yield f"### `{key}:`\n\n{part['description']}"
            yield _fields(part, schema)


def _parts(section: dict[str, Any], schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The groups of settings inside one, each with its key, and those inside them."""
    for key, field in section["properties"].items():
        for one in (field, field.get("items", {}), *field.get("anyOf", ())):
            if "$ref" in one:
                part = schema["$defs"][one["$ref"].rpartition("/")[2]]
                if "properties" in part:
                    yield key, part
                    yield from _parts(part, schema)


def _fields(section: dict[str, Any], schema: dict[str, Any]) -> str:
    needed = section.get("required", ())
    return _table(
        ["setting", "is", "default", "meaning"],
        [
            (
                f"`{name}`",
                _kind(field, schema),
                "**needed**" if name in needed else _code(field.get("default")),
                field["description"],
            )
            for name, field in section["properties"].items()
        ],
    )


def _kind(field: dict[str, Any], schema: dict[str, Any]) -> str:
    """The type of a setting, and its allowed values, in words."""
    kinds: list[str] = []
    for one in field.get("anyOf", [field]):
        if reference := one.get("$ref"):
            one = schema["$defs"][reference.rpartition("/")[2]]
        words = one.get("enum")
        if words == list(REPORTS):
            kinds.append("name of a report")
        elif words:
            kinds.append(", ".join(map(_code, words)))
        elif "anyOf" in one:
            kinds.append(_kind(one, schema))
        elif one["type"] == "array":
            kinds.append(f"list ({_kind(one['items'], schema)})")
        elif one["type"] != "null":
            kinds.append(_KINDS[one["type"]] + _limits(one))
    examples = [_code(example) for example in field.get("examples", ())]
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


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def _code(value: object) -> str:
    """A value as written in YAML; empty for a default that means "not set"."""
    if value is None or value in ("", False, []):
        return ""
    if isinstance(value, dict | list):
        value = yaml.safe_dump(value, default_flow_style=True, width=1000, sort_keys=False).strip()
    return f"`{value}`"


_HEADER = """# Reports, tables and columns

Written from the catalogue by `make docs`; do not edit. Amounts are `DECIMAL`, days `DATE`, instants
`TIMESTAMPTZ` in UTC. Every table also has `_loaded_at` (when the row was loaded) and `_extra` (what
Harvest sent that no column holds, as JSON). *May be empty*: Harvest may send null, or leave it out.
A record that does not fit into its columns is in the table `_rejected` instead, with the reason.
"""


def reports() -> str:
    """docs/reports.md, as Markdown."""
    listed = tabulate(
        [
            (
                f"`{report.name}`",
                f"[`{report.record}`](#{report.record})",
                record_of(report).day or "read whole",
                report.description,
            )
            for report in REPORTS.values()
        ],
        headers=["report", "table", "partitioned by", "what it is"],
        tablefmt="github",
    )
    return "\n".join([_HEADER, listed, *map(_section, RECORDS.values())]) + "\n"


def _section(record: Record) -> str:
    columns = tabulate(
        [(f"`{c.name}`", c.type, "yes" if c.nullable or c.optional else "", _meaning(c))
         for c in record.columns],
        headers=["column", "type", "may be empty", "meaning"],
        tablefmt="github",
    )  # fmt: skip
    return "\n".join(["", f"## {record.name}", "", *_about(record), "", columns])


def _about(record: Record) -> Iterator[str]:
    yield record.description
    source = f"`GET {record.endpoint}`" if record.endpoint else f"the list inside `{record.inside}`"
    yield f"Read from {source} ([Harvest's documentation]({record.documentation}))."
    yield f"Who may read it: {record.permission}."
    if shown := [f"`{report.name}`" for report in views_on(record)]:
        yield f"Shown, with the same rows, by {', '.join(shown)}."


def _meaning(column: Column) -> str:
    link = f" → [`{column.references}`](#{column.references})" if column.references else ""
    return column.description + link


_MODELS = """# Models

Written from the files in `harvest_pipeline/models/` by `make docs`; do not edit. A model is a view
that answers a question of the business from the loaded records. Being a view, it is always as
current as these: `as_of` says how current. Money is rounded to the digits of its currency; amounts
in different currencies are never added, so group by `currency` whenever you sum. The view stands in
the account's schema beside the tables, and its columns are described there too:

```sql
SELECT user_name, week, utilisation FROM harvest.utilisation ORDER BY week DESC, user_name
```

A model exists if the reports of all records that it is computed from are switched on. The job
`<account>_all_reports`, `sync` without the name of a report, and each night create the views as the
code has them. Those of the group `answers` are the ones that people ask for; the others are what
these are computed from, and Harvest's own reports by month.

Exchange rates are yours to give, nothing is fetched: `HARVEST_EXCHANGE_RATES` names a CSV or
Parquet file with the columns `day`, `from`, `to` and `rate`, or you fill the table `exchange_rates`
(`day`, `from_currency`, `to_currency`, `rate`). A rate holds until the next day that has one.
"""


def model_dictionary() -> str:
    """docs/models.md, as Markdown."""
    every = sorted(models().values(), key=lambda model: (model.group != "answers", model.name))
    listed = _table(
        ["model", "group", "a row for each", "what it is"],
        [(f"[`{m.name}`](#{m.name})", m.group, f"`{', '.join(m.grain)}`", m.title) for m in every],
    )
    return "\n".join([_MODELS, listed, *map(_model, every)]) + "\n"


def _model(model: Model) -> str:
    columns = _table(
        ["column", "meaning"], [(f"`{name}`", text) for name, text in model.columns.items()]
    )
    read = [f"[`{n}`](#{n})" if n in models() else f"`{n}`" for n in model.reads]
    about = [model.title, model.definition, f"Computed from {', '.join(read)}.", columns]
    return "\n\n".join([f"\n## {model.name}", *filter(None, about)])


#: The generated documents, by their file name in docs/.
DOCUMENTS = {
    "configuration.md": configuration,
    "parameters.md": parameters,
    "troubleshooting.md": troubleshooting,
    "harvest.schema.json": schema,
    "reports.md": reports,
    "models.md": model_dictionary,
}

if __name__ == "__main__":
    if sys.argv[1:] == ["schema"]:
        print(schema(), end="")
    else:
        for name, text in DOCUMENTS.items():
            (project_folder() / "docs" / name).write_text(text(), "utf-8")
