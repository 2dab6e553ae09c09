"""Commands that still parse their arguments with argparse, as click commands."""

import argparse
from collections.abc import Callable

import click


def argparsed(
    name: str,
    add_arguments: Callable[[argparse.ArgumentParser], None],
    run: Callable[[argparse.Namespace], int] | None = None,
) -> click.Command:
    """The command; `run` None where the parser sets it."""

    @click.command(
        name,
        context_settings={"ignore_unknown_options": True, "help_option_names": []},
        add_help_option=False,
    )
    @click.argument("words", nargs=-1, type=click.UNPROCESSED)
    def command(words: tuple[str, ...]) -> int:
        parser = argparse.ArgumentParser(prog=f"harvest-pipeline {name}")
        add_arguments(parser)
        if run:
            parser.set_defaults(run=run)
        chosen = parser.parse_args(words)
        return chosen.run(chosen)

    return command
