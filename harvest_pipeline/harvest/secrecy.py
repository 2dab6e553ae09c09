"""What a credential may look like, and that an object which holds one never shows it.

Belongs here: the characters of credentials, and the base of the values that hold them.
Does not belong here: what the credentials are for (auth.py, oauth.py).
"""

from typing import NoReturn

from harvest_pipeline.harvest.errors import CredentialsMalformed


class Secretive:
    """Base of values that hold secrets: not to be seen in a log, nor in a pickle."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} holds secrets, so it is not pickled or copied")


def is_sendable(secret: str) -> bool:
    """Whether `secret` can stand in a header as it is."""
    return bool(secret) and all("!" <= character <= "~" for character in secret)


def tells(text: str, secret: str) -> bool:
    """Whether `text` repeats `secret`, or a dozen letters of it."""
    return any(secret[at : at + 12] in text for at in range(max(1, len(secret) - 11)))


def checked(secret: str, origin: str) -> str:
    """`secret` if it can stand in a header, else CredentialsMalformed, which names `origin`."""
    if is_sendable(secret):
        return secret
    raise CredentialsMalformed(
        f"{origin} is empty or holds a blank, a line break or a letter that no credential has; "
        "copy it again."
    )
