"""Reading `harvest.yaml`: the file as a `ProjectFile`, or a sentence with the line.

Belongs here: what is wrong, on which line, and what is allowed there.
Does not belong here: what can be said (project_file.py), which file it is (config.py).
"""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from harvest_pipeline.project_file import ProjectFile, json_schema
from harvest_pipeline.settings import SettingsError
from harvest_pipeline.text import shown

_Keys = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """YAML whose days are text, as in YAML 1.2, so that 2026-02-30 gets its sentence from us."""


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:timestamp"]
    for letter, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(path: Path) -> ProjectFile:
    """What the file says. Raises SettingsError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            f"{path} (HARVEST_CONFIG) cannot be read: {error.strerror}; correct the path, or "
            "remove the variable."
        ) from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not a text file in UTF-8; save it as one.") from error
    try:
        for line, key in _repeated(text):
            raise SettingsError(
                f"{path}, line {line}: {_plain(key)} is there twice at the same place, and only "
                "one of them would count; put them together."
            )
        return ProjectFile.model_validate(yaml.load(text, _Loader) or {})  # noqa: S506 (it is safe)
    except yaml.MarkedYAMLError as error:
        raise SettingsError(f"{path}{_no_yaml(error)}") from None
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        # A misspelt key is why another one is missing.
        problem = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
        keys: _Keys = (*problem["loc"], *problem.get("ctx", {}).get("place", ()))
        where = ".".join(_plain(key) for key in keys)
        sentence = f"{path}, line {_line(text, keys)}: {where}{': ' if where else ''}"
        what = _wrong(problem, keys)
        raise SettingsError(f"{sentence}{what}{'' if what.endswith('?') else '.'}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # A character that YAML does not have, a number or a nesting that Python does not take.
        raise SettingsError(
            f"{path} cannot be read as YAML; write it anew, as text in UTF-8."
        ) from error


def _no_yaml(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark
    why = re.sub(r"""(['"])(.*?)\1""", _quoted, error.problem or "")
    if error.context == "while scanning an alias":
        why = "text that begins with * needs quotes"
    return f"{f', line {mark.line + 1}' if mark else ''}: {why}; correct the YAML."


def _quoted(quotation: re.Match[str]) -> str:
    """What YAML's sentence quotes: signs and its own words; of the file it may be a token."""
    is_harmless = len(quotation[2]) < 4 or quotation[2].startswith("<")
    return quotation[0] if is_harmless else "'…'"


def _wrong(problem: Any, keys: _Keys) -> str:
    """What is wrong, never with the value: somebody may have put a token there."""
    kind, message = problem["type"], problem["msg"].removeprefix("Value error, ")
    if kind in ("extra_forbidden", "invalid_key"):
        return _unknown_key(keys)
    if kind in ("model_type", "model_attributes_type"):
        return f"settings are expected here, such as {_example(keys)}"
    if kind == "tuple_type":
        return f"a list is expected here, such as {_example(keys)}"
    if kind in ("enum", "literal_error"):
        return f"choose one of {', '.join(_schema_at(keys)['enum'])}"
    if kind == "string_pattern_mismatch":
        return (
            "a name is made of small letters, digits and underscores (40 at most), and begins with "
            "a letter"
        )
    if kind == "string_type":
        return "text is expected here; put it into quotes"
    if kind == "missing":
        return "it is missing, and there is no default"
    if kind == "misplaced":  # its reason may begin with the name of the field, as `where` ends
        return message.removeprefix(f"{keys[-1]}: ")
    return message.replace("Input should be", "it must be")


def _unknown_key(keys: _Keys) -> str:
    names = list(_schema_at(keys[:-1])["properties"])
    near = get_close_matches(str(keys[-1]), names, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    sentence = f"there is no such setting{hint}; there are: {', '.join(names)}"
    if keys[0] == "datasets":
        return sentence
    return (
        f"{sentence}. Credentials are not kept in this file: run `harvest-pipeline connect`, or "
        "set variables such as HARVEST_ACME_ACCESS_TOKEN"
    )


def _schema_at(keys: _Keys) -> dict[str, Any]:
    """The JSON schema of what may stand under these keys."""
    root = json_schema()
    schema: dict[str, Any] = root
    for key in keys:
        schema = schema["items"] if isinstance(key, int) else schema["properties"][key]
        # `X | None`: what it is about is X.
        inner = next((one for one in schema.get("anyOf", ()) if "$ref" in one), schema)
        if "$ref" in inner:
            schema = {**schema, **root["$defs"][inner["$ref"].rpartition("/")[2]]}
    return schema


def _example(keys: _Keys) -> str:
    """How what is expected under these keys is written, on one line of YAML."""
    if keys and isinstance(keys[-1], int):
        example = _schema_at(keys[:-1])["examples"][0][0]
    else:
        example = _schema_at(keys)["examples"][0]
    return yaml.safe_dump(example, default_flow_style=True, width=1000, sort_keys=False).strip()


def _plain(key: str | int) -> str:
    return shown(str(key)).strip("'")


def _line(text: str, keys: _Keys) -> int:
    """The line on which the value under these keys begins, or the innermost that there is."""
    node: Any = yaml.compose(text, _Loader)
    line = 1
    for key in keys:
        if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
        elif isinstance(node, yaml.MappingNode):
            found = [pair for pair in node.value if pair[0].value == str(key)]
            if not found:
                break
            key_node, node = found[0]
            line = key_node.start_mark.line + 1
            continue
        else:
            break
        line = node.start_mark.line + 1
    return line


def _repeated(text: str) -> Iterator[tuple[int, str]]:
    """The line and the name of each key that its mapping has had already: YAML keeps the last."""
    nodes: list[Any] = [yaml.compose(text, _Loader)]
    looked_at: set[int] = set()  # an alias may lead back
    while nodes:
        node = nodes.pop()
        if id(node) in looked_at:
            continue
        looked_at.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            nodes += node.value
        elif isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                if str(key.value) in seen:
                    yield key.start_mark.line + 1, str(key.value)
                seen.add(str(key.value))
                nodes.append(value)
