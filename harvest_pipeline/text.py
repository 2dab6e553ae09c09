"""Text from outside, made fit for a line of a log or of a message."""

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


def tells(text: str, secret: str) -> bool:
    """Whether `text` repeats `secret`, or a dozen letters of it."""
    return any(secret[at : at + 12] in text for at in range(max(1, len(secret) - 11)))
