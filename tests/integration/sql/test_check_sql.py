"""The SQL checks pass on all our SQL, and detect the problems they are for."""

from pathlib import Path
from textwrap import dedent

import pytest

from localcloud.settings import SERVICES
from services.platform.bigquery.ddl import Table
from services.platform.bigquery.sql import make_block
from tests.support.executor.quality import SHAPE, step
from tests.unit.executor.templates.test_template_schema import EVERY_KIND
from tools.check_sql.__main__ import ROOT, check
from tools.check_sql.checker import Checker
from tools.check_sql.problem import Problem
from tools.check_sql.sources import block_files, blocks, tables

# One worker compiles ZetaSQL, not all of them.
RUNS = """
CREATE TABLE IF NOT EXISTS runs (
  run_id STRING NOT NULL,
  started_at TIMESTAMP,
  attempt INT64,
  parameters JSON,
  labels ARRAY<STRUCT<key STRING, value STRING>>
)
CLUSTER BY run_id
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one table and one service, whose queries the test writes."""
    for folder in ("configs/bigquery/control", "configs/gcp/cost", "services/auth"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "configs/bigquery/control/runs.sql").write_text(RUNS.lstrip())
    return tmp_path


def problems(repository: Path, queries: str) -> list[str]:
    """What is wrong with these queries, as `line: message`."""
    path = repository / "services/auth/queries.sql"
    path.write_text(dedent(queries).strip() + "\n")
    return [str(problem).removeprefix(f"{path}:") for problem in check(repository)[1]]


def test_all_our_sql_is_found() -> None:
    """The blocks of every service and template, and the DDL. That all of it is right is what `make check-sql` says."""
    files = block_files(ROOT)
    assert {ROOT / f"services/{service}" for service in SERVICES} <= {parent for file in files for parent in file.parents}
    assert set((ROOT / "configs").glob("gcp/*/*.sql")) <= set(files)
    found = [block for _, block in blocks(files)]
    assert len(found) > 20
    assert not [block for block in found if isinstance(block, Problem)]
    assert len(tables(ROOT)) > 10


def test_every_kind_of_check_composes_what_bigquery_takes(tmp_path: Path) -> None:
    """All in one query, with two custom blocks beside them; and what is not typed right is found."""
    every = "".join(f"  - {check.replace('name: a', f'name: c{place}')}\n" for place, check in enumerate(EVERY_KIND))
    more = """
  - {name: d, kind: accepted_values, column: pieces, values: [1, 2]}
  - {name: e, kind: freshness, column: sold_at, within: 1d, before: last_day}
  - {name: f, kind: range, column: pieces, min: 1, max: 2.5}
  - {name: g, kind: row_count, min: 1, max: 2}
  - {name: h, kind: sum_agrees, column: parts.amount, source: source_parts, within: 0.005}
  - {name: i, kind: sum_agrees, column: pieces, source: source_pieces}
  - {name: first, sql: 'sale.sql#two', expect: x}
  - {name: second, sql: 'sale.sql#two', expect: x}
  - {name: odd, sql: 'sale.sql#odd', expect: x}
"""
    named = {"source: n}": "source: source_rows}", "source: f}": "source: source_price}", "column: source,": "column: currency,"}
    for sample, real in named.items():
        every = every.replace(sample, real)
    text = every + more.lstrip("\n")
    block = step(tmp_path, f"sample: [id, shop.owner.name, sold_at]\nchecks:\n{text}").query.block
    staging = Table(name=SHAPE.name, sql="", columns=SHAPE.columns)
    checker = Checker([staging, *tables(ROOT).values()])
    assert [str(problem) for problem in checker.check(block, tmp_path)] == []
    wrong = make_block(block.name, block.sql.replace("s.`pieces`", "s.`id`"), block.params)
    assert checker.check(wrong, tmp_path) != []


