"""The command `harvest-pipeline sync`.

Belongs here: its arguments, and the order of what it does.
Does not belong here: what is read (choice.py), how it is run (process.py) and shown (display.py).
"""

import argparse
import os
import sys

from harvest_pipeline.local import dagster_environment
from harvest_pipeline.settings import load_project, project_folder
from harvest_pipeline.sync import summary
from harvest_pipeline.sync.choice import (
    OPTIONS,
    Run,
    chosen_accounts,
    ignored,
    options_of,
    runs_of,
)
from harvest_pipeline.sync.display import Display, display
from harvest_pipeline.sync.messages import Message
from harvest_pipeline.sync.process import Stop, run_worker
from harvest_pipeline.sync.progress import Progress

#: What a shell calls the end of a program by Ctrl-C.
_CANCELLED = 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command to a parser."""
    parser.add_argument(
        "reports",
        nargs="*",
        metavar="REPORT",
        help="reports, or datasets of harvest.yaml; all reports if none is named",
    )
    parser.add_argument("--account", metavar="NAME", help="one account of harvest.yaml")
    days = parser.add_argument_group(
        "days",
        "With none of these: the last HARVEST_DAYS_BACK days and today. A DAY is 2026-11-02, "
        "today, yesterday, 10 or '10 days back'.",
    )
    days.add_argument("--days-back", type=int, metavar="N", help="the last N days and today")
    days.add_argument("--from", dest="start_date", metavar="DAY", help="first day")
    days.add_argument("--to", dest="end_date", metavar="DAY", help="last day; today without it")
    days.add_argument(
        "--days-back-to-start-from", type=int, metavar="N", help="first day, in days before today"
    )
    days.add_argument(
        "--days-back-to-end-at", type=int, metavar="N", help="last day, in days before today"
    )
    part = parser.add_argument_group("which part", "Everything else of these days stays.")
    part.add_argument("--project-ids", metavar="IDS", help="these projects: 14307913,14308069")
    part.add_argument("--user-ids", metavar="IDS", help="these people")
    part.add_argument(
        "--invoice-status", metavar="STATUS", help="none (all), draft, open, paid or closed"
    )
    part.add_argument(
        "--updated-since",
        metavar="DAY_OR_INSTANT",
        help="what changed since 2026-11-02, or 2026-11-02T14:30:00Z; nothing is deleted",
    )
    part.add_argument(
        "--updated-since-days-back", type=int, metavar="N", help="what changed since N days ago"
    )
    parser.add_argument(
        "--full-refresh",
        action="store_true",
        default=None,
        help="read every day since HARVEST_START_DATE again, and in full",
    )
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="show Dagster's log lines as well"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run what was asked for; 0 if all of it was loaded, 1 if not, 130 if it was cancelled.

    Raises SettingsError for what cannot be run at all.
    """
    accounts = chosen_accounts(load_project().accounts, arguments.account, arguments.reports)
    options = options_of({name: getattr(arguments, name) for name in OPTIONS})
    runs = [each for settings in accounts for each in runs_of(settings, arguments.reports, options)]
    environment = dagster_environment(os.environ, project_folder() / ".dagster")
    for line in ignored(runs, options):
        print(line, file=sys.stderr)
    stop = Stop()
    screen = display(plain=arguments.verbose)
    code = 0
    with stop.listening():
        for each in runs:
            if len(runs) > 1:
                screen.say(_title(each))
            progress = _run(each, environment, stop, screen, verbose=arguments.verbose)
            code = max(code, _tell(each, progress))
            if code == _CANCELLED:
                break
    return code


def _run(
    each: Run, environment: dict[str, str], stop: Stop, screen: Display, *, verbose: bool
) -> Progress:
    """One run, shown while it happens."""
    progress = Progress.of([dataset.name for dataset in each.datasets])
    told = 0

    def hear(message: Message | None) -> None:
        nonlocal told
        if message is not None:
            progress.hear(message)
        if stop.times > told:
            screen.say("Cancelling ..." if not told else "It is being cancelled already ...")
            told = stop.times
        screen.show(progress)

    try:
        code = run_worker(each.plan, environment, stop, hear, verbose=verbose)
    finally:
        screen.close()
    if progress.status is None:
        if progress.run_id:
            # Dagster takes a second or two to import, which every command would pay for.
            import dagster as dg

            from harvest_pipeline.running import fail_dead_runs

            with dg.DagsterInstance.from_config(environment["DAGSTER_HOME"]) as instance:
                fail_dead_runs(instance)
        progress.status = "FAILURE"
        progress.problem = (
            f"The process of the run ended unexpectedly (exit code {code}); what it had loaded "
            "stays. Run again with -v to see its last words."
        )
    return progress


def _tell(each: Run, progress: Progress) -> int:
    """Print how the run ended; returns its exit code."""
    if progress.run_id:
        print(summary.table(each, progress))
    for problem in summary.problems(progress):
        print(f"\nError: {problem}", file=sys.stderr)
    if progress.run_id:
        print(f"\nRun {progress.run_id}; `harvest-pipeline dev` shows it.")
    if progress.status == "CANCELED":
        print(summary.cancelled(progress), file=sys.stderr)
        return _CANCELLED
    return 0 if progress.status == "SUCCESS" else 1


def _title(each: Run) -> str:
    days = f", {each.window}" if each.window else ""
    return f"{each.settings.name}: {', '.join(data.name for data in each.datasets)}{days}"
