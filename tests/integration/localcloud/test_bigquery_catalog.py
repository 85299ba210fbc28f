"""The emulator's faster look-ups return the same as local-bigquery's own, and refuse to start on any other version."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import duckdb
import pytest
from local_bigquery.catalog import datasets, tables
from local_bigquery.engine import database
from local_bigquery.settings import settings
from local_bigquery.sql.rules import partitions

from localcloud.bigquery import catalog as own_catalog
from localcloud.bigquery.emulator import look_for_long_numbers_first, use_home
from localcloud.bigquery.engine import files, register
from services.platform.settings import REPOSITORY

PROJECTS = ("here", "there", "nowhere", "HERE", "emulator", "memory", "bq")
DATASETS = ("d", "D", "e", "_hidden", "gone", "missing", "main", "local", "_results", "information_schema")
NAMES = (
    *("plain", "Plain", "PLAIN", "empty", "emptied", "truncated", "nested", "renamed", "old_name", "again", "dropped", "altered"),
    *("seen", "renaming", "of_partitions", "broken", "half_broken", "over_view", "ingested", 'it\'s "so" odd', "missing"),
)
BROKEN = ("broken", "half_broken")
RESULTS = ("here:job", "here:JOB", "here:rows", "here:none", "here:wide", "here:missing", 'it\'s:"so" odd')
COLUMNS = ("_PARTITIONTIME", "_partitiontime", "id", "inner", "z")
CATALOG = """
CREATE SCHEMA here.e; CREATE SCHEMA here._hidden; CREATE SCHEMA here.gone; CREATE TABLE here.gone.plain (id BIGINT);
DROP SCHEMA here.gone CASCADE;
CREATE SCHEMA here.d; CREATE SCHEMA there.d; CREATE TABLE there.d.plain (other BIGINT NOT NULL); CREATE TABLE there.d.missing (id BIGINT);
CREATE TABLE here.e.plain (id BIGINT, name VARCHAR NOT NULL); INSERT INTO here.e.plain VALUES (1, 'a');
CREATE TABLE here.d.plain (id BIGINT NOT NULL, name VARCHAR); INSERT INTO here.d.plain SELECT range, 'x' FROM range(20);
DELETE FROM here.d.plain WHERE id < 5; UPDATE here.d.plain SET name = 'y' WHERE id < 9; INSERT INTO here.d.plain VALUES (99, NULL);
CREATE TABLE here.d.empty (id BIGINT NOT NULL);
CREATE TABLE here.d.emptied (id BIGINT); INSERT INTO here.d.emptied VALUES (1), (2); DELETE FROM here.d.emptied;
CREATE TABLE here.d.truncated (id BIGINT); INSERT INTO here.d.truncated VALUES (1), (2); TRUNCATE here.d.truncated;
CREATE TABLE here.d.nested (id BIGINT NOT NULL, s STRUCT("inner" BIGINT, "_PARTITIONTIME" TIMESTAMP), l STRUCT(name VARCHAR)[]);
CREATE TABLE here.d.old_name (id BIGINT NOT NULL); INSERT INTO here.d.old_name VALUES (7); ALTER TABLE here.d.old_name RENAME TO renamed;
CREATE TABLE here.d.again (id BIGINT NOT NULL); INSERT INTO here.d.again VALUES (1), (2), (3); DROP TABLE here.d.again;
CREATE TABLE here.d.again (name VARCHAR NOT NULL, id VARCHAR); INSERT INTO here.d.again VALUES ('a', 'b');
CREATE OR REPLACE TABLE here.d.again (name VARCHAR, id VARCHAR NOT NULL, "_PARTITIONTIME" TIMESTAMPTZ);
CREATE TABLE here.d.dropped (id BIGINT); DROP TABLE here.d.dropped;
CREATE TABLE here.d.altered (id BIGINT NOT NULL, name VARCHAR NOT NULL, z BIGINT); INSERT INTO here.d.altered VALUES (1, 'a', 2);
ALTER TABLE here.d.altered ADD COLUMN added BIGINT; ALTER TABLE here.d.altered DROP COLUMN z;
ALTER TABLE here.d.altered ALTER COLUMN name DROP NOT NULL; ALTER TABLE here.d.altered RENAME COLUMN name TO "ID2";
CREATE TABLE here.d.ingested (id BIGINT, "_PARTITIONTIME" TIMESTAMPTZ DEFAULT now());
CREATE TABLE here.d."it's ""so"" odd" (id BIGINT NOT NULL, "_PARTITIONTIME" TIMESTAMPTZ);
CREATE VIEW here.d.seen AS SELECT * FROM here.d.plain; CREATE VIEW here.d.renaming (z, "_PARTITIONTIME") AS SELECT * FROM here.d.plain;
CREATE VIEW here.d.of_partitions AS SELECT * FROM here.d.ingested; CREATE VIEW here.d.over_view AS SELECT * FROM here.d.of_partitions;
CREATE TABLE here.d.base (id BIGINT, name VARCHAR); CREATE VIEW here.d.broken AS SELECT * FROM here.d.base; DROP TABLE here.d.base;
CREATE TABLE here.d.base2 (id BIGINT, "_PARTITIONTIME" TIMESTAMPTZ);
CREATE VIEW here.d.half_broken AS SELECT id, "_PARTITIONTIME" FROM here.d.base2;
ALTER TABLE here.d.base2 DROP COLUMN "_PARTITIONTIME";
CREATE TABLE emulator._results."here:job" AS SELECT 1 AS id;
CREATE TABLE emulator._results."here:rows" AS SELECT range AS id FROM range(5000);
CREATE TABLE emulator._results."here:none" AS SELECT 1 AS id WHERE false;
CREATE TABLE emulator._results."here:wide" AS SELECT now() AS "_PARTITIONTIME", {'inner': 1} AS s;
INSERT INTO emulator._results."here:rows" SELECT range FROM range(10); CREATE TABLE emulator._results."it's:""so"" odd" AS SELECT 1 AS name;
"""


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A database of the emulator's in this process, patched as the launcher does it."""
    names = ("fetch", "projects", "connection", "_connect", "_attach")
    before = [getattr(database, name) for name in names], settings.data_dir, settings.default_project_id
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HOME", "")
        use_home(REPOSITORY / ".cache" / "duckdb-home")
        settings.data_dir, settings.default_project_id = tmp_path_factory.mktemp("catalog"), "here"
        files.install()
        own_catalog.install(database.connection())
        database.attach("there")
        database.attach("HERE")
        for statement in CATALOG.split(";"):
            database.execute(statement)
        yield
        database.reset()
        own_catalog.reset()
    functions, settings.data_dir, settings.default_project_id = before
    for name, function in zip(names, functions, strict=True):
        setattr(database, name, function)


