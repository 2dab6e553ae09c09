"""What an observer hears of a read is what Harvest was asked and what it answered."""

from datetime import timedelta

from harvest_pipeline.harvest.progress import Observer, observed_by, observer
from harvest_pipeline.scope import Window
from harvest_pipeline_tests.conftest import TODAY, Project


class Notes(Observer):
    """An observer that writes everything down; lists grow safely from any thread."""

    def __init__(self) -> None:
        self.requests: list[int] = []
        self.expected: list[int] = []
        self.rows: list[int] = []
        self.waits: list[str] = []

    def requested(self) -> None:
        self.requests.append(1)

    def expecting(self, requests: int) -> None:
        self.expected.append(requests)

    def received(self, rows: int) -> None:
        self.rows.append(rows)

    def waiting(self, seconds: float, reason: str) -> None:
        self.waits.append(reason)


def test_pages_rows_and_requests_are_those_of_the_sandbox(project: Project) -> None:
    notes = Notes()
    window = Window(TODAY - timedelta(days=60), TODAY)
    with observed_by(notes):
        result = project.materialize("invoices", "invoice_messages", window=window)
    assert result.success
    ((invoices,),) = project.query("SELECT count(*) FROM invoices")
    ((sent,),) = project.query("SELECT count(*) FROM invoice_messages")
    assert len(notes.requests) == len(project.paths())
    assert sum(notes.rows) == invoices + sent
    # One list of invoices, and one of messages for each of them, which was known before.
    assert sum(notes.expected) == invoices
    assert len(notes.rows) == 1 + invoices


def test_nobody_is_told_afterwards() -> None:
    nobody = observer()
    with observed_by(Notes()):
        assert observer() is not nobody
    assert observer() is nobody
