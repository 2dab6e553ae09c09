"""The data dictionary in docs/ says what the catalogue says."""

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline.dictionary import dictionary
from harvest_pipeline.settings import project_folder


def test_the_dictionary_in_docs_is_up_to_date() -> None:
    written = (project_folder() / "docs" / "reports.md").read_text("utf-8")
    assert written == dictionary(), "run `make docs`"


def test_it_has_every_report_and_every_column() -> None:
    text = dictionary()
    for report in REPORTS.values():
        assert report.description in text
    for record in RECORDS.values():
        section = text.split(f"\n## {record.name}\n")[1].split("\n## ")[0]
        for column in record.columns:
            assert f"| `{column.name}` " in section