def test_what_is_right_passes(repository: Path) -> None:
    """A statement with typed parameters, and a script with variables, branches and row counts."""
    queries = """
        -- name: find_runs
        -- Reads only.
        -- param: ids ARRAY<STRUCT<run_id STRING, seq INT64>>
        SELECT r.run_id, l.value FROM runs AS r, UNNEST(r.labels) AS l JOIN UNNEST(@ids) AS i ON i.run_id = r.run_id ORDER BY i.seq

        -- name: replace_run
        -- A transaction.
        -- param: run_id STRING
        DECLARE changed INT64 DEFAULT 0;
        DECLARE again BOOL;
        BEGIN TRANSACTION;
        UPDATE runs SET attempt = attempt + 1 WHERE run_id = @run_id;
        IF @@row_count = 0 THEN
          ROLLBACK TRANSACTION;
        ELSEIF changed > 0 THEN
          SET again = TRUE;
        ELSE
          SET changed = @@row_count;
          COMMIT TRANSACTION;
        END IF;
        SELECT changed, again, '{"json": "in a string"}' AS text
        """
    assert problems(repository, queries) == []


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT r.runid FROM runs AS r", "runid"),
        ("SELECT r.run_id FROM run AS r", "Table not found: run"),
        ("SELECT r.run_id FROM runs AS r WHERE r.attempt = 'one'", "No matching signature"),
        ("UPDATE runs SET started_at = 1 WHERE run_id = 'a'", "TIMESTAMP"),
        ("INSERT INTO runs (run_id, attempt) SELECT 'a'", "wrong column count"),
        ("SELECT r.run_id, COUNT(*) AS n FROM runs AS r", "neither grouped nor aggregated"),
        ("SELECT r.run_id FROM runs AS r WHERE r.run_id = @missing", "parameter 'missing' not found"),
        ("DELETE FROM runs WHERE run_id = 'a' RETURNING run_id", "RETURNING"),
        ("SELECT attempt FROM UNNEST([1]) AS attempt WHERE NOT EXISTS (SELECT 1 FROM runs AS r WHERE r.attempt = attempt)", "bare name"),
        ("DELETE FROM runs WHERE run_id = 'a' THEN RETURN run_id", "THEN RETURN"),
        ("INSERT OR IGNORE INTO runs (run_id) VALUES ('a')", "INSERT OR"),
        ("SELECT r.run_id FROM runs AS r ORDER BY r.parameters", "JSON"),
        ("SELECT r.run_id FROM runs AS r WHERE r.parameters = JSON '1'", "JSON"),
        ("SELECT * FROM runs", "SELECT *"),
        ("SELECT r.* FROM runs AS r", "SELECT *"),
        ("WITH some AS (SELECT r.run_id FROM runs AS r) SELECT s.* FROM runs AS s JOIN some ON some.run_id = s.run_id", "SELECT *"),
        ("SELECT r.run_id FROM {table} AS r", "templating"),
        ("SELEC 1", "SELEC"),
    ],
)
def test_what_is_wrong_is_caught_with_its_line(repository: Path, sql: str, said: str) -> None:
    """The message is ZetaSQL's or our rule's."""
    found = problems(repository, f"-- name: bad\n-- Why.\n{sql}")
    assert found
    assert all(line.startswith("3: bad: ") for line in found)
    assert said in " ".join(found)


def test_a_parameter_must_be_used_and_have_a_type(repository: Path) -> None:
    queries = """
        -- name: bad
        -- Why.
        -- param: unused STRING
        SELECT r.run_id FROM runs AS r

        -- name: worse
        -- Why.
        -- param: run_id TEXT
        SELECT r.run_id FROM runs AS r WHERE r.run_id = @run_id
        """
    unused, untyped = problems(repository, queries)
    assert unused == "4: bad: parameter unused is declared and never used"
    assert untyped == "9: worse: parameter run_id: TEXT is no GoogleSQL type"


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT r.runid FROM runs AS r",
        "IF (SELECT COUNT(r.runid) FROM runs AS r) > 0 THEN SELECT 1; END IF",
        "IF TRUE THEN SELECT 1; ELSE UPDATE runs SET runid = 'a' WHERE TRUE; END IF",
        "SET known = (SELECT MAX(r.runid) FROM runs AS r)",
        "SELECT unknown",
    ],
)
def test_every_statement_of_a_script_is_analyzed(repository: Path, statement: str) -> None:
    """In every branch, condition and assignment, and named by its own line."""
    [found] = problems(repository, f"-- name: bad\nDECLARE known STRING;\n\nSELECT known;\n{statement};\nSELECT 2")
    assert found.startswith("5: bad: ")


def test_what_the_checks_do_not_know_is_refused(repository: Path) -> None:
    """Rather than passed unseen."""
    [found] = problems(repository, "-- name: bad\nWHILE TRUE DO SELECT 1; END WHILE;\nSELECT 2")
    assert "do not know While" in found


def test_a_queries_file_without_a_statement_is_a_problem(repository: Path) -> None:
    """Or an empty file would pass for good."""
    [found] = problems(repository, "-- nothing here")
    assert "no statement found" in found


def test_sql_outside_of_a_block_is_a_problem(repository: Path) -> None:
    [found] = problems(repository, "-- hello\nSELECT 1")
    assert found == "2: SQL before the first `-- name:`"