def answers(statement: str, *keys: Sequence[object]) -> None:
    """Both fetches give the same rows for all combinations, and some rows at all."""
    found = 0
    for params in itertools.product(*keys):
        expected = own_catalog._fetch(statement, list(params))
        assert sorted(database.fetch(statement, list(params))) == sorted(expected), params
        found += bool(expected)
    assert found


def names_and_kinds(fetch: Callable[..., Any], *params: object) -> list[tuple[str, str]]:
    return sorted((name, kind) for name, kind, _ in fetch(own_catalog.OBJECTS, list(params)))


@pytest.mark.usefixtures("catalog")
def test_tables_and_views() -> None:
    """Those of the original; of a table that is asked for by its name also how many rows it has, deleted ones not among them."""
    asked = [*itertools.product(PROJECTS, DATASETS, ("plain", None)), *itertools.product(["here"], ["d"], NAMES)]
    found = 0
    for params in asked:
        expected = names_and_kinds(own_catalog._fetch, *params)
        assert names_and_kinds(database.fetch, *params) == expected, params
        found += len(expected)
        for name, kind, size in database.fetch(own_catalog.OBJECTS, list(params)) if params[2] and params[0] != "emulator" else ():
            path = database.quote(params[0], params[1], name)
            assert kind == "VIEW" or [(size,)] == own_catalog._fetch(f"SELECT count(*) FROM {path}"), params
    assert found > len(NAMES)
    answers(own_catalog.OBJECTS, ["emulator"], ["_results"], RESULTS)
    names = [name for name, _, _ in database.objects("here", "d")]
    assert names == sorted(names)


@pytest.mark.usefixtures("catalog")
def test_required_columns() -> None:
    answers(own_catalog.REQUIRED, PROJECTS, ("d", "e", "missing"), ["plain"])
    answers(own_catalog.REQUIRED, ["here"], ["d"], NAMES)
    for name in RESULTS:
        params = ["emulator", "_results", name]
        assert database.fetch(own_catalog.REQUIRED, params) == own_catalog._fetch(own_catalog.REQUIRED, params)


