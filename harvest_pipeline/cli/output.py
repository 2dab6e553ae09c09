"""How results are printed: tables that fit the terminal, colours of states, errors for programs."""

import json
import shutil
import textwrap
from collections.abc import Sequence

import click
from rich.cells import cell_len
from tabulate import MIN_PADDING, tabulate

#: Columns if the width of the terminal is not known, and the least for a column of a table.
_WIDE, _NARROWEST = 100, 8
#: The words of the commands for a state, and their colours.
_COLOURS = {
    **dict.fromkeys(("ok", "loaded", "equal"), "green"),
    **dict.fromkeys(("warning", "not begun", "cancelled", "not proven"), "yellow"),
    **dict.fromkeys(("wrong", "FAILED", "different"), "red"),
}

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document instead.")


def columns() -> int:
    """The width of the terminal, in letters; `COLUMNS` wins over it."""
    return shutil.get_terminal_size((_WIDE, 24)).columns


def coloured(text: str, state: str | None = None) -> str:
    """The text in the colour of the state, which is the text itself if none is given.

    `click.echo` takes the colour out again where no terminal is, or NO_COLOR is set.
    """
    return click.style(text, fg=_COLOURS.get(state or text.strip()))


def document(content: object) -> str:
    """A JSON document; times are as ISO 8601 has them."""
    return json.dumps(content, indent=2, default=lambda moment: moment.isoformat())


def folded(text: str, indent: int, first: str = "") -> str:
    """The text on lines that fit the terminal, the later ones indented; paths and addresses are not
    cut."""
    return textwrap.fill(
        text,
        max(columns(), indent + _NARROWEST),
        initial_indent=first,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> str:
    """A table that fits the terminal: long texts go on below. The columns `right` are flush right.

    It is wider than the terminal only if that has no room for eight letters in each column.
    """
    lines = [[f"{each}{' ' * MIN_PADDING}" for each in headers], *rows]  # as tabulate has them
    longest = [
        max(cell_len(click.unstyle(cell)) for cell in column) for column in zip(*lines, strict=True)
    ]
    fitting = widths(longest, columns() - 2 * (len(headers) - 1))
    # Only what has to be cut: tabulate takes a number such as 1,000 in these columns for an int.
    most = [width if width < long else None for width, long in zip(fitting, longest, strict=True)]
    return tabulate(
        rows,
        headers=headers,
        maxcolwidths=most,
        colalign=["right" if each in right else "left" for each in headers],
        disable_numparse=True,
    )


def widths(longest: Sequence[int], room: int) -> list[int]:
    """The widths of columns of which the widest are made as narrow as is needed, but not narrower
    than eight letters."""
    for most in range(max(_NARROWEST, *longest), _NARROWEST, -1):
        found = [min(each, most) for each in longest]
        if sum(found) <= room:
            return found
    return [min(each, _NARROWEST) for each in longest]
