"""The guides name files and folders of this repository: all of them exist, so a move cannot leave a guide behind."""

import re
from pathlib import Path

import pytest

from services.platform.settings import REPOSITORY

GUIDES = (
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    *sorted(str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "docs").glob("*.md")),
)
FOLDERS = "benchmarks|configs|docs|localcloud|protos|services|tests|tools|\\.ci"
PATH = re.compile(rf"`((?:{FOLDERS})(?:/[\w./-]*)?)`")
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(#[^)\s]*)?\)")
TERM = re.compile(r"^\| \*\*(?P<term>[^*]+)\*\* \| (?P<meaning>.+) \| (?P<files>`[^|]+`) \|$", re.MULTILINE)
GLOSSARY = (REPOSITORY / "docs/glossary.md").read_text()


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {"#" + re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("guide", GUIDES)
def test_every_path_in_a_guide_exists(guide: str) -> None:
    named = set(PATH.findall((REPOSITORY / guide).read_text()))
    assert [path for path in sorted(named) if not (REPOSITORY / path).exists()] == []


@pytest.mark.parametrize("guide", GUIDES)
def test_every_link_in_a_guide_leads_somewhere(guide: str) -> None:
    page = REPOSITORY / guide
    lost = []
    for path, anchor in LINK.findall(page.read_text()):
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(path + anchor)
    assert lost == []


def broken_tables(page: str) -> list[str]:
    """The first lines of tables without a head, and rows with another number of cells than their table's head."""
    broken, cells, before = [], 0, ""
    lines = re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL).splitlines()
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        found = len(re.findall(r"(?<!\\)\|", line))
        if line.startswith("|") and not before.startswith("|"):
            cells = found if re.fullmatch(r"\|(\s*:?-+:?\s*\|)+", below) else -1
        if line.startswith("|") and found != cells:
            broken.append(line)
        before = line
    return broken


@pytest.mark.parametrize("guide", GUIDES)
def test_every_table_in_a_guide_is_one(guide: str) -> None:
    assert broken_tables((REPOSITORY / guide).read_text()) == []


def test_a_table_that_is_torn_or_short_of_a_cell_would_be_found() -> None:
    assert broken_tables("| a | b |\n|---|---|\n| 1 | `x\\|y` |\n\n| 2 | 2 |\n\n```\n| no table\n```\n") == ["| 2 | 2 |"]
    assert broken_tables("| a | b |\n|---|---|\n| 1 |\n") == ["| 1 |"]


def test_a_path_that_does_not_exist_would_be_found() -> None:
    assert PATH.findall("see `services/nowhere.py`, `no/path` and `services`") == ["services/nowhere.py", "services"]


def test_every_term_of_the_glossary_has_a_meaning_and_a_file() -> None:
    rows = [line for line in GLOSSARY.splitlines() if line.startswith("| **")]
    terms = [match["term"] for match in TERM.finditer(GLOSSARY)]
    assert len(terms) == len(rows), "each row has a term, a meaning and the files where it is decided"
    assert len(terms) == len(set(terms)), "each term is defined once"
    for match in TERM.finditer(GLOSSARY):
        assert PATH.findall(match["files"]), match["term"]


@pytest.mark.parametrize(
    "term",
    ["run", "attempt", "reservation", "claim", "lease", "fence", "fire time", "step", "source", "staging", "publish", "period", "ledger"],
)
def test_the_glossary_defines_the_terms_of_the_code(term: str) -> None:
    assert f"| **{term}** |" in GLOSSARY


def test_the_focus_guide_names_each_step_of_the_sql_in_order() -> None:
    sql = (REPOSITORY / "configs/gcp/cost/focus.sql").read_text()
    steps = re.findall(r"^(?:WITH )?(\w+) AS \($", sql, re.MULTILINE)
    guide = (REPOSITORY / "docs/focus.md").read_text().split("## Where each rule is in focus.sql")[1].split("\n## ")[0]
    assert steps
    assert re.findall(r"^\| `(\w+)` \|", guide, re.MULTILINE) == steps
