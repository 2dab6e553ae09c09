"""Tables keep what people have built queries on (CAT TestDiscovery: backward_compatibility)."""

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline_tests.acceptance.copy import Query, columns
from harvest_pipeline_tests.acceptance.schema import promised

HOW = "; if it is meant: python -m harvest_pipeline_tests.acceptance.schema"


def test_every_column_that_was_ever_promised_is_there_with_its_type(query: Query) -> None:
    there = columns(query)
    broken = [
        f"{table}.{column} was {type} and is {there.get(table, {}).get(column, 'gone')}"
        for table, types in promised().items()
        for column, type in types.items()
        if there.get(table, {}).get(column) != type
    ]
    assert not broken, "; ".join(broken) + HOW


def test_every_column_that_is_there_is_promised(query: Query) -> None:
    there, known = columns(query), promised()
    new = [
        f"{table}.{column}"
        for table, types in there.items()
        for column in types
        if column not in known.get(table, {})
    ]
    assert not new, f"not in schema.json yet: {', '.join(new)}" + HOW


def test_the_promise_is_about_every_report_and_every_record() -> None:
    assert promised().keys() >= {*REPORTS, *RECORDS, "_loads"}
