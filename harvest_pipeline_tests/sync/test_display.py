"""How a run that goes on is shown, from what its worker tells."""

import io

import pytest

from harvest_pipeline.sync.display import Lines, line_of
from harvest_pipeline.sync.messages import (
    Expecting,
    Message,
    Received,
    ReportBegun,
    ReportEnded,
    Requested,
    Retrying,
    RunBegun,
    RunEnded,
    Waiting,
    message_of,
)
from harvest_pipeline.sync.messages import (
    line_of as message_line,
)
from harvest_pipeline.sync.progress import Progress
from harvest_pipeline.sync.summary import cancelled, problems


def after(*told: Message) -> Progress:
    """The state of a run of three reports; each message goes over the pipe, as in life."""
    progress = Progress.of(["clients", "invoices", "invoice_payments"])
    for message in told:
        progress.hear(message_of(message_line(message)))
    return progress


READING = (
    RunBegun("a-run"),
    ReportBegun("clients"),
    Requested(),
    Received(10),
    ReportEnded("clients"),
    ReportBegun("invoices"),
    Requested(),
    Received(2000),
    Expecting(99),
    Requested(),
    Received(2000),
)


def test_the_line_tells_report_pages_time_left_rows_and_requests() -> None:
    progress = after(*READING)
    assert line_of(progress, 0.0, 100) == (
        "[1/3]  invoices  pages 2 of 100  0:14 left  4,000 rows  3 requests  |                    |"
    )


@pytest.mark.parametrize("width", range(1, 130))
def test_the_line_is_never_wider_than_the_terminal(width: int) -> None:
    progress = after(*READING)
    line = line_of(progress, 0.0, width)
    assert len(line) <= width
    assert line.isascii()
    if width > 16:
        assert line.startswith("[1/3]  invoices")


def test_children_are_expected_by_the_number_of_their_parents() -> None:
    progress = after(ReportBegun("invoice_payments"), Expecting(500), Received(1), Received(0))
    assert progress.expected == 498
    assert progress.seconds_left == pytest.approx(74.7)


def test_nothing_is_expected_any_more_when_a_report_ends() -> None:
    progress = after(*READING, ReportEnded("invoices"))
    assert (progress.expected, progress.ended) == (0, 2)


def test_the_line_says_what_is_waited_for() -> None:
    progress = after(*READING, Waiting(12.0, "Harvest allows 100 requests in 15 seconds"))
    line = line_of(progress, progress.note_until - 12.0, 100)
    assert line == "[1/3]  waiting 12 s: Harvest allows 100 requests in 15 seconds"
    assert line_of(progress, progress.note_until, 100).startswith("[1/3]  invoices")


def test_a_report_that_is_tried_again_is_not_failed() -> None:
    progress = after(*READING, Retrying("invoices", 60, "Harvest is away."))
    assert "tried again: Harvest is away." in progress.note
    progress.hear(ReportBegun("invoices"))
    progress.hear(ReportEnded("invoices"))
    assert (progress.reports["invoices"].outcome, problems(progress)) == ("loaded", [])


def test_without_a_terminal_there_are_plain_lines() -> None:
    file = io.StringIO()
    lines, progress = Lines(file), after()
    for message in (
        ReportBegun("clients"),
        Requested(),
        Received(10),
        ReportEnded("clients"),
        ReportBegun("invoices"),
        ReportEnded("invoices", "Harvest is away."),
        Waiting(12.0, "Harvest – 12 s"),
    ):
        progress.hear(message)
        lines.show(progress)
        lines.show(progress)
    assert file.getvalue().splitlines() == [
        "clients: begins",
        "clients: 10 rows, 1 requests, 0.0 s",
        "invoices: begins",
        "invoices: failed",
        "Waiting: Harvest ? 12 s.",
    ]


def test_a_reason_that_several_reports_share_is_said_once() -> None:
    progress = after(
        ReportBegun("clients"),
        ReportEnded("clients", "No token."),
        ReportBegun("invoices"),
        ReportEnded("invoices", "No token."),
        RunEnded("FAILURE"),
    )
    assert problems(progress) == [
        "clients, invoices: No token.",
        "invoice_payments: not read, because what it needs failed.",
    ]


def test_after_ctrl_c_it_says_what_stays() -> None:
    progress = after(*READING, RunEnded("CANCELED"))
    assert cancelled(progress) == "Cancelled; what had been loaded stays: clients."
    assert problems(progress) == []
