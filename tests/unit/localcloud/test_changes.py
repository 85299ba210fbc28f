"""What a statement of DuckDB's changes is read from its text."""

import pytest

from localcloud.bigquery.engine.changes import Change, Kind, change_of, of_a_transaction

TABLE = {"project": "p", "dataset": "d", "table": "t"}
CHANGES = {
    'INSERT INTO "p"."d"."t" BY NAME SELECT 1': Change(kind=Kind.INSERTED, **TABLE),
    "INSERT INTO p.d.t (a) WITH x AS (SELECT 1 AS a) SELECT a FROM x": Change(kind=Kind.INSERTED, **TABLE),
    "INSERT OR REPLACE INTO p.d.t VALUES (1)": Change(kind=Kind.INSERTED, **TABLE),
    "/* why; DROP TABLE p.d.x */ -- not yet\n UPDATE p.d.t AS a SET b = 1": Change(kind=Kind.MUTATED, **TABLE),
    "delete from p.d.t where a > 'CREATE TABLE'": Change(kind=Kind.MUTATED, **TABLE),
    "TRUNCATE TABLE p.d.t": Change(kind=Kind.MUTATED, **TABLE),
    "TRUNCATE p.d.t": Change(kind=Kind.MUTATED, **TABLE),
    'CREATE TABLE "it""s: a"."d-1"."t u" (a INT)': Change(kind=Kind.MADE, project='it"s: a', dataset="d-1", table="t u"),
    "CREATE OR REPLACE TABLE p.d.t AS SELECT 1": Change(kind=Kind.MADE, **TABLE),
    "CREATE TABLE IF NOT EXISTS p.d.t (a INT)": Change(kind=Kind.KEPT, **TABLE),
    "CREATE OR REPLACE VIEW p.d.t AS SELECT 1": Change(kind=Kind.MADE, **TABLE),
    "DROP TABLE IF EXISTS p.d.t": Change(kind=Kind.GONE, **TABLE),
    "DROP VIEW p.d.t CASCADE": Change(kind=Kind.GONE, **TABLE),
    "ALTER TABLE p.d.t ADD COLUMN b INT": Change(kind=Kind.ALTERED, **TABLE),
    'ALTER TABLE IF EXISTS p.d.t RENAME TO "u v"': Change(kind=Kind.ALTERED, renamed="u v", **TABLE),
    "ALTER TABLE p.d.t RENAME COLUMN a TO b": Change(kind=Kind.ALTERED, **TABLE),
    'CREATE SCHEMA "p"."d"': Change(kind=Kind.MADE, project="p", dataset="d"),
    "CREATE SCHEMA IF NOT EXISTS p.d": Change(kind=Kind.KEPT, project="p", dataset="d"),
    "DROP SCHEMA p.d CASCADE": Change(kind=Kind.GONE, project="p", dataset="d"),
}
NONE = (
    "SELECT 'INSERT INTO p.d.t'",
    "WITH x AS (SELECT 1) SELECT * FROM x",
    "FROM p.d.t",
    "EXPLAIN DELETE FROM p.d.t",
    "",
    "CREATE TEMP TABLE x AS SELECT 1",
    "CREATE OR REPLACE TEMPORARY TABLE x AS SELECT 1",
    "CREATE OR REPLACE MACRO p.d.f(x) AS x",
    "UPDATE x SET value = 1",
    "DROP TABLE IF EXISTS temp.x",
    'CREATE OR REPLACE TABLE "emulator"."_results"."p:job" AS SELECT 1',
    "INSERT OR REPLACE INTO emulator.jobs VALUES (1)",
)
UNKNOWN = (
    "DROP TABLE x",
    "CREATE TABLE d.t (a INT)",
    "CREATE SCHEMA d",
    "ALTER SEQUENCE p.d.s RESTART",
    "CREATE INDEX i ON p.d.t (a)",
    "MERGE INTO p.d.t USING x ON TRUE WHEN MATCHED THEN DELETE",
)


def test_a_change_names_what_is_changed() -> None:
    assert {sql: change_of(sql) for sql in CHANGES} == CHANGES


def test_what_changes_no_project_is_no_change() -> None:
    assert {sql: change_of(sql) for sql in NONE} == dict.fromkeys(NONE)


def test_a_change_that_cannot_be_read_may_be_any() -> None:
    assert {sql: change_of(sql) for sql in UNKNOWN} == dict.fromkeys(UNKNOWN, Change(kind=Kind.UNKNOWN))


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("BEGIN", "BEGIN"),
        ("begin transaction", "BEGIN"),
        ("START TRANSACTION", "BEGIN"),
        ("/* now */ COMMIT", "COMMIT"),
        ("COMMIT TRANSACTION", "COMMIT"),
        ("ROLLBACK", "ROLLBACK"),
        ("SELECT 1", None),
    ],
)
def test_a_transaction_begins_and_ends(sql: str, word: str | None) -> None:
    assert of_a_transaction(sql) == word
