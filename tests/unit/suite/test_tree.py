"""Keeps the tree readable: small files, few of them in a folder, names with one meaning."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.platform.settings import REPOSITORY

PARTS = [
    *(path for path in sorted((REPOSITORY / "services").iterdir()) if path.is_dir() and path.name != "__pycache__"),
    *(REPOSITORY / name for name in ("localcloud", "client", "console", "tools")),
]
"""Each has names of its own: a class is called as nothing else in it is."""
BANNED = frozenset(
    (
        *("base", "common", "core", "engine", "following", "helper", "helpers", "journal", "lib", "live", "loading", "manager", "misc"),
        *("pace", "pacing", "processing", "rhythm", "scheduling", "seal", "shared", "stamps", "standing", "starting", "stories", "story"),
        *("stuff", "teller", "tether", "tools", "triggering", "util", "utils", "watching", "wire"),
    )
)
"""Modules that say nothing of what is in them, or what only one who knows the house understands. docs/glossary.md has the field's words."""
MAX_LINES, MAX_FILES = 300, 16
LONG = {
    "configs/aws/cost/cur.sql": "one transaction that makes FOCUS's columns, step by step",
    "configs/azure/cost/actual.sql": "the same",
    "configs/gcp/cost/focus.sql": "the same",
    "services/auth/queries.sql": "all statements of a service stand in one file, each with the reason why it may be replayed",
    "services/executor/queries.sql": "the same",
    "services/scheduler/queue/queries.sql": "the same",
}


def modules(root: Path) -> Iterator[Path]:
    yield from (path for path in sorted(root.rglob("*.py")) if "__pycache__" not in path.parts)


def named(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


@pytest.mark.parametrize("part", PARTS, ids=named)
def test_a_class_is_called_as_nothing_else_in_its_service_is(part: Path) -> None:
    found = defaultdict[str, list[str]](list)
    for path in modules(part):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(f"{named(path)}:{node.lineno}")
    assert {name: places for name, places in found.items() if len(places) > 1} == {}


@pytest.mark.parametrize("part", PARTS, ids=named)
def test_a_module_s_name_says_what_it_holds(part: Path) -> None:
    assert [named(path) for path in modules(part) if path.stem in BANNED] == []


def test_no_file_is_longer_than_can_be_read_at_once() -> None:
    roots = [REPOSITORY / name for name in ("services", "localcloud", "tools")]
    files = [*(path for root in roots for path in modules(root)), *(REPOSITORY / "services").rglob("*.sql")]
    files += (REPOSITORY / "configs").rglob("*.sql")
    lines = {named(path): len(path.read_text().splitlines()) for path in files}
    assert {name: count for name, count in lines.items() if count > MAX_LINES and name not in LONG} == {}
    assert [name for name in LONG if lines.get(name, 0) <= MAX_LINES] == [], "these need no reason any more"


def test_no_folder_is_a_crowd() -> None:
    roots = [REPOSITORY / name for name in ("services", "localcloud", "tools", "configs")]
    folders = [folder for root in roots for folder in (root, *root.rglob("*")) if folder.is_dir() and folder.name != "__pycache__"]
    files = {named(folder): sum(path.is_file() for path in folder.iterdir()) for folder in folders}
    assert {name: count for name, count in files.items() if count > MAX_FILES} == {}
