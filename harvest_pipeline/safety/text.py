"""Text of others, made fit for logs, messages, alerts and the UI: one line, no secret, no link."""

import re

#: Names, days and numbers that people type are shorter; Harvest's tokens and secrets are longer.
_LONGEST_SHOWN = 40
#: An address in a sentence of this project.
_OURS = re.compile(
    r"https://(?:[a-z]+\.)+(?:harvestapp|getharvest|harveststatus)\.com(?:/[\w/-]*)?", re.ASCII
)
#: What may be a domain, or one with a path: its last part has two letters at least, and is no
#: ending of a file. Letters of all alphabets count.
_DOMAIN = re.compile(
    r"[\w-]+(?:\.[\w-]+)*\.(?!(?:ya?ml|duckdb|parquet|xlsx|csv|json|env|lock|wal|html)\b)"
    r"(?:[^\W\d_]{2,}|xn--[\w-]+)(?![\w-])"
)
_MARKUP = str.maketrans("<>", "[]")
#: A mixture of letters and digits, or of small letters and capitals, is no secret if it is shorter.
_SHORTEST_SECRET = 8
_MIXTURE = re.compile(r"[^\W\d_].*\d|\d.*[^\W\d_]|[a-z][A-Z]")
#: What stands between two texts of which each may be a secret.
_TEXT = re.compile(r"[^\s'\"()=,]+")


def one_line(text: str, longest: int = 200) -> str:
    """`text` from outside, safe for a log: printable characters only, at most `longest`."""
    looked_at = text[: 10 * longest]  # it may be megabytes long
    printable = "".join(character if character.isprintable() else " " for character in looked_at)
    return " ".join(printable.split())[:longest]


def may_be_secret(text: str) -> bool:
    """Whether `text` may be a token or a password in the wrong place: it is long, or mixes letters
    and digits, or small letters and capitals, as what a machine makes up."""
    return len(text) > _LONGEST_SHOWN or any(
        len(word) >= _SHORTEST_SECRET and _MIXTURE.search(word) for word in text.split()
    )


def unlinked(text: str) -> str:
    """`text` of others in which no program finds a link, a mention or markup of one: mail programs,
    chats and the Dagster UI make links of bare addresses too. Those of Harvest's own sites stay."""
    words = re.sub(r"\S+", lambda word: _unlinked(word[0]), text.replace("](", "] ("))
    return words.translate(_MARKUP)


def _unlinked(word: str) -> str:
    if _OURS.fullmatch(word.strip("().,;:'\"")):
        return word
    word = word.replace("://", "[:]//").replace("\\\\", "\\ \\")
    word = re.sub(r"(?<!\w)@|@(?=everyone|here|channel|all\b)", "(at)", word)
    return _DOMAIN.sub(lambda domain: domain[0].replace(".", "[.]"), word)


def shown(text: str) -> str:
    """A name that a person typed as an argument of a command, or as a key of `harvest.yaml`, for a
    message: in quotes, unless it may be a secret.

    Nothing else that was refused is repeated: the name of a variable or a setting is enough to find
    it, and messages are kept in Dagster's history.
    """
    if may_be_secret(text):
        return f"a text of {len(text)} letters (not shown: it may be a secret)"
    return repr(text)


def without_secrets(text: str) -> str:
    """`text` with a … for each word that may be a secret."""
    return _TEXT.sub(lambda word: "…" if may_be_secret(word[0]) else word[0], text)


def shows(text: str, secret: str) -> bool:
    """Whether `text` contains `secret`, or a dozen consecutive characters of it."""
    return any(secret[at : at + 12] in text for at in range(max(1, len(secret) - 11)))
