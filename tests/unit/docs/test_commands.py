"""The commands that the guides name exist, with their options: those of the command line, tasks of the Makefile, and Python modules."""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from convergence.cli.app import program

from services.platform.settings import REPOSITORY

GUIDES = (
    *("README.md", "CONTRIBUTING.md", "SECURITY.md", "client/README.md"),
    *sorted(f"docs/{page.name}" for page in (REPOSITORY / "docs").glob("*.md")),
)
CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?:^|`|[|;&] |\bdo )convergence (?P<words>[^|;&\n`#]+)", re.MULTILINE)
TASK = re.compile(r"(?:^|`|[|;&] )make (?P<task>[a-z][a-z-]+)", re.MULTILINE)
MODULE = re.compile(r"python3? -m (?P<module>(?:services|tools|localcloud|gateway|console|tests|benchmarks)[\w.]*)")
VALUES = re.compile(r"'[^']*'|\"[^\"]*\"")
"""They may hold what looks like an option."""
MAKEFILE = (REPOSITORY / "Makefile").read_text()
TASKS = frozenset(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))


def wrong_command(words: list[str]) -> Iterator[str]:
    """What is wrong with the words after `convergence`, which begin with an option or a command."""
    command: Any = program()
    known, rest = {"--help", "--version"}, list(words)
    while True:
        known |= {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
        if not rest or rest[0] not in getattr(command, "commands", ()):
            break
        command = command.commands[rest.pop(0)]
    if hasattr(command, "commands") and rest and re.fullmatch("[a-z-]+", rest[0]) and not rest[0].startswith("-"):
        yield f"no command: {' '.join(words)}"
        return
    options = (word.partition("=")[0] for word in rest if re.match("--?[a-z]", word))
    yield from (f"no option {option}: {' '.join(words)}" for option in options if option not in known)


def wrong(page: str) -> list[str]:
    """The commands of a page that do not exist."""
    found = list[str]()
    for part in (code.replace("\\\n", " ") for code in CODE.findall(page)):
        for match in COMMAND.finditer(part):
            found += wrong_command(VALUES.sub("VALUE", match["words"]).split())
        found += [f"no task: {task}" for task in TASK.findall(part) if task not in TASKS]
        found += [f"no module: {module}" for module in MODULE.findall(part) if find_spec(module) is None]
    return found


@pytest.mark.parametrize("guide", GUIDES)
def test_every_command_in_a_guide_exists(guide: str) -> None:
    assert wrong((REPOSITORY / guide).read_text()) == []


def test_a_command_that_does_not_exist_would_be_found() -> None:
    page = "`convergence runs list`, `convergence run list --stat X`, `make nothing`, `python -m tools.nothing`, `convergence run list`"

    assert wrong(page) == ["no command: runs list", "no option --stat: run list --stat X", "no task: nothing", "no module: tools.nothing"]
