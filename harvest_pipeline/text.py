"""Text from outside, made fit for a line of a log or of a message.

Belongs here: that it stays one line, of a bounded length, and cannot steer a terminal.
Does not belong here: quoting for SQL (warehouse/sql.py) or for Markdown (metadata.py).
"""

#: Names, days and addresses are shorter; Harvest's tokens and secrets are longer.
_LONGEST_SHOWN = 40


def one_line(text: str, longest: int = 200) -> str:
    """`text` from outside, fit for a log: printable characters only, at most `longest`."""
    looked_at = text[: 10 * longest]  # it may be megabytes long
    printable = "".join(character if character.isprintable() else " " for character in looked_at)
    return " ".join(printable.split())[:longest]


def shown(value: str) -> str:
    """The value of a setting for a message: in quotes, unless a secret may be in the wrong place.

    That is not told from its letters: whatever is long for what is set there is not repeated.
    """
    if len(value) > _LONGEST_SHOWN:
        return f"a text of {len(value)} letters (not shown: it may be a secret)"
    return repr(value)