def test_sql_in_python_is_a_problem(repository: Path) -> None:
    """Prose that begins with the same word is not."""
    path = repository / "services/auth/store.py"
    path.write_text('"""Select what you like."""\n\nQUERY = f"SELECT {1} FROM runs"\nNOTE = "update the set"\n')
    assert [(problem.path, problem.line) for problem in check(repository)[1]] == [(path, 3)]


def test_templates_name_blocks_that_exist(repository: Path) -> None:
    folder = repository / "configs/gcp/cost"
    (folder / "billing.sql").write_text("-- name: checks\nSELECT 1 AS one\n")
    shared = repository / "configs/shared"
    shared.mkdir()
    (shared / "all.sql").write_text("-- name: all\nSELECT 1 AS one\n")
    named = ("billing.sql#checks", "billing.sql#chekcs", "SELECT 1", "shared/all.sql#all", "shared/all.sql#none", "shared/../gcp/x.sql#x")
    (folder / "billing.yml").write_text("steps:\n" + "".join(f"- sql: {name}\n" for name in named))

    found = [str(problem).removeprefix(f"{folder}/") for problem in check(repository)[1]]
    assert found == [
        "billing.yml:3: sql: billing.sql has no block chekcs",
        "billing.yml:4: sql: 'SELECT 1' is not `file.sql#block` of a file beside this one or in shared/",
        "billing.yml:6: sql: shared/all.sql has no block none",
        "billing.yml:7: sql: 'shared/../gcp/x.sql#x' is not `file.sql#block` of a file beside this one or in shared/",
    ]


def test_sql_that_templates_share_is_analyzed(repository: Path) -> None:
    shared = repository / "configs/shared"
    shared.mkdir()
    (shared / "all.sql").write_text("-- name: all\nSELECT nothing AS one\n")
    assert [(problem.path, problem.line) for problem in check(repository)[1]] == [(shared / "all.sql", 2)]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        # A count of what comes before, as a place in a queue is asked for: an inequality, and an OR.
        ("SELECT (SELECT COUNT(*) FROM runs AS o WHERE o.attempt > r.attempt) AS n FROM runs AS r", "runs.attempt must be"),
        ("SELECT (SELECT COUNT(*) FROM runs AS o WHERE o.run_id = r.run_id OR o.attempt = 1) AS n FROM runs AS r", "runs.run_id must"),
        (
            "SELECT (SELECT COUNT(*) FROM runs AS o WHERE o.run_id = r.run_id AND o.attempt > r.attempt) AS n FROM runs AS r",
            "runs.attempt must",
        ),
        (
            "SELECT r.run_id FROM runs AS r WHERE EXISTS (SELECT 1 FROM runs AS o WHERE o.attempt BETWEEN r.attempt AND 9)",
            "runs.attempt must",
        ),
        ("SELECT r.run_id FROM runs AS r WHERE r.attempt IN (SELECT o.attempt + r.attempt FROM runs AS o)", "runs.attempt must"),
        ("SELECT ARRAY(SELECT o.run_id FROM runs AS o WHERE STARTS_WITH(o.run_id, r.run_id)) AS ids FROM runs AS r", "runs.run_id must"),
        ("SELECT (SELECT MAX(o.attempt) FROM runs AS o WHERE o.attempt + r.attempt = 3) AS n FROM runs AS r", "runs.attempt must"),
        ("SELECT (SELECT MAX(o.attempt) FROM runs AS o WHERE r.run_id = 'a') AS n FROM runs AS r", "runs.run_id must"),
        ("SELECT (SELECT COUNT(*) FROM runs AS o LEFT JOIN runs AS p ON p.run_id = r.run_id) AS n FROM runs AS r", "runs.run_id must"),
        ("SELECT (SELECT COUNT(*) FROM UNNEST(r.labels) AS l JOIN runs AS o ON o.run_id = l.key) AS n FROM runs AS r", "runs.labels must"),
        (
            "UPDATE runs AS r SET attempt = (SELECT MAX(o.attempt) FROM runs AS o WHERE o.started_at < r.started_at) WHERE TRUE",
            "started_at must",
        ),
        (
            "DELETE FROM runs AS r WHERE EXISTS (SELECT 1 FROM UNNEST(@ids) AS i JOIN runs AS o ON o.run_id = i AND o.attempt < r.attempt)",
            "must",
        ),
        (
            ("DELETE FROM runs AS r WHERE NOT EXISTS (SELECT 1 FROM runs AS o WHERE o.run_id = r.run_id AND"
             " NOT EXISTS (SELECT 1 FROM runs AS p WHERE p.run_id = o.run_id))"),
            "inside a correlated subquery",
        ),
        (
            "SELECT (SELECT o.attempt FROM runs AS o WHERE o.run_id = r.run_id ORDER BY o.started_at LIMIT 1) AS n FROM runs AS r",
            "with LIMIT",
        ),
        (
            "WITH w AS (SELECT r.attempt FROM runs AS r) SELECT (SELECT COUNT(*) FROM w WHERE w.attempt < r.attempt) AS n FROM runs AS r",
            "must",
        ),
    ],
)  # fmt: skip
def test_a_subquery_that_bigquery_cannot_decorrelate_is_refused(repository: Path, sql: str, said: str) -> None:
    declared = "-- param: ids ARRAY<STRING>\n" if "@ids" in sql else ""
    found = problems(repository, f"-- name: bad\n-- Why.\n{declared}{sql}")
    assert found
    assert all(said in line and "BigQuery cannot turn" in line for line in found), found


