"""Loads the project from the environment, `.env` and `harvest.yaml`; errors name the line."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from harvest_pipeline.safety.text import shown
from harvest_pipeline.settings.environment import SettingsError, load_environment, project_folder
from harvest_pipeline.settings.harvest_yaml import ProjectFile, json_schema
from harvest_pipeline.settings.project import Project
from harvest_pipeline.settings.values import Problem

_Keys = tuple[str | int, ...]
#: Variables that contradict a file with accounts, since both would set the same thing.
_OF_ONE_ACCOUNT = ("HARVEST_SCHEMA", "HARVEST_ACCOUNT_ID", "HARVEST_INSTANCE")
#: A dataset has about twenty.
_MOST_VALUES = 50_000
_CREDENTIALS = (
    "Credentials are not kept in this file: run `harvest-pipeline connect`, or set variables such "
    "as HARVEST_ACME_ACCESS_TOKEN"
)


def load_project(environment: Mapping[str, str] | None = None) -> Project:
    """The project of an environment (by default of this process, with `.env` applied over it) and
    of the `harvest.yaml` that it names, if there is one. Raises SettingsError."""
    environment = load_environment() if environment is None else environment
    path = _path(environment)
    file = read_file(path) if path else ProjectFile()
    for variable in _OF_ONE_ACCOUNT if file.accounts else ():
        if environment.get(variable, "").strip():
            raise SettingsError(
                f"{variable} is set, and {path} names the accounts; remove one of the two."
            )
    return Project.of(environment, file)


def _path(environment: Mapping[str, str]) -> Path | None:
    """The file that HARVEST_CONFIG names, else the project's `harvest.yaml`, if there is one."""
    if named := environment.get("HARVEST_CONFIG", "").strip():
        return project_folder() / Path(named).expanduser()
    path = project_folder() / "harvest.yaml"
    return path if path.exists() else None


def read_file(path: Path) -> ProjectFile:
    """The content of a `harvest.yaml`. Raises SettingsError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        ours = path == project_folder() / "harvest.yaml"
        raise SettingsError(
            f"{path if ours else 'The file that HARVEST_CONFIG names'} cannot be read: "
            f"{error.strerror}; correct the {'file' if ours else 'path, or remove the variable'}."
        ) from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not a text file in UTF-8; save it as one.") from error
    try:
        return ProjectFile.model_validate(yaml.load(text, _Loader) or {})  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise SettingsError(f"{path}{line}: {_no_yaml(error)}.") from None
    except ValidationError as error:
        problem = Problem.of(error)
        where = ".".join(map(_plain, problem.keys))
        what = _sentence(problem)
        raise SettingsError(
            f"{path}, line {_line(text, problem.keys)}: {where}{': ' if where else ''}{what}"
            f"{'' if what.endswith('?') else '.'}"
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # A character that is invalid in YAML, or a number or nesting that Python rejects.
        raise SettingsError(
            f"{path} cannot be read as YAML; write it again, as text in UTF-8."
        ) from error


class _TooLarge(yaml.constructor.ConstructorError):
    """Aliases of aliases make a small file larger than any memory."""


def _check_size(root: yaml.Node) -> None:
    """Raise _TooLarge if the content has too many values, with those that aliases repeat."""
    sizes: dict[int, int] = {}

    def size(node: yaml.Node) -> int:
        if id(node) not in sizes:
            sizes[id(node)] = 1  # also within itself
            parts = chain.from_iterable(node.value) if isinstance(node, yaml.MappingNode) else ()
            parts = node.value if isinstance(node, yaml.SequenceNode) else parts
            sizes[id(node)] += sum(map(size, parts))
            if sizes[id(node)] > _MOST_VALUES:
                raise _TooLarge(None, None, "too large", node.start_mark)
        return sizes[id(node)]

    size(root)


class _Repeated(yaml.constructor.ConstructorError):
    """A key that occurs twice in its mapping: YAML would keep the last one."""


class _Loader(yaml.SafeLoader):
    """YAML whose dates are text, as in YAML 1.2, so that we report 2026-02-30 in our own words. A
    duplicate key is rejected, and what aliases make too large."""

    def get_single_node(self) -> yaml.Node | None:
        root = super().get_single_node()
        if root:
            _check_size(root)
        return root

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise _Repeated(None, None, _plain(key.value), key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:timestamp"]
    for letter, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _no_yaml(error: yaml.MarkedYAMLError) -> str:
    if isinstance(error, _Repeated):
        return (
            f"{error.problem} is there twice at the same place, and only one of them would count; "
            "put them together"
        )
    if isinstance(error, _TooLarge):
        return (
            f"with what aliases (*) repeat, these are more than {_MOST_VALUES:,} values; write out "
            "what is meant"
        )
    if error.context == "while scanning an alias":
        return "text that begins with * needs quotes; correct the YAML"

    def harmless(quotation: re.Match[str]) -> str:
        """The quotation if it is short or a token of YAML; text of the file may be a secret."""
        return quotation[0] if len(quotation[2]) < 4 or quotation[2].startswith("<") else "'…'"

    why = re.sub(r"""(['"])(.*?)\1""", harmless, error.problem or "")
    return f"{why}; correct the YAML"


def _sentence(problem: Problem) -> str:
    """What is wrong, and what is allowed there."""
    *above, last = problem.keys or ("",)
    if problem.kind in ("extra_forbidden", "invalid_key"):
        names = list(_schema_at(above)["properties"])
        near = get_close_matches(str(last), names, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        sentence = f"there is no such setting{hint}; there are: {', '.join(names)}"
        return sentence if problem.keys[0] == "datasets" else f"{sentence}. {_CREDENTIALS}"
    if problem.kind in ("model_type", "tuple_type"):
        schema = _schema_at(above if isinstance(last, int) else problem.keys)
        [example, *_] = schema["examples"]
        [example, *_] = example if isinstance(last, int) else [example]
        shown_as = yaml.safe_dump(example, default_flow_style=True, width=1000, sort_keys=False)
        return f"{problem.message}, such as {shown_as.strip()}"
    return problem.message


def _schema_at(keys: _Keys | list[str | int]) -> dict[str, Any]:
    """The JSON schema of the value under these keys."""
    root = json_schema()
    schema: dict[str, Any] = root
    for key in keys:
        schema = schema["items"] if isinstance(key, int) else schema["properties"][key]
        # `X | None`: the relevant part is X.
        inner = next((one for one in schema.get("anyOf", ()) if "$ref" in one), schema)
        if "$ref" in inner:
            schema = {**schema, **root["$defs"][inner["$ref"].rpartition("/")[2]]}
    return schema


def _plain(key: object) -> str:
    return shown(str(key)).strip("'")


def _line(text: str, keys: _Keys) -> int:
    """The line on which the value under these keys begins, or the innermost key that exists."""
    node: Any = yaml.compose(text, _Loader)
    line = 1
    for key in keys:
        if isinstance(node, yaml.MappingNode):
            found = next((pair for pair in node.value if pair[0].value == str(key)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int):
            found = next(((item, item) for item in node.value[key : key + 1]), None)
        else:
            break
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line
