"""The sections of docs/troubleshooting.md, from the source of the package: each exception that a
person sees, with its docstring and what it says.

Nothing is imported, so this can stand below the parts that it reads.
"""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
#: The exceptions that a person sees, with all that derive from them.
_SECTIONS = {
    "Settings and launches": ("SettingsError", "OptionsError", "LaunchRefused"),
    "Reading Harvest": ("HarvestError",),
    "The database and the disk": ("WarehouseError", "DiskFull"),
    "Copies and alerts": ("NotPublished", "AlertNotSent"),
}
_ANYTHING = "…"
#: A message with fewer letters of its own says nothing that one could look for.
_FEWEST_LETTERS = 20
_RETRIED = "A run tries it again by itself, three times in all."


@dataclass
class _Error:
    name: str
    bases: tuple[str, ...]
    docstring: str
    retryable: bool | None
    #: What it says, with … for what differs.
    messages: dict[str, None] = field(default_factory=dict[str, None])


def messages() -> str:
    """A section for each exception, as Markdown."""
    errors = _errors()
    parts: list[str] = []
    for title, roots in _SECTIONS.items():
        parts.append(f"## {title}")
        for root in roots:
            for error in _with_derived(errors, root):
                parts += _section(errors, error)
    return "\n\n".join(parts)


def _section(errors: Mapping[str, _Error], error: _Error) -> Iterator[str]:
    """Of a base that is never raised itself, nothing."""
    if not error.messages and any(error.name in each.bases for each in errors.values()):
        return
    yield f"### {error.name}"
    text = "\n\n".join(re.sub(r"\s*\n\s*", " ", part) for part in error.docstring.split("\n\n"))
    yield re.sub(r"\bdocs/([\w-]+)\.md", r"[\1](\1.md)", text)
    if _is_retried(errors, error):
        yield _RETRIED
    if error.messages:
        yield "\n".join(f"- {message}" for message in error.messages)


def _is_retried(errors: Mapping[str, _Error], error: _Error) -> bool:
    if error.retryable is not None:
        return error.retryable
    return any(_is_retried(errors, errors[base]) for base in error.bases if base in errors)


def _with_derived(errors: Mapping[str, _Error], root: str) -> Iterator[_Error]:
    yield errors[root]
    for error in errors.values():
        if root in error.bases:
            yield from _with_derived(errors, error.name)


@cache
def _errors() -> Mapping[str, _Error]:
    """The exceptions that people see, in the order of the source, by name."""
    files = [ast.parse(path.read_text("utf-8")) for path in sorted(_PACKAGE.rglob("*.py"))]
    classes = {
        node.name: _error(node)
        for tree in files
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    roots = [root for section in _SECTIONS.values() for root in section]
    errors = {error.name: error for root in roots for error in _with_derived(classes, root)}
    constants = {
        target.id: node.value.value
        for tree in files
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value.value, str)
    }
    for tree in files:
        source = _Source(tree, constants)
        for name, argument in source.made(errors):
            for text in source.texts(argument):
                message = re.sub(r"\s+", " ", re.sub(f"{_ANYTHING}+", _ANYTHING, text)).strip()
                if len(re.findall(r"[A-Za-z]", message)) >= _FEWEST_LETTERS:
                    errors[name].messages[message] = None
    return errors


def _error(node: ast.ClassDef) -> _Error:
    retryable = None
    for each in node.body:
        if isinstance(each, ast.Assign | ast.AnnAssign) and isinstance(each.value, ast.Constant):
            targets = each.targets if isinstance(each, ast.Assign) else [each.target]
            if [_name(target) for target in targets] == ["retryable"]:
                retryable = bool(each.value.value)
    bases = tuple(map(_name, node.bases))
    return _Error(node.name, bases, ast.get_docstring(node) or "", retryable)


def _name(node: ast.expr) -> str:
    """The last part of a name with dots; "" for anything else."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


class _Source:
    """A module, and what its expressions can be as text."""

    def __init__(self, tree: ast.Module, constants: Mapping[str, str]) -> None:
        self._tree = tree
        self._constants = constants
        self._values: dict[str, list[ast.expr]] = {}
        self._returned: dict[str, list[ast.expr]] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    self._values.setdefault(_name(target), []).append(node.value)
            elif isinstance(node, ast.FunctionDef):
                returned = [each.value for each in ast.walk(node) if isinstance(each, ast.Return)]
                self._returned[node.name] = [value for value in returned if value]

    def made(self, errors: Mapping[str, _Error]) -> Iterator[tuple[str, ast.expr]]:
        """Where such an exception is made: its name and first argument."""
        for node in ast.walk(self._tree):
            own = node.name if isinstance(node, ast.ClassDef) else ""
            for call in ast.walk(node) if own in errors else [node]:
                if isinstance(call, ast.Call) and call.args:
                    name = _name(call.func)
                    name = own if name in ("cls", "__init__") else name
                    if name in errors:
                        yield name, call.args[0]

    def texts(self, node: ast.expr, deeper: int = 4) -> Sequence[str]:
        """All that an expression can be, with … for what is not known before."""
        if isinstance(node, ast.Constant):
            return [str(node.value)]
        if isinstance(node, ast.FormattedValue):
            known = self._constants.get(_name(node.value))
            return [known] if known else [_ANYTHING]
        if isinstance(node, ast.JoinedStr):
            return ["".join(parts) for parts in product(*(self.texts(v) for v in node.values))]
        if isinstance(node, ast.BinOp):
            pairs = product(self.texts(node.left), self.texts(node.right))
            return [f"{left}{right}" for left, right in pairs]
        found: list[ast.expr] = []
        if isinstance(node, ast.IfExp):
            found = [node.body, node.orelse]
        elif isinstance(node, ast.Call):
            found = self._returned.get(_name(node.func), [])
        elif name := _name(node):
            found = self._values.get(name, [])
        if not found or not deeper:
            return [_ANYTHING]
        return [text for each in found for text in self.texts(each, deeper - 1)]
