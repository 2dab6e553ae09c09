"""docs/reliability.md: a row for every failure and every bar, and each proof is there."""

import ast
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
TESTS = PROJECT / "harvest_pipeline_tests"
DOCUMENT = (PROJECT / "docs" / "reliability.md").read_text()
ROWS = {
    row[0]: row for row in (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in DOCUMENT.splitlines()
        if re.match(r"\| [FR]\d+ \|", line)
    )
}  # fmt: skip


def names_of_tests(file: Path) -> set[str]:
    """The names of the tests that a file defines."""
    return {
        node.name
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_every_failure_and_every_bar_has_a_row() -> None:
    wanted = {f"F{n}" for n in range(1, 41)} | {f"R{n}" for n in range(1, 34)}
    assert ROWS.keys() == wanted


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_a_row_names_proofs_that_are_there(row: list[str]) -> None:
    proofs = re.findall(r"`([^`]+)`", row[2])
    assert proofs, row
    for proof in proofs:
        if command := re.fullmatch(r"make ([\w.-]+)", proof):
            makefile = (PROJECT / "Makefile").read_text()
            assert re.search(rf"^{re.escape(command[1])}:", makefile, re.M), proof
        elif proof.startswith("benchmarks/"):
            assert (PROJECT / proof).is_file(), proof
        else:
            name, _, test = proof.partition("::")
            assert (TESTS / name).exists(), proof
            if test:
                assert test in names_of_tests(TESTS / name), proof
