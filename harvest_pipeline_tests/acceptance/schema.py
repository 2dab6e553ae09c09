"""The tables, columns and types that people have built queries on: schema.json.

A column that vanishes, or gets another type, breaks what is built on it. The test beside this
module lets columns be added only. Write what is there now, after a deliberate change, with

    .venv/bin/python -m harvest_pipeline_tests.acceptance.schema
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from harvest_pipeline_tests.acceptance.copy import ASKED, columns, new_copy

FILE = Path(__file__).with_name("schema.json")

#: Tables and views with their columns and types.
Schema = dict[str, dict[str, str]]


def promised() -> Schema:
    """What people can rely on."""
    return json.loads(FILE.read_text("utf-8"))


def write() -> None:
    """Promise what a warehouse has now."""
    with TemporaryDirectory() as folder, new_copy(Path(folder), years=0.1) as copy:
        copy.load(*(record.name for record in ASKED))
        with copy.reading() as query:
            FILE.write_text(json.dumps(columns(query), indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    write()
