"""Which records are watched for changes, and which reports a change of one concerns.

Belongs here: that table, worked out from the catalogue and the settings.
Does not belong here: asking for changes (looking.py), requesting runs (launching.py).
"""

from dataclasses import dataclass

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.datasets import Dataset
from harvest_pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class Watched:
    """A record whose list takes `updated_since`, and the reports that a run about it materializes:
    those that show it, and those of what hangs on it (the messages and payments of invoices)."""

    record: Record
    reports: tuple[Dataset, ...]

    @property
    def names(self) -> frozenset[str]:
        """The names of the reports."""
        return frozenset(report.name for report in self.reports)


def watched(settings: Settings) -> list[Watched]:
    """The records of the account that a report needs which is not switched off."""
    enabled = [dataset for dataset in settings.datasets if dataset.is_report]
    found: list[Watched] = []
    for record in RECORDS.values():
        if "updated_since" not in record.filters or record.endpoint is None or record.parent:
            continue
        concerned = tuple(
            each for each in enabled if record.name in (each.record.name, each.record.parent)
        )
        if concerned:
            found.append(Watched(record, concerned))
    return found
