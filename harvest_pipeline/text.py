"""Text from outside, made fit for a line of a log or of a message.

Belongs here: that it stays one line, of a bounded length, and cannot steer a terminal.
Does not belong here: quoting for SQL (warehouse/sql.py) or for Markdown (metadata.py).
"""


def one_line(text: str, longest: int = 200) -> str:
    """`text` from outside, fit for a log: printable characters only, at most `longest`."""
    looked_at = text[: 10 * longest]  # it may be megabytes long
    printable = "".join(character if character.isprintable() else " " for character in looked_at)
    return " ".join(printable.split())[:longest]
