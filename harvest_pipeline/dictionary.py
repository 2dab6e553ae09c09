"""The data dictionary: every report, table and column, written from the catalogue.

Belongs here: the text of docs/reports.md (`make docs`), which a test compares with the catalogue.
Does not belong here: anything that is said about one particular report.
"""

from collections.abc import Iterator

from tabulate import tabulate

from harvest_pipeline.catalogue.columns import Column, Record
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.catalogue.reports import REPORTS, record_of

_HEADER = """# Reports, tables and columns

Written from the catalogue by `make docs`; do not edit. Amounts are `DECIMAL`, days `DATE`, instants
`TIMESTAMPTZ` in UTC. Every table also has `_loaded_at` (when the row was loaded) and `_extra` (what
Harvest sent that no column holds, as JSON). *May be empty*: Harvest may send null, or leave it out.
A record that does not fit into its columns is in the table `_rejected` instead, with the reason.
"""


def dictionary() -> str:
    """The whole text, as Markdown."""
    reports = tabulate(
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
    return "\n".join([_HEADER, reports, *map(_section, RECORDS.values())]) + "\n"


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


def _meaning(column: Column) -> str:
    link = f" → [`{column.references}`](#{column.references})" if column.references else ""
    return column.description + link


if __name__ == "__main__":
    print(dictionary(), end="")
