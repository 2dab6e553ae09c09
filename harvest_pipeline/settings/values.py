"""The types of single values (a day, ids, a time zone, an address …), for pydantic and for a JSON
schema, and the messages for invalid ones."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from harvest_pipeline.safety.hosts import trusted
from harvest_pipeline.safety.text import may_be_secret
from harvest_pipeline.settings.environment import project_folder
from harvest_pipeline.state import SharedState

#: Ten years: more is a typing mistake.
_MOST_DAYS = 3660
_MOST_IDS = 1000
_NAME = r"^[a-z][a-z0-9_]{0,39}$"
_RELATIVE = re.compile(r"(\d{1,4})(?:\s+days?\s+(?:back|ago))?")
_INSTANCE = re.compile(r"(https?://)?[a-z0-9-]{1,63}(\.harvestapp\.com)?(/.*)?", re.IGNORECASE)
#: The endings of a published copy that is one file; any other path is a folder of Parquet, which is
#: a link to a folder beside it whose name goes on with VERSION.
FILE_ENDINGS = (".duckdb", ".db")
VERSION = ".published-"
#: The endings of names that are no secrets, however they look.
_ENDINGS = (*FILE_ENDINGS, ".csv", ".parquet")
#: What Harvest is told in every request if nobody has set HARVEST_CONTACT.
NO_CONTACT = "HARVEST_CONTACT is not set"
#: In an address of Postgres, as a keyword or in a URI, whose escapes libpq reads.
_PASSWORD = re.compile(r"pass(word|phrase)?\s*=|://[^/@]*:[^/@]*@", re.IGNORECASE)
_CONTACT = re.compile(r"[ -'*-~]+")
#: What the database that machines share needs, which comes with the extra `shared`.
_OF_SHARED = ("psycopg", "cryptography")
STATUSES = ["none", "draft", "open", "paid", "closed"]


class Model(BaseModel):
    """Settings that belong together; every key is known."""

    # A value in the wrong field may be a secret.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


@dataclass(frozen=True, slots=True)
class Problem:
    """A validation error of a model: the keys, pydantic's error type, and a sentence without a full
    stop, which never repeats what may be a secret."""

    keys: tuple[str | int, ...]
    kind: str
    message: str

    @classmethod
    def of(cls, error: ValidationError) -> "Problem":
        """The first problem."""
        problems = error.errors(include_url=False, include_input=False)
        # A misspelt key explains why another one is missing.
        first = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
        kind, context = first["type"], first.get("ctx", {})
        message = first["msg"].removeprefix("Value error, ")
        if kind in ("enum", "literal_error"):
            message = f"choose one of {context['expected']}".replace("'", "").replace(" or ", ", ")
        message = _SENTENCES.get(kind, message.replace("Input should be", "it must be"))
        return cls((*first["loc"], *context.get("place", ())), kind, message)


_SENTENCES = {
    "missing": "it is missing, and there is no default",
    "model_type": "settings are expected here",
    "tuple_type": "a list is expected here",
    "int_parsing": "a whole number is expected here",
    "string_type": "text is expected here; put it into quotes",
}


def misplaced(reason: str, *place: str | int) -> PydanticCustomError:
    """A ValueError about the value at `place` (keys below the model that is being validated)."""
    return PydanticCustomError("misplaced", "{reason}", {"reason": reason, "place": place})


def _name(text: str) -> str:
    if not re.fullmatch(_NAME, text):
        raise ValueError(
            "a name is made of small letters, digits and underscores (40 at most), and begins with "
            "a letter"
        )
    return text


def _timezone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise ValueError(
            "this is not a time zone; use an IANA name such as Europe/Berlin or UTC"
        ) from None
    return text


def is_instance(text: str) -> bool:
    """Whether `text` can name a Harvest account: the `acme` of acme.harvestapp.com, that host, or
    the address in a browser."""
    return _INSTANCE.fullmatch(text) is not None


def _instance(text: str) -> str:
    # Dagster shows it: a misplaced token must not get that far.
    if not is_instance(text):
        raise ValueError("this is not the acme of acme.harvestapp.com")
    return text


def _url(text: str) -> str:
    # The value is not repeated: it may contain, or be, a token.
    if "@" in text:
        raise ValueError("it holds a user name or password; remove them from the address")
    if "?" in text or "#" in text:
        raise ValueError("it ends with more than a path; remove what begins with ? or #")
    return trusted(text).rstrip("/")


def _path(text: object) -> Path:
    _check_path(str(text))
    return (project_folder() / Path(str(text)).expanduser()).resolve()


def _check_path(text: str) -> None:
    if "://" in text or text.startswith((":memory:", "md:", "ducklake:")):
        # Such addresses contain passwords.
        raise ValueError("it must be the path of a file; this is an address, or no file at all")
    # Paths are shown, and any text is one.
    if may_be_secret(text) and "/" not in text and Path(text).suffix.lower() not in _ENDINGS:
        raise ValueError(
            "this may be a secret in the wrong place; if it is a path, begin it with ./"
        )


def _database(text: object) -> Path | str:
    """The path of a file, or the address of a DuckLake or of MotherDuck, which is shown."""
    kind, _, rest = str(text).partition(":")
    if kind == "md":
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", rest):
            raise ValueError("name a database of MotherDuck, as md:harvest, and nothing else")
        return f"md:{rest}"
    if kind == "ducklake" and rest.startswith("postgres:"):
        _refuse_password(rest)
        return f"ducklake:{rest}"
    if kind == "ducklake" and not re.match(r"[a-z]{2,}:", rest):
        return f"ducklake:{_file(rest)}"
    if kind == "ducklake":
        raise ValueError(
            "the catalogue of a DuckLake is a file (ducklake:data/lake.ducklake) or in Postgres "
            "(ducklake:postgres:host=db dbname=lake user=harvest)"
        )
    return _file(text)


def in_folder(folder: Path, text: str) -> str:
    """The value of a setting that is a path, relative to a folder; an address is what it is."""
    kind, _, rest = text.partition(":")
    if kind == "ducklake" and not re.match(r"[a-z]{2,}:", rest):
        return f"ducklake:{folder / Path(rest).expanduser()}"
    if kind in ("ducklake", "md", "s3"):
        return text
    return str(folder / Path(text).expanduser())


def _file(text: object) -> Path:
    path = _path(text)
    if path.is_dir():
        raise ValueError("it is a folder; name a file in it")
    return path


def _lake_data(text: object) -> str:
    """The folder of Parquet files, or where they are in S3; empty: beside the catalogue."""
    if re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.*'()=/-]*)?", str(text)):
        return str(text).rstrip("/")
    if "://" in str(text):
        raise ValueError("it must be a folder, or an address such as s3://bucket/prefix")
    return str(_path(text)) if text else ""


def _copy(text: object) -> Path:
    """The place of a copy; a folder of Parquet is a link to the version that was published."""
    _check_path(str(text))
    given = project_folder() / Path(str(text)).expanduser()
    path = given.parent.resolve() / given.name
    if path.is_symlink() and not path.readlink().name.startswith(f"{path.name}{VERSION}"):
        path = path.resolve()  # somebody else's link
    if path.suffix.lower() in FILE_ENDINGS:
        if path.is_dir():
            raise ValueError("it is a folder; name a file in it")
    elif path.is_file() or (path.is_dir() and not path.is_symlink() and any(path.iterdir())):
        raise ValueError(
            "it is there and holds something else; name a new folder for Parquet, or a file whose "
            "name ends with .duckdb"
        )
    return path


def shared_state(text: object) -> SharedState:
    """The database that machines share, by its address. Raises ValueError with a clause that
    repeats nothing of it."""
    if not re.fullmatch("postgres(ql)?://[!-~]+", str(text)):
        raise ValueError(
            "this is not an address such as postgresql://harvest@db.example.com/harvest; correct it"
        )
    _refuse_password(str(text))
    if not all(map(find_spec, _OF_SHARED)):
        raise ValueError(
            "it needs packages that are not installed; run pip install 'harvest_pipeline[shared]'"
        )
    return SharedState(str(text))


def _refuse_password(address: str) -> None:
    if _PASSWORD.search(unquote(address)):
        raise ValueError(
            "it holds a password, and addresses are shown; take it out, and set PGPASSWORD or "
            "write it into ~/.pgpass"
        )


def _schema(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", text):
        raise ValueError("this is not a word of letters, digits and underscores; choose one")
    if text == "io_manager":  # Dagster's name for another resource
        raise ValueError("'io_manager' is taken; choose another one")
    return text


def _contact(text: str) -> str:
    an_address = "@" in text or "://" in text
    if not _CONTACT.fullmatch(text) or (may_be_secret(text) and not an_address):
        raise ValueError(
            "it must be an e-mail address or a web address in plain letters; Harvest uses it to "
            "reach you about your requests"
        )
    return text


def _day(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_DAYS:
        return value
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    text = str(value).strip().lower()
    if text in ("today", "yesterday"):
        return 0 if text == "today" else 1
    if (relative := _RELATIVE.fullmatch(text)) and int(relative[1]) <= _MOST_DAYS:
        return int(relative[1])
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(
            "this is no day; write 2026-11-02, today, yesterday, or 10 days back"
        ) from None


def _instant(value: object) -> object:
    if isinstance(value, date):  # also a datetime
        return value
    text = str(value).strip()
    for kind in (date, datetime):
        try:
            return kind.fromisoformat(text)
        except ValueError:
            continue
    raise ValueError("this is no instant; write 2026-11-02, or 2026-11-02T14:30:00Z")


def _ids(value: object) -> object:
    """Ids from a list, or from text with commas; ascending, each once."""
    parts: Sequence[object] = (
        list(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        if isinstance(value, list | tuple)
        else str("" if value is None else value).split(",")
    )
    texts = [str(part).strip() for part in parts]
    for number, text in enumerate(texts, 1):
        if text and not re.fullmatch(r"0*[1-9][0-9]{0,17}", text, re.ASCII):
            which = f"number {number} of these" if len(texts) > 1 else "this"
            raise ValueError(f"{which} is no id; ids are numbers such as 14307913")
    ids = sorted({int(text) for text in texts if text})
    if len(ids) > _MOST_IDS:
        raise ValueError(f"these are {len(ids)} ids; {_MOST_IDS} are the most")
    return tuple(ids)


def _status(value: object) -> object:
    text = str(value).strip().lower() or "none"
    if text not in STATUSES:
        raise ValueError(f"choose one of {', '.join(STATUSES)}")
    return None if text == "none" else text


Name = Annotated[str, AfterValidator(_name), WithJsonSchema({"type": "string", "pattern": _NAME})]
TimeZone = Annotated[str, AfterValidator(_timezone)]
Instance = Annotated[str, AfterValidator(_instance)]
HarvestUrl = Annotated[str, AfterValidator(_url)]
Database = Annotated[Path | str, BeforeValidator(_database)]
LakeData = Annotated[str, BeforeValidator(_lake_data)]
PublishedCopy = Annotated[Path, BeforeValidator(_copy)]
ProjectPath = Annotated[Path, BeforeValidator(_path)]
Shared = Annotated[SharedState, BeforeValidator(shared_state)]
SchemaName = Annotated[str, AfterValidator(_schema)]
Contact = Annotated[str, AfterValidator(_contact)]
DaysBack = Annotated[int, Field(ge=0, le=_MOST_DAYS, strict=True)]
Day = Annotated[
    date | int,
    BeforeValidator(_day),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": _MOST_DAYS},
                {"type": "string", "examples": ["2026-11-02", "10 days back", "yesterday"]},
            ]
        }
    ),
]
Instant = Annotated[
    datetime | date,
    BeforeValidator(_instant),
    WithJsonSchema({"type": "string", "examples": ["2026-11-02", "2026-11-02T14:30:00Z"]}),
]
Ids = Annotated[
    tuple[int, ...],
    BeforeValidator(_ids),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"type": "integer", "minimum": 1}},
                {"type": "integer", "minimum": 1},
                {"type": "string", "examples": ["14307913, 14308069"]},
            ]
        }
    ),
]
Status = Annotated[
    Literal["draft", "open", "paid", "closed"] | None,
    BeforeValidator(_status),
    WithJsonSchema({"enum": STATUSES}),
]
