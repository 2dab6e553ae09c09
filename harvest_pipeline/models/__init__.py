"""The models: SQL views that answer a question of the business, one file each, as pure data.

A file is a header of comments and one SELECT. The header has a sentence, paragraphs of
definitions, the fields `group`, `grain` and `reads`, and then each column with its description:

    -- Hours of each person on each day.
    --
    -- Hours are those that were tracked, unrounded.
    --
    -- group: answers
    -- grain: user_id, day
    -- reads: time_entries
    --
    -- user_id: Id of the person.
    -- day: The day worked.
    -- hours: Hours tracked, running timers included;
    --   a line that begins with two more blanks continues the one above.
    SELECT user_id, spent_date AS day, sum(hours) AS hours FROM time_entries GROUP BY ALL
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

#: A field or a column of a header: its name and its text.
_ENTRY = re.compile(r"([a-z][a-z0-9_]*): (.+)")
_FIELDS = ("group", "grain", "reads")
#: The tables that a model may read beside those of records: the ledger, and the user's rates.
OTHER_TABLES = frozenset({"_loads", "exchange_rates"})


@dataclass(frozen=True, slots=True)
class Model:
    """One view. `grain` are the columns of which no two rows have the same values, `reads` the
    tables of records and the other models that it selects from, `columns` the description of each
    column, in the order of the SELECT. `title` is a sentence, `definition` the text below it."""

    name: str
    title: str
    definition: str
    group: str
    grain: tuple[str, ...]
    reads: tuple[str, ...]
    columns: dict[str, str]
    sql: str

    @property
    def description(self) -> str:
        """The title and the definition."""
        return f"{self.title}\n\n{self.definition}" if self.definition else self.title


@cache
def models() -> dict[str, Model]:
    """All models by name, each after those that it reads. Raises ValueError for a file that is not
    in the form above."""
    found = {
        each.name.removesuffix(".sql"): each.read_text(encoding="utf-8")
        for each in files(__name__).iterdir()
        if each.name.endswith(".sql")
    }
    parsed = {name: parse(name, text) for name, text in sorted(found.items())}
    ordered: dict[str, Model] = {}

    def add(model: Model, within: tuple[str, ...]) -> None:
        if model.name in within:
            raise ValueError(f"the models {', '.join(within)} read each other")
        for other in model.reads:
            if other in parsed and other not in ordered:
                add(parsed[other], (*within, model.name))
        ordered.setdefault(model.name, model)

    for model in parsed.values():
        add(model, ())
    return ordered


def file_of(name: str) -> Path:
    """The file of a model."""
    return Path(__file__).with_name(f"{name}.sql")


def with_what_they_read(names: Iterable[str]) -> list[Model]:
    """These models and the models that they read, directly or not, each after those that it reads.
    Raises KeyError for an unknown model."""
    wanted: set[str] = set()

    def add(model: Model) -> None:
        wanted.add(model.name)
        for other in model.reads:
            if other in models():
                add(models()[other])

    for name in names:
        add(models()[name])
    return [model for model in models().values() if model.name in wanted]


@cache
def tables_of(name: str) -> frozenset[str]:
    """The tables that a model is computed from, directly or through other models. Raises KeyError
    for an unknown model."""
    read = {other for model in with_what_they_read([name]) for other in model.reads}
    return frozenset(read - models().keys())


def parse(name: str, text: str) -> Model:
    """The model in the text of its file. Raises ValueError if it is not in the form above."""
    lines = text.splitlines()
    length = next((n for n, line in enumerate(lines) if not line.startswith("--")), len(lines))
    prose: list[str] = []
    entries: dict[str, str] = {}
    last = ""
    for line in lines[:length]:
        content = line.removeprefix("--").removeprefix(" ").rstrip()
        if last and content.startswith("  "):
            entries[last] += f" {content.strip()}"
        elif (entry := _ENTRY.fullmatch(content)) and (entries or entry[1] == _FIELDS[0]):
            last = entry[1]
            entries[last] = entry[2]
        elif content and entries:
            raise ValueError(f"{name}.sql: {content!r} is neither a field nor a column")
        else:
            prose.append(content)
    missing = [field for field in _FIELDS if field not in entries]
    if missing:
        raise ValueError(f"{name}.sql: the header has no {', '.join(missing)}")
    group, grain, reads = (entries.pop(field) for field in _FIELDS)
    title, _, definition = "\n".join(prose).strip().partition("\n\n")
    return Model(
        name=name,
        title=title.replace("\n", " "),
        definition="\n\n".join(part.replace("\n", " ") for part in definition.split("\n\n")),
        group=group,
        grain=tuple(re.split(r",\s*", grain)),
        reads=tuple(re.split(r",\s*", reads)),
        columns=entries,
        sql="\n".join(lines[length:]).strip().removesuffix(";"),
    )
