"""The command `harvest-pipeline alerts`: try the channels of harvest.yaml.

Belongs here: its arguments and what it prints.
Does not belong here: what else is sent, and when (sensors.py).
"""

import argparse

from harvest_pipeline.alerts.channels import Channel, channels
from harvest_pipeline.alerts.errors import AlertNotSent
from harvest_pipeline.alerts.messages import Alert, alert
from harvest_pipeline.settings import SettingsError, load_environment, load_project


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command to a parser."""
    actions = parser.add_subparsers(required=True, metavar="action")
    test = actions.add_parser("test", help="send a test message through each channel")
    test.set_defaults(run=_test)


def _test(arguments: argparse.Namespace) -> int:
    """Send a test message through each channel; 1 if one of them did not take it.

    Raises SettingsError where harvest.yaml names none.
    """
    environment = load_environment()
    accounts = load_project(environment).accounts
    entry = accounts[0].project.alerts
    if entry is None:
        raise SettingsError(
            "Alerts are off: harvest.yaml has no `alerts:`; docs/alerts.md has an example."
        )
    message = alert(
        "a test of alerts",
        [settings.name for settings in accounts],
        cause=f"somebody ran `harvest-pipeline alerts test`. You will be told of "
        f"{', '.join(entry.on)}.",
        remedy="nothing.",
    )
    return max(_tried(channel, message) for channel in channels(entry, environment))


def _tried(channel: Channel, message: Alert) -> int:
    try:
        problem = channel.send(message)
    except AlertNotSent as error:
        problem = f"{error}"
    print(f"{channel.name}: {problem or f'sent to {channel.target}.'}")
    return 1 if problem else 0
