"""Datasets: a report with parameters fixed by the user; the 18 reports are those without any."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from harvest_pipeline.catalogue.columns import Record, Report
from harvest_pipeline.catalogue.reports import REPORTS, record_of
from harvest_pipeline.options import DAYS, SINCE, RunOptions, WindowOptions, parameter_of
from harvest_pipeline.scope import Filters


class Update(StrEnum):
    """What a read does to the rows that a dataset already has."""

    #: The table is what the last read returned.
    REPLACE = "replace"
    #: Every read is kept, with its `_loaded_at`: history.
    APPEND = "append"
    #: What came replaces the rows of the same id; nothing is deleted.
    MERGE = "merge"
    #: What came replaces the days that were read: a view on the record's table.
    PARTITION = "partition"


_KEPT = {
    Update.REPLACE: "The rows are those of the last read.",
    Update.APPEND: "Every read is kept: an id is there once for each, told apart by _loaded_at.",
    Update.MERGE: "Rows that were read again replace those of the same id; none is deleted.",
    Update.PARTITION: "Days that are read again are replaced.",
}


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a failed run of a dataset is tried, the first time included, and the pause before
    each further time, in minutes."""

    attempts: int
    wait_minutes: float


@dataclass(frozen=True, slots=True)
class Cron:
    """When a dataset is read by itself: a cron expression, and the IANA time zone it is in."""

    expression: str
    timezone: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """One asset: a report, and the parameters that are fixed for it.

    Raises ValueError, as one sentence without a full stop, for parameters that the report does not
    have, and for an update that would silently lose or repeat rows of it.
    """

    name: str
    report: Report
    options: RunOptions = field(default_factory=RunOptions)
    update: Update = Update.PARTITION
    cron: Cron | None = None
    retry: Retry | None = None

    @classmethod
    def of_report(cls, report: Report) -> "Dataset":
        """The report itself."""
        return cls(report.name, report, update=default_update(report, RunOptions()))

    def __post_init__(self) -> None:
        for option in self.options.given:
            if not self.takes(option):
                raise ValueError(
                    f"the report {self.report.name} has no {option}; it takes {self.parameters}"
                )
        if reason := self.losing(self.options):
            raise ValueError(reason)

    @property
    def record(self) -> Record:
        """The record that the report shows."""
        return record_of(self.report)

    @property
    def is_report(self) -> bool:
        """Whether it is one of the 18 reports, without parameters."""
        return self.name == self.report.name

    @property
    def has_partitions(self) -> bool:
        """Whether its asset has a partition for each day."""
        return self.record.day is not None and self.update is Update.PARTITION

    @property
    def has_own_table(self) -> bool:
        """Whether it is a table of its own, rather than a view on the record's table."""
        return not self.is_report and self.update is not Update.PARTITION

    @property
    def is_view(self) -> bool:
        """Whether its name is that of a view."""
        return not self.has_own_table and self.name != self.record.name

    @property
    def part(self) -> Filters:
        """The part of the record that it is fixed to, whatever days are read."""
        return Filters(
            invoice_status=self.options.invoice_status,
            project_ids=self.options.project_ids,
            user_ids=self.options.user_ids,
        )

    @property
    def description(self) -> str:
        """What it holds, in a few sentences."""
        if self.is_report:
            return self.report.description
        said = [f"{name}: {_shown(getattr(self.options, name))}" for name in self.options.given]
        only = f" Only {'; '.join(said)}." if said else ""
        return f"{self.report.description}{only} {_KEPT[self.update]}"

    def takes(self, option: str) -> bool:
        """Whether a parameter (a field of RunOptions) means anything for the report.

        A dataset of a record without a day can have a window all the same: that of `updated_at`.
        """
        parameter = parameter_of(option)
        if parameter is None or parameter in self.report.parameters:
            return True
        return parameter == "window" and not self.is_report

    def takes_in_a_run(self, option: str) -> bool:
        """The same for a run. Its days are its partitions where there are any; else it can choose
        other days than the dataset's, but not another part."""
        if option in DAYS and self.has_partitions:
            return False
        part = option not in DAYS and option not in SINCE
        return self.takes(option) and not (part and option in self.options.given)

    @property
    def parameters(self) -> str:
        """The parameters that it takes, for a sentence."""
        return ", ".join(filter(self.takes, RunOptions.model_fields))

    @property
    def parameters_in_a_run(self) -> str:
        """The same of a run."""
        return ", ".join(filter(self.takes_in_a_run, RunOptions.model_fields))

    def losing(self, options: RunOptions) -> str | None:
        """Why a read with these options would lose rows of the table; None if it does not."""
        report, record = self.report.name, self.record
        changes = [name for name in options.given if name in SINCE]
        days = [name for name in options.given if name in WindowOptions.model_fields]
        if self.update is Update.PARTITION:
            if record.day is None and not self.is_report:
                return (
                    f"update: partition replaces days, and {report} has none; use replace, merge "
                    "or append"
                )
            if changes:
                return (
                    f"update: partition would delete the rows of each day that {changes[0]} leaves "
                    "out; use merge"
                )
        if self.update is Update.REPLACE:
            if changes:
                return (
                    f"update: replace would leave only what changed ({changes[0]}) in the table; "
                    "use merge, or append for a history"
                )
            if record.day is None and days and not self.is_report:
                return (
                    f"update: replace would leave only what changed ({days[0]}: {report} has no "
                    "day, so its window is that of updated_at) in the table; use merge, or append "
                    "for a history"
                )
        return None


def default_update(report: Report, options: RunOptions) -> Update:
    """The update that suits a report with these parameters.

    merge where only changes are read, else partition for a record with a day, else replace.
    """
    given = set(options.given)
    if given & set(SINCE):
        return Update.MERGE
    if record_of(report).day:
        return Update.PARTITION
    return Update.MERGE if options.has_window else Update.REPLACE


def report_datasets(without: Iterable[str] = ()) -> tuple[Dataset, ...]:
    """The 18 reports but for those `without` names, in the catalogue's order."""
    left_out = set(without)
    return tuple(
        Dataset.of_report(report) for name, report in REPORTS.items() if name not in left_out
    )


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return str(value)
