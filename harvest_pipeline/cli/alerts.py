"""`harvest-pipeline alerts`: tests the addresses of `alerts:` in harvest.yaml."""

import click

from harvest_pipeline.orchestration.alerts import send
from harvest_pipeline.settings import SettingsError, load_environment, load_project


@click.group("alerts")
def command() -> None:
    """Try the alerts of runs and checks that fail, by e-mail, Slack, Teams, …: docs/alerts.md.

    \b
    Example:
      harvest-pipeline alerts test
    """


@command.command("test")
def test() -> int:
    """Send a message to each address; the exit code is 1 if one of them did not take it.

    \b
    Example:
      harvest-pipeline alerts test
    """
    environment = load_environment()
    project = load_project(environment)
    names = ", ".join(account.name for account in project.accounts)
    if not project.alerts:
        raise SettingsError(
            "Alerts are off: harvest.yaml has no `alerts:`; docs/alerts.md has an example."
        )
    problems = 0
    for address in project.alerts:
        text = "Somebody ran `harvest-pipeline alerts test`. There is nothing to do."
        problem = send(address, environment, f"{names}: a test of alerts", text)
        click.echo(f"{address}: {problem or 'sent'}.")
        problems += bool(problem)
    return 1 if problems else 0
