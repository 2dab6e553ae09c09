"""Everything that can be set, written from the models: docs/configuration.md and the JSON schema.

Belongs here: the text of docs/configuration.md and docs/harvest.schema.json (`make docs`), which
tests compare with the code.
Does not belong here: what can be set (variables.py, project_file.py, entries.py, options.py), or
the example (harvest.example.yaml).
"""

import json
import sys

from harvest_pipeline.configuration_tables import (
    code,
    combinations,
    options_table,
    sections,
    table,
    takes_table,
)
from harvest_pipeline.datasets import Update
from harvest_pipeline.project_file import json_schema
from harvest_pipeline.settings import project_folder
from harvest_pipeline.variables import VARIABLES

_TEXT = """# What can be set

Written from the code by `make docs`; do not edit. There are three places:

- **variables**, in the environment or in `.env` beside `workspace.yaml`: the project, and its
  account if it has one only;
- **`harvest.yaml`** beside `workspace.yaml`, optional: several accounts, datasets, reports that are
  switched off;
- **the parameters of a run**, in the launchpad, in the backfill dialog or on the command line.

`.env` wins over the environment, also with an empty value, as in Dagster's own commands; every
start and `harvest-pipeline doctor` name each variable that both set differently. The parameters of
a run win over those of a dataset. What cannot work is refused in one sentence, before anything is
read.

## Variables

{variables}

Each account of `harvest.yaml` can have credentials of its own, which win: for `acme` these are
`HARVEST_ACME_ACCESS_TOKEN`, or `HARVEST_ACME_CLIENT_ID`, `HARVEST_ACME_CLIENT_SECRET` and
`HARVEST_ACME_REFRESH_TOKEN`. [accounts.md](accounts.md) has the order in which credentials are
looked for.

## harvest.yaml

A full example, which is also the file `harvest.example.yaml`:

```yaml
{example}```

The first line is for editors with the YAML language server (VS Code with its YAML extension,
Neovim, and others): by [harvest.schema.json](harvest.schema.json) they complete the file and mark
what is wrong. Where `harvest_pipeline` is a dependency of another project,
`python -m harvest_pipeline.configuration --schema > harvest.schema.json` writes the schema.

A mistake is told with its line and with what is allowed there:
`harvest.yaml, line 20: datasets.0.update: choose one of replace, append, merge, partition.`
(entries are counted from 0). Credentials never stand in this file.

{sections}

### What an update does

{updates}

Without `update:` it is what the table calls *default*. What would lose rows, or have them twice,
without a word is refused; the numbers are the reasons below. A report has days where it shows time
entries, expenses, invoices, or messages or payments of invoices.

{combinations}

{reasons}

## Parameters of a run

One block for all reports of a run, in the launchpad and in the backfill dialog:

```yaml
resources:
  report_options:
    config:
      updated_since: 2026-11-02
```

`harvest-pipeline sync --help` has them as options of the command. A dataset in `harvest.yaml` has
them fixed, under `window:` and `filters:`. A launch over anything that has a partition for each day
takes no days and no `full_refresh`, and says so before anything is read: choose the days as its
partitions.

{options}

{days}

### Which report takes which

*In a dataset*: the records of these reports have no day, so a dataset of them can have a window all
the same, which is compared with their last change (`updated_at`); what came is merged. A parameter
that a report does not take is refused by name before anything is asked, unless the run covers
other reports that take it. `full_refresh` is for every report.

{takes}
"""

_UPDATES = {
    Update.REPLACE: "The table is what the last read returned.",
    Update.APPEND: "Every read is kept, with its `_loaded_at`: history.",
    Update.MERGE: "What came replaces the rows of the same id; nothing is deleted.",
    Update.PARTITION: "What came replaces the days that were read. It is no table of its own, but "
    "a view on the table that all reports of that record share, and has a partition for each day.",
}


def configuration() -> str:
    """The whole text, as Markdown."""
    schema = json_schema()
    updates, reasons = combinations()
    return _TEXT.format(
        variables=table(
            ["variable", "default", "meaning"],
            [(f"`{v.name}`", code(v.default), v.meaning) for v in VARIABLES.values()],
        ),
        example=(project_folder() / "harvest.example.yaml").read_text("utf-8"),
        sections="\n\n".join(sections(schema)),
        updates=table(["update", "meaning"], [(f"`{u}`", text) for u, text in _UPDATES.items()]),
        combinations=updates,
        reasons=reasons,
        options=options_table(),
        days=schema["$defs"]["WindowOptions"]["description"].partition("\n\n")[2],
        takes=takes_table(),
    )


def schema_text() -> str:
    """The JSON schema of harvest.yaml, as the file that is published."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(schema_text() if sys.argv[1:] == ["--schema"] else configuration(), end="")
