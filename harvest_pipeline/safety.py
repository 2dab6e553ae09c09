"""Protection of what others can read: text cleaned for logs, hosts that tokens may be sent to,
files readable by their owner only."""

import os
import re
import shutil
import stat
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory

#: Names, days and numbers that people type are shorter; Harvest's tokens and secrets are longer.
_LONGEST_SHOWN = 40
#: Harvest's domains: tokens are sent to no other host on the internet.
_HARVEST = (".harvestapp.com", ".getharvest.com")
_LONGEST_HOST = 253
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
#: Addresses that all URL parsers read alike: the one that judges and the one that connects are not
#: the same, and a backslash ends a host for one of them only.
_ADDRESS = re.compile(
    r"https?://(?P<host>(?:[a-z0-9-]{1,63}\.)*[a-z0-9-]{1,63}|\[[0-9a-f:]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?:/[!-\[\]-~]*)?",
    re.ASCII | re.IGNORECASE,
)
#: A mixture of letters and digits, or of small letters and capitals, is no secret if it is shorter.
_SHORTEST_SECRET = 8
_MIXTURE = re.compile(r"[^\W\d_].*\d|\d.*[^\W\d_]|[a-z][A-Z]")
#: What stands between two texts of which each may be a secret.
_TEXT = re.compile(r"[^\s'\"()=,]+")

_SQLITES = "disk is full"
_FULL = re.compile(f"No space left on device|File too large|Disk quota exceeded|{_SQLITES}")
#: Bytes; SQLite calls it an I/O error if not even its smallest file fits.
_LITTLE = 2**20


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


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(address: str) -> str | None:
    """The host of a web address in small letters, None where URL parsers may read another one."""
    parts = _ADDRESS.fullmatch(address)
    if not parts or not 0 < int(parts["port"] or 1) < 2**16 or len(parts["host"]) > _LONGEST_HOST:
        return None
    return parts["host"].lower().strip("[]")


def trusted(address: str) -> str:
    """`address`, scheme and host in small letters, if tokens may be sent to it: https to Harvest's
    domains, anything to this machine.

    Raises ValueError with a clause that repeats no more than the host.
    """
    host = host_of(address)
    if host is None:
        raise ValueError("this is not an address such as https://api.harvestapp.com/v2; correct it")
    scheme, _, rest = address.partition("://")
    if not is_loopback(host) and not (scheme.lower() == "https" and host.endswith(_HARVEST)):
        raise ValueError(
            "it leads to another host: a token is only sent to Harvest "
            "(https://….harvestapp.com, https://….getharvest.com) or to this machine (127.0.0.1); "
            "change the address or remove the variable"
        )
    authority, slash, path = rest.partition("/")
    return f"{scheme}://{authority}".lower() + slash + path


class DiskFull(Exception):
    """A file could not be written because a disk is full. What was loaded before is there.

    Make room in the folder that the message names, then do the same again.
    """


def disk_full(error: BaseException, *folders: Path) -> str | None:
    """The sentence for a full disk, if that is what `error` says; the file was below one of
    `folders`, or is the one that an OSError names."""
    full = [folder for folder in folders if has_no_room(folder)]
    reason = _FULL.search(str(error))
    if not reason and not (full and "disk I/O error" in str(error)):
        return None
    named = error.filename if isinstance(error, OSError) else None
    known = [Path(named).parent] if isinstance(named, str) else full or folders
    where = f"The disk of {known[0]}" if len(known) == 1 or full else "A disk"
    said = f" ({reason[0]})" if reason and reason[0] != _SQLITES else ""
    return f"{where} is full{said}; make room there, and run again."


def has_no_room(folder: Path) -> bool:
    """Whether the disk of a folder, or of where it would be made, is full."""
    there = next((each for each in (folder, *folder.parents) if each.exists()), folder)
    try:
        return shutil.disk_usage(there).free < _LITTLE
    except OSError:
        return False


_FOR_OWNER_ONLY = 0o077


def make_folder(folder: Path) -> None:
    """Create `folder`, and every missing folder above it, with mode 0700.

    Existing folders are left unchanged. Raises OSError.
    """
    # `mkdir(parents=True)` applies its mode to the last folder only.
    for each in (*reversed(folder.parents), folder):
        if each == folder or not each.exists():
            each.mkdir(mode=0o700, exist_ok=True)


def closed(path: Path, *, group_may: bool = False) -> str | None:
    """Make a file of this user that others can use readable by its owner only; returns half a
    sentence about it, None if nothing was changed.

    `group_may`: a mode that lets in a group and nobody else is left alone, since somebody has
    chosen it; one that lets in everybody is that of a umask.
    """
    try:
        status = path.stat()
        mode = stat.S_IMODE(status.st_mode)
        is_open = mode & (0o007 if group_may else _FOR_OWNER_ONLY)
        if not is_open or status.st_uid != os.geteuid():
            return None
        path.chmod(mode & ~_FOR_OWNER_ONLY)
        if path.stat().st_mode & _FOR_OWNER_ONLY:  # a file system without modes
            return None
    except (OSError, AttributeError):  # may not be changed; or there are no users (Windows)
        return None
    return f"{path} was open to other users of this machine ({mode:04o}), and is now for you alone"


class _Umask:
    """The umask of the process, restrictive while any thread needs it.

    All threads share it, so it is not restored while another thread still needs it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._usual = 0

    def tighten(self) -> None:
        with self._lock:
            if self._users == 0:
                self._usual = os.umask(_FOR_OWNER_ONLY)
            self._users += 1

    def release(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                os.umask(self._usual)


_umask = _Umask()


@contextmanager
def private_files() -> Generator[None]:
    """Everything that the process creates during the block is readable by its owner only.

    For libraries that accept no mode for the files that they create. Other threads' files become
    private meanwhile too; none ever becomes less private than it would have been.
    """
    _umask.tighten()
    try:
        yield
    finally:
        _umask.release()


@contextmanager
def replaced(paths: Sequence[Path]) -> Generator[list[Path]]:
    """Where to write these private files of one folder, which is created if missing: they take the
    place of `paths` at the end of the block, and not at all if it raises. Raises OSError."""
    folder = paths[0].absolute().parent
    make_folder(folder)
    with private_files(), TemporaryDirectory(dir=folder, prefix=".new-") as beside:
        written = [Path(beside) / path.name for path in paths]
        yield written
        for new, path in zip(written, paths, strict=True):
            new.replace(path)