@pytest.mark.parametrize(
    ("condition", "is_refused"),
    [
        ("r.attempt > 1 AND EXISTS (SELECT 1 FROM UNNEST(@ids) AS i WHERE i = r.run_id)", True),
        ("r.run_id NOT IN (SELECT i FROM UNNEST(@ids) AS i WHERE i != r.run_id)", True),
        ("r.run_id IN UNNEST(@ids) AND r.attempt > (SELECT COUNT(*) FROM UNNEST(@ids))", False),
    ],
)
def test_a_correlated_subquery_in_a_clause_of_a_merge_is_refused(repository: Path, condition: str, is_refused: bool) -> None:
    """It may stand in the source, and one that is not correlated anywhere."""
    source = "SELECT s.run_id FROM runs AS s WHERE EXISTS (SELECT 1 FROM UNNEST(@ids) AS i WHERE i = s.run_id)"
    found = problems(
        repository,
        f"-- name: bad\n-- Why.\n-- param: ids ARRAY<STRING>\nMERGE INTO runs AS r USING ({source}) AS n ON FALSE\n"
        f"WHEN NOT MATCHED BY SOURCE AND\n {condition} THEN DELETE\nWHEN NOT MATCHED THEN INSERT (run_id) VALUES (n.run_id)",
    )
    assert [one.startswith("6: bad: ") and "of a MERGE" in one for one in found] == [True] * is_refused, found


def test_such_a_subquery_is_reported_with_its_own_line(repository: Path) -> None:
    sql = "SELECT\n  r.run_id,\n  (SELECT COUNT(*) FROM runs AS o WHERE o.attempt > r.attempt) AS n\nFROM runs AS r"
    (found,) = problems(repository, f"-- name: bad\n-- Why.\nDECLARE x INT64;\n{sql}")
    assert found.startswith("6: bad: ")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT (SELECT COUNT(*) FROM runs AS o WHERE o.run_id = r.run_id AND o.attempt > 1) AS n FROM runs AS r",
        ("SELECT r.run_id FROM runs AS r WHERE NOT EXISTS (SELECT 1 FROM runs AS o"
         " WHERE r.run_id = o.run_id AND IFNULL(o.attempt, 0) = r.attempt)"),
        "SELECT r.run_id FROM runs AS r WHERE r.run_id NOT IN (SELECT o.run_id FROM runs AS o WHERE o.attempt > 3 LIMIT 5)",
        "SELECT (SELECT COUNT(*) FROM UNNEST(r.labels) AS l WHERE l.key > r.run_id) AS n FROM runs AS r",
        "SELECT r.run_id FROM runs AS r WHERE EXISTS (SELECT 1 FROM UNNEST(@ids) AS i WHERE i >= r.run_id LIMIT 1)",
        "SELECT (SELECT MAX(o.attempt) FROM runs AS o JOIN runs AS p ON p.run_id = o.run_id AND o.run_id = r.run_id) AS n FROM runs AS r",
        "UPDATE runs AS r SET attempt = (SELECT MAX(o.attempt) FROM runs AS o WHERE o.run_id = r.run_id) WHERE TRUE",
        ("SELECT r.run_id FROM runs AS r CROSS JOIN (SELECT COUNT(*) AS n FROM runs AS o CROSS JOIN runs AS p"
         " WHERE o.attempt > p.attempt) AS b"),
        ("SELECT (SELECT COUNT(*) FROM runs AS o"
         " WHERE o.run_id = r.run_id AND o.attempt IN (SELECT p.attempt FROM runs AS p)) AS n FROM runs AS r"),
    ],
)  # fmt: skip
def test_a_subquery_that_is_a_join_passes(repository: Path, sql: str) -> None:
    declared = "-- param: ids ARRAY<STRING>\n" if "@ids" in sql else ""
    assert problems(repository, f"-- name: good\n-- Why.\n{declared}{sql}") == []