@pytest.mark.usefixtures("catalog")
def test_columns_by_name() -> None:
    answers(own_catalog.COLUMN, PROJECTS, ("d", "missing"), ["plain"], ["id"])
    answers(own_catalog.COLUMN, ["here"], ["d"], [name for name in NAMES if name not in BROKEN], COLUMNS)
    # DuckDB knows the columns that such a view had; no statement can read it.
    assert not any(database.fetch(own_catalog.COLUMN, ["here", "d", name, "id"]) for name in BROKEN)
    answers(own_catalog.COLUMN, ["emulator"], ["_results"], RESULTS, COLUMNS)


@pytest.mark.usefixtures("catalog")
def test_datasets() -> None:
    answers(own_catalog.DATASET, PROJECTS, DATASETS)
    answers(own_catalog.DATASETS, PROJECTS, (True, False))
    assert own_catalog.fetch(own_catalog.DATASETS, ["here", True]) == [("_hidden",), ("d",), ("e",), ("local",)]


@pytest.mark.usefixtures("catalog")
def test_a_transaction_is_seen_when_it_commits() -> None:
    with database.cursor() as cursor:
        for change, after in (("CREATE TABLE here.d.later (id BIGINT NOT NULL)", 1), ("DROP TABLE here.d.later", 0)):
            for end, seen in (("ROLLBACK", 1 - after), ("COMMIT", after)):
                cursor.execute("BEGIN")
                cursor.execute(change)
                for statement in (own_catalog.OBJECTS, own_catalog.REQUIRED):
                    expected = own_catalog._fetch(statement, ["here", "d", "later"])
                    assert database.fetch(statement, ["here", "d", "later"]) == expected
                cursor.execute(end)
                assert len(database.objects("here", "d", "later")) == seen
                assert len(database.fetch(own_catalog.REQUIRED, ["here", "d", "later"])) == seen


@pytest.mark.usefixtures("catalog")
def test_nothing_lists_all_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    original: Callable[..., Any] = own_catalog._fetch

    def fetch(sql: str, params: list[Any] | None = None) -> Any:
        asked.append(sql)
        return original(sql, params)

    database.objects("here", "d")
    for module in (own_catalog, register):
        monkeypatch.setattr(module, "_fetch", fetch)
    for change in ("CREATE TABLE here.d.new (id BIGINT)", "CREATE VIEW here.d.new_view AS SELECT 1 AS id"):
        database.execute(change)
    assert [database.objects("here", "d", name) for name in ("new", "new_view")] == [[("new", "TABLE", 0)], [("new_view", "VIEW", 0)]]
    tables.load("here", "d", "plain")
    datasets.list_("here")
    tables.list_("here", "d")
    assert asked
    for change in ("DROP TABLE here.d.new", "DROP VIEW here.d.new_view"):
        database.execute(change)
    assert not [name for name, *_ in database.objects("here", "d") if name.startswith("new")]
    assert not [sql for sql in asked if "duckdb_" in sql.replace("duckdb_databases", "")]


def test_another_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden(_table: object) -> bool:
        return False

    monkeypatch.setattr(partitions, "_hidden", hidden)
    fetch = database.fetch
    with pytest.raises(RuntimeError, match=r"local-bigquery has changed: .*hidden"):
        own_catalog.install(None)  # type: ignore[arg-type]
    assert database.fetch is fetch


@pytest.mark.usefixtures("catalog")
def test_a_faster_parse_json_answers_as_before() -> None:
    """Whole numbers of more than 64 bits are refused, all else that is JSON is read."""
    wide = ('{"a": 18446744073709551616}', "-9223372036854775809")
    others = (None, "", "null", "{x", '{"a": "12345678901234567890"}', '{"a": 18446744073709551615}', "0.1234567890123456789", "1e400")

    def parsed(text: str | None) -> object:
        try:
            return database.fetch("SELECT bq.main.parse_json($1)::VARCHAR", [text])
        except duckdb.Error as error:
            return str(error).splitlines()[0]

    before = {text: parsed(text) for text in (*wide, *others)}
    look_for_long_numbers_first(database.connection())
    assert {text: parsed(text) for text in before} == before
    in_a_column = "SELECT t, bq.main.parse_json(t)::VARCHAR FROM (SELECT unnest($1) AS t, unnest(range(4)) AS n)"
    texts = [None, "[1, 12345678901234567]", '{"a": 18446744073709551615}', "[1, 12345678901234567]"]
    assert database.fetch(in_a_column, [texts]) == [(text, text and text.replace(" ", "")) for text in texts]
    assert {text for text, told in before.items() if "precision" in str(told)} == set(wide)
