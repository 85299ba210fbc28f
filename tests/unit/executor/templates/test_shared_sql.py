"""SQL that templates of all providers share: `shared/file.sql#block`, and no other folder."""

from pathlib import Path

import pytest

from services.executor.templates.faults import TemplateError
from services.executor.templates.section import Section
from services.executor.templates.step import Scope, sql_file

BLOCK = "-- name: rows\n-- Reads only.\nSELECT 1 AS one\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """configs/aws/cost."""
    for name in ("aws/cost/own.sql", "shared/all.sql", "azure/cost/other.sql", "secret.sql"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(BLOCK)
    (tmp_path / "shared" / "deep").mkdir()
    (tmp_path / "shared" / "deep" / "all.sql").write_text(BLOCK)
    return tmp_path / "aws" / "cost"


def test_it_is_found_beside_the_template_or_among_the_shared(folder: Path) -> None:
    assert sql_file(folder, "own.sql") == folder / "own.sql"
    assert sql_file(folder, "shared/all.sql") == folder.parents[1] / "shared" / "all.sql"


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "shared", "shared/", "shared/..", "shared/.", "none.sql", "all.sql", "shared/own.sql"),
        *("../shared/all.sql", "shared/../secret.sql", "shared/../shared/all.sql", "shared/deep/all.sql", "shared//all.sql", "./own.sql"),
        *(
            "../../azure/cost/other.sql",
            "azure/cost/other.sql",
            "/etc/passwd",
            "shared//etc/passwd",
            "SHARED/all.sql",
            "own.sql/",
            "shared\\all.sql",
        ),
    ],
)
def test_a_name_leads_nowhere_else(folder: Path, name: str) -> None:
    assert sql_file(folder, name) is None


def test_a_step_gets_its_block(folder: Path, tmp_path: Path) -> None:
    template = tmp_path / "step.yml"
    scope = Scope(folder=folder, parameters={}, outputs={}, staging={}, tables={})
    template.write_text("sql: shared/all.sql#rows\n")
    assert scope.block(Section.read(template, "step.yml", "a step")).sql == "SELECT 1 AS one"
    template.write_text("sql: ../shared/all.sql#rows\n")
    with pytest.raises(TemplateError, match=r"step.yml:1:6: there is no file ../shared/all.sql beside the template, and none of that"):
        scope.block(Section.read(template, "step.yml", "a step"))
