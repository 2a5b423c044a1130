"""docs/faults.md names tests that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
NAMED = sorted(set(re.findall(r"`(tests/[\w/.]+)::([\w:]+)`", (ROOT / "docs" / "faults.md").read_text())))


def defined(path: Path) -> set[str]:
    """Functions and classes of a file, those of a class behind its name."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{part.name}" for part in node.body if isinstance(part, ast.FunctionDef)}
    return names


@pytest.mark.parametrize("path", sorted({path for path, _ in NAMED}))
def test_every_test_that_the_page_names_exists(path):
    assert {name for file, name in NAMED if file == path} <= defined(ROOT / path)


def test_the_page_names_tests():
    assert len(NAMED) > 40
