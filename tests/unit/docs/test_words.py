"""Private words do not come back: docs/glossary.md has the field's terms, and prose has a subject that does something."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.platform.settings import REPOSITORY

BANNED = re.compile(r"\b(nobody|whoever|told|epilogue|how (?:it|they) stands?|hands over|handed over|wish|see the proto)\b", re.IGNORECASE)
PYTHON = ("services", "localcloud", "tools", "benchmarks", "tests", "deploy")
TEXTS = (
    *("docs/*.md", "*.md", "protos/**/*.proto", "services/**/*.sql", "configs/**/*.sql", "configs/**/*.lua", "configs/**/*.yaml"),
    *("configs/**/*.yml", "deploy/**/*.yaml", "deploy/**/*.tpl", "deploy/**/*.tf", "tests/**/*.toml", "tests/**/*.sql"),
)
FILES = [
    *(path for root in PYTHON for path in sorted((REPOSITORY / root).rglob("*.py"))),
    *(path for pattern in TEXTS for path in sorted(REPOSITORY.glob(pattern))),
]


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of a file for people to read: of Python docstrings and comments, of any other file all."""
    text = path.read_text()
    if not BANNED.search(text):
        return  # most files: what is not in them is in no part of them, and parsing takes long
    if path.suffix != ".py":
        yield from enumerate(text.splitlines(), 1)
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield from enumerate(node.value.value.splitlines(), node.lineno)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def found(path: Path, root: Path = REPOSITORY) -> list[str]:
    return [f"{path.relative_to(root)}:{line}: {match[0]}" for line, text in prose(path) for match in BANNED.finditer(text)]


def test_no_private_word_comes_back() -> None:
    assert [place for path in FILES for place in found(path)] == []


@pytest.mark.parametrize("suffix", [".py", ".sql"])
def test_a_private_word_would_be_found(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_text('"""Nobody leads it."""\nX = "nobody"  # it is told\n')

    lines = [place.split(": ")[1] for place in found(path, tmp_path)]

    assert lines[:2] == (["Nobody", "told"] if suffix == ".py" else ["Nobody", "nobody"])
