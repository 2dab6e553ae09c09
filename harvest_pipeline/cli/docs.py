"""docs/commands.md, of which the commands are written from their help (`make docs`)."""

from collections.abc import Iterator

import click

from harvest_pipeline.cli.main import harvest_pipeline as group
from harvest_pipeline.settings import project_folder
from harvest_pipeline.settings.docs import between_marks

_PATH = project_folder() / "docs" / "commands.md"


def commands() -> str:
    """docs/commands.md, with the current help between its marks."""
    helps = "\n".join(_sections(group, "harvest-pipeline", None))
    return between_marks(_PATH.read_text("utf-8"), {"commands": helps})


def _sections(command: click.Command, path: str, parent: click.Context | None) -> Iterator[str]:
    """The help of a command, and of those below it."""
    name = path.rpartition(" ")[2]
    context = click.Context(command, parent, name, **command.context_settings)
    yield f"### `{path}`\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            if below := command.get_command(context, name):
                yield from _sections(below, f"{path} {name}", context)


if __name__ == "__main__":
    _PATH.write_text(commands(), "utf-8")
