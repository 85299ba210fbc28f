"""What makes the emulator cheaper changes no result: the same calls to local-bigquery unchanged and as we start it."""

import datetime as dt
import json
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from local_bigquery.api import jobs as jobs_api
from local_bigquery.api import tables as tables_api
from local_bigquery.catalog import datasets, metadata, row_access, tabledata, tables
from local_bigquery.engine import database, results
from local_bigquery.errors import BigQueryError, from_exception
from local_bigquery.jobs import query, store
from local_bigquery.models import Dataset, QueryParameter, QueryRequest, Table, TableDataInsertAllRequest
from local_bigquery.settings import settings
from local_bigquery.sql import params, script, translate
from local_bigquery.sql.translate import Context

from localcloud.bigquery import catalog, columns, commits, expired_results, job_records, partitions, resources, version
from localcloud.bigquery import results as own_results
from localcloud.bigquery.emulator import EXTENSIONS, use_home
from localcloud.bigquery.engine import files
from localcloud.bigquery.sql import query_jobs, shelf, statements, table_facts, translations, values
from services.platform.bigquery.ddl import load_tables, load_views
from services.platform.bigquery.query_parameters import struct_fields, to_parameter
from services.platform.bigquery.sql import Block, load_blocks
from services.platform.settings import REPOSITORY

ROOT = REPOSITORY
PROJECT = "here"
NOW = dt.datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=dt.UTC)
# What the installed patches replace.
REPLACED: list[tuple[Any, str]] = [
    *((store, name) for name in ("save", "load", "list_", "delete")),
    *((metadata, name) for name in ("list_", "save", "delete")),
    (row_access, "secured"),
    *((script, name) for name in ("parse_script", "translate")),
    *((script.Interpreter, name) for name in ("sql", "declare", "set", "evaluate")),
    *((query, name) for name in ("translate", "execute", "from_duckdb")),
    *((tables, name) for name in ("columns", "create", "update", "write")),
    *((tabledata, name) for name in ("columns", "list_rows", "load")),
    (results, "materialise"),
    *((database, name) for name in ("fetch", "projects", "connection", "_connect", "_attach")),
]
# Of our blocks: queries, also over a view, INSERT, UPDATE with arrays, DELETE, scripts with variables and a transaction.
ANSWERED = ("put_tenant", "find_key_holders", "open_day", "reserve", "read_usage", "claim_runs", "enqueue", "delete_credentials")
LATE = "32503680000000"  # the year 3000
TIMES = ("creationTime", "startTime", "endTime", "lastModifiedTime", "etag")
# Where a table has a project's rows, the original counts a row again that was changed.
SIZES = ("numRows", "numBytes", "numTotalLogicalBytes", "numActiveLogicalBytes")

type Answer = Callable[[], Any]


def value(kind: str, seed: int) -> Any:
    """Some value of a GoogleSQL type."""
    if kind.startswith("ARRAY<"):
        return [value(kind[6:-1].strip(), seed), value(kind[6:-1].strip(), seed + 1)]
    if kind.startswith("STRUCT<"):
        return {name: value(of, seed) for name, of in struct_fields(kind[7:-1]).items()}
    moment = NOW + dt.timedelta(minutes=seed)
    scalars = {"STRING": f"{seed}", "INT64": seed + 1, "BOOL": seed % 2 == 0, "FLOAT64": seed / 4, "NUMERIC": Decimal(seed) / 4}
    return (scalars | {"TIMESTAMP": moment, "DATE": moment.date(), "JSON": {"seed": [seed, "ä"]}, "BYTES": b"\x00\xff"})[kind]


def our_blocks() -> Iterator[Block]:
    for path in sorted((ROOT / "services").glob("**/queries.sql")):
        yield from load_blocks(path).values()


def our_tables(emulator: "Emulator") -> Iterator[Any]:
    """All of them in one dataset, made by one script."""
    yield emulator.sql("CREATE SCHEMA control")
    texts = []
    for folder in ("control", "tenant"):
        where = ROOT / "configs" / "bigquery" / folder
        texts += [table.sql for table in load_tables(where).values()]
        texts += [view.create(f"{PROJECT}.control").sql for view in load_views(where).values()]
    yield emulator.sql(";\n".join(text.strip().removesuffix(";") for text in texts))


class Emulator:
    """The emulator's API without its HTTP server. Answers and refusals come back alike, to be compared."""

    def __init__(self) -> None:
        self._jobs = 0

    def sql(self, text: str, dataset: str = "control", **more: Any) -> Any:
        """jobs.query, jobs.getQueryResults of the same job in pages of two rows, and jobs.get."""
        answer = self.answer(text, dataset, **more)
        job = f"job{self._jobs}"
        pages = self.call(lambda: json.loads(jobs_api.get_query_results(PROJECT, job, 2, None, 1, 60_000, int64_timestamps=True).body))
        return [answer, pages, self.job(job)]

    def answer(self, text: str, dataset: str, **more: Any) -> Any:
        """jobs.query alone."""
        self._jobs += 1
        body = {
            "query": text,
            "requestId": f"job{self._jobs}",
            "defaultDataset": {"projectId": PROJECT, "datasetId": dataset},
            "timeoutMs": 60_000,
            **more,
        }
        return self.call(lambda: json.loads(jobs_api.run_query(PROJECT, QueryRequest.model_validate(body)).body))

    def block(self, block: Block, seed: int) -> Any:
        """A block of a service, with parameters."""
        given = [to_parameter(name, kind, value(kind, seed)).to_api_repr() for name, kind in block.params.items()]
        return self.sql(block.sql, queryParameters=given, parameterMode="NAMED")

    def job(self, job: str) -> Any:
        """jobs.get."""
        return self.call(lambda: jobs_api.get_job(PROJECT, job).model_dump(mode="json", exclude_unset=True))

    def call(self, answer: Answer) -> Any:
        """Anything else, without times."""
        try:
            found = answer()
        except Exception as error:  # noqa: BLE001 - as its own handler does
            refused: BigQueryError = from_exception(error)
            assert refused.reason != "dontRetry", refused.message
            return refused.response()
        return timeless(found.model_dump(mode="json", exclude_unset=True) if hasattr(found, "model_dump") else found)


def timeless(found: Any) -> Any:
    """Without what differs by the clock, or is counted otherwise."""
    if isinstance(found, dict):
        return {key: timeless(item) for key, item in found.items() if key not in (*TIMES, *SIZES)}
    return [timeless(item) for item in found] if isinstance(found, list) else found


def our_statements(emulator: Emulator) -> Iterator[Any]:
    """Our tables, and blocks of every kind. Whatever is refused is refused in the same words."""
    yield from our_tables(emulator)
    blocks = {block.name: block for block in our_blocks()}
    for name in ANSWERED:
        yield name, emulator.block(blocks[name], seed=0)
    for table in ("pipeline_execution_queue", "tenant_usage_quotas"):
        yield emulator.sql(f"SELECT * FROM {table} ORDER BY TO_JSON_STRING({table})")


def changes(emulator: Emulator) -> Iterator[Any]:
    """The same texts before and after what they read has changed, by whatever way."""
    texts = ("SELECT *, a = 1 AS is_one FROM t ORDER BY 1", "SELECT v.* FROM v", "UPDATE t SET a = a WHERE a > 0")

    def every() -> list[Any]:
        return [emulator.answer(text, "d") for text in texts]

    def api(table: str, **described: Any) -> Table:
        return Table.model_validate({"tableReference": {"projectId": PROJECT, "datasetId": "d", "tableId": table}, **described})

    fields = [{"name": "a", "type": "INTEGER", "mode": "REQUIRED"}, {"name": "day", "type": "DATE"}]
    filtered = {"timePartitioning": {"type": "DAY", "field": "day"}, "requirePartitionFilter": True}
    steps: list[Answer] = [
        lambda: emulator.sql("CREATE SCHEMA d; CREATE SCHEMA other.d; CREATE TABLE other.d.t (y DATE)"),
        lambda: emulator.sql("CREATE TABLE d.t (a INT64, b STRING)"),
        lambda: emulator.sql("CREATE VIEW d.v AS SELECT * FROM d.t"),
        lambda: emulator.sql("INSERT INTO d.t (a, b) SELECT n, 'x' FROM UNNEST([1, 2, 3]) AS n"),
        lambda: emulator.sql("ALTER TABLE d.t ADD COLUMN c NUMERIC"),
        lambda: emulator.sql("CREATE OR REPLACE VIEW d.v AS SELECT * FROM other.d.t"),
        lambda: emulator.sql("ALTER TABLE other.d.t ADD COLUMN z STRING"),
        lambda: emulator.sql("CREATE OR REPLACE VIEW d.v AS SELECT 'text' AS a"),
        lambda: emulator.sql("DROP TABLE d.t"),
        lambda: emulator.sql("CREATE TABLE d.t AS SELECT 1.5 AS a, DATE '2026-01-02' AS day"),
        lambda: emulator.sql("CREATE OR REPLACE TABLE d.t (a STRING)"),
        lambda: emulator.call(lambda: tables_api.delete_table(PROJECT, "d", "t")),
        lambda: emulator.call(lambda: tables_api.insert_table(PROJECT, "d", api("t", schema={"fields": fields}))),
        lambda: emulator.call(lambda: insert_all([{"a": 1, "day": "2026-01-02"}, {"a": 2}, {"b": 3}, {"a": "x"}])),
        lambda: emulator.call(lambda: insert_all([{"a": 1, "day": "2026-01-02"}, {"a": 2}])),
        lambda: emulator.call(lambda: tables_api.patch_table(PROJECT, "d", "t", api("t", **filtered), None)),
        lambda: emulator.call(lambda: tables_api.patch_table(PROJECT, "d", "t", api("t", requirePartitionFilter=False), None)),
        lambda: emulator.sql("CREATE ROW ACCESS POLICY p ON d.t GRANT TO ('allUsers') FILTER USING (a > 1)"),
        lambda: emulator.sql("DROP ALL ROW ACCESS POLICIES ON d.t"),
        lambda: emulator.sql("SELECT 7 AS a", "d", destinationTable={"projectId": PROJECT, "datasetId": "d", "tableId": "t"}),
        lambda: emulator.sql("ALTER TABLE d.t RENAME TO u"),
        lambda: emulator.sql("ALTER TABLE d.u RENAME TO t"),
        lambda: emulator.call(lambda: tables_api.get_table(PROJECT, "d", "t")),
        lambda: emulator.call(lambda: tables_api.patch_table(PROJECT, "d", "t", api("t", expirationTime=LATE), None)),
        lambda: emulator.call(lambda: tables_api.patch_table(PROJECT, "d", "t", api("t", expirationTime="1"), None)),
        lambda: emulator.call(lambda: datasets.delete(PROJECT, "d", delete_contents=True)),
        lambda: emulator.call(lambda: datasets.create(PROJECT, Dataset.model_validate({"datasetReference": {"datasetId": "d"}}))),
    ]
    for number, step in enumerate(steps):
        yield number, step(), every()


def refusals(found: list[Any]) -> int:
    return sum('"error"' in json.dumps(answer) for answer in found)


def insert_all(rows: list[dict[str, Any]]) -> Any:
    body = TableDataInsertAllRequest.model_validate({"rows": [{"json": row} for row in rows]})
    return tables_api.insert_all(PROJECT, "d", "t", body)


def scripts(emulator: Emulator) -> Iterator[Any]:
    """Variables, branches, transactions, errors, and what is not kept: each text twice."""
    yield emulator.sql("CREATE SCHEMA s")
    yield emulator.sql("CREATE TABLE s.n (a INT64, at TIMESTAMP, tags ARRAY<STRUCT<k STRING, v JSON>>)")
    texts = (
        "SELECT 1",
        "SELECT a FROM n WHERE a = @missing",
        "SELECT missing FROM n",
        "SELECT a FROM missing",
        "SELEC 1",
        "SELECT 1 / 0 AS x FROM UNNEST([1])",
        "INSERT INTO n (a, at, tags) VALUES (1, TIMESTAMP '2026-01-02 03:04:05.678901+00', [STRUCT('k' AS k, JSON '{\"x\": 1.5}' AS v)])",
        (
            "DECLARE one INT64 DEFAULT 1; DECLARE most INT64; SET most = (SELECT MAX(a) FROM n); UPDATE n SET a = a + one WHERE a = most; "
            "IF @@row_count > 0 THEN SELECT most, one, @@row_count AS changed; ELSE SELECT 0 AS none; END IF"
        ),
        "SELECT @@row_count AS changed",
        # Twice as many each time.
        "INSERT INTO n (tags) SELECT tags FROM n; IF @@row_count > 2 THEN SELECT @@row_count AS n; ELSE SELECT @@Row_Count AS few; END IF",
        "BEGIN TRANSACTION; INSERT INTO n (a) VALUES (50); SELECT COUNT(*) AS w FROM n; ROLLBACK TRANSACTION; SELECT COUNT(*) AS n FROM n",
        "BEGIN TRANSACTION; INSERT INTO n (a) VALUES (60); COMMIT TRANSACTION; SELECT a FROM n ORDER BY a",
        (
            "BEGIN BEGIN TRANSACTION; DELETE FROM n WHERE a = 60; SELECT ERROR('no'); COMMIT TRANSACTION; "
            "EXCEPTION WHEN ERROR THEN ROLLBACK TRANSACTION; SELECT @@error.message AS said; END"
        ),
        "CREATE TEMP TABLE n AS SELECT 'temporary' AS a; SELECT a FROM n",
        "CREATE TEMP TABLE n AS SELECT 5 AS a; SELECT a FROM n",
        *(text for one in ("1", "'x'") for text in (f"CREATE OR REPLACE FUNCTION s.f() AS ({one})", "SELECT s.f() AS x")),
        "CREATE TEMP FUNCTION twice(x INT64) AS (x * 2); SELECT twice(a) AS b FROM n ORDER BY 1",
        "EXECUTE IMMEDIATE 'SELECT a + ? AS b FROM n ORDER BY 1' USING 5",
        (
            "MERGE INTO n USING (SELECT 60 AS a UNION ALL SELECT 70) AS s ON n.a = s.a WHEN MATCHED THEN UPDATE SET a = 61 "
            "WHEN NOT MATCHED THEN INSERT (a) VALUES (s.a)"
        ),
        "SELECT table_name FROM INFORMATION_SCHEMA.TABLES ORDER BY 1",
        "SELECT n, n AS rowid FROM UNNEST(GENERATE_ARRAY(1, 5)) AS n ORDER BY n DESC",
        "SELECT 1 AS a, 2 AS a, NULL AS b, [1, 2] AS c, STRUCT('x' AS y) AS d, B'z' AS e, 1e300 AS f",
        "SELECT a FROM n WHERE FALSE",
        "SELECT REGEXP_CONTAINS('one', r'(?i)^ONE?') AS is_one, a FROM n ORDER BY a",
    )
    for text in texts:
        yield text, emulator.answer(text, "s"), emulator.sql(text, "s")
    given = [{"name": "x", "parameterType": {"type": kind}, "parameterValue": {"value": "1"}} for kind in ("INT64", "STRING", "BOOL")]
    yield emulator.sql("CREATE SCHEMA other; CREATE TABLE other.n (a STRING)")
    # Functions of another dataset, and no default dataset.
    for default in ({"defaultDataset": {"projectId": PROJECT, "datasetId": "other"}}, {"defaultDataset": None}):
        for text in ("SELECT s.f() AS x", "SELECT a FROM s.n ORDER BY a", "SELECT a FROM n", "UPDATE s.n SET a = a + 1 WHERE a > 50"):
            yield emulator.sql(text, **default)
    for parameter in given:
        yield emulator.sql("SELECT @x AS x, a FROM n ORDER BY a", "s", queryParameters=[parameter], parameterMode="NAMED")
    for pair in ("1", "2"), ("3", "4"):
        given = [{"parameterType": {"type": "INT64"}, "parameterValue": {"value": one}} for one in pair]
        yield emulator.sql("SELECT ? AS x, a FROM n ORDER BY a; SELECT ? AS y", "s", queryParameters=given, parameterMode="POSITIONAL")


def records(emulator: Emulator) -> Iterator[Any]:
    """Jobs are listed, refused twice, and deleted with their statements."""
    yield emulator.sql("SELECT 1 AS a; SELECT 2 AS b")
    last = f"job{emulator._jobs}"
    children = [f"script_job_{last}_{number}" for number in range(3)]
    again = QueryRequest.model_validate({"query": "SELECT 1", "requestId": last})
    yield emulator.call(lambda: jobs_api.run_query(PROJECT, again))
    for parent in (None, last, "job1"):
        listed = jobs_api.list_jobs(PROJECT, parentJobId=parent, stateFilter=None)
        yield sorted(json.dumps(job, sort_keys=True) for job in emulator.call(lambda: listed)["jobs"])  # noqa: B023 - called at once
    yield [emulator.job(child) for child in children]
    yield emulator.call(lambda: jobs_api.delete_job(PROJECT, last))
    yield [emulator.job(job) for job in (last, *children)]


def answers(folder: Path, ask: Callable[[Emulator], Iterator[Any]]) -> list[Any]:
    """What an emulator with an empty database answers."""
    settings.data_dir = folder
    # Rows without an ORDER BY come in one order only from one thread.
    database.execute("SET GLOBAL threads = 1")
    try:
        return list(ask(Emulator()))
    finally:
        forget()


def forget() -> None:
    database.reset()
    for part in (catalog, columns, job_records, own_results, resources, table_facts, translations):
        part.reset()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    monkeypatch.setenv("HOME", "")
    use_home(ROOT / ".cache" / "duckdb-home", [*EXTENSIONS, "ducklake"])  # which local-bigquery itself keeps projects in
    monkeypatch.setattr(settings, "data_dir", tmp_path / "ours")
    monkeypatch.setattr(settings, "default_project_id", PROJECT)
    yield monkeypatch
    forget()


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the launcher does it, and undone at the end."""
    for owner, name in REPLACED:
        monkeypatch.setattr(owner, name, getattr(owner, name))
    files.install()
    catalog.install(database.connection())
    for part in (resources, columns, partitions, job_records, translations, statements, values, query_jobs, own_results):
        part.install()


@pytest.mark.parametrize("ask", [our_statements, changes, scripts, records])
def test_the_answers_are_those_of_the_original(
    environment: pytest.MonkeyPatch, tmp_path: Path, ask: Callable[[Emulator], Iterator[Any]]
) -> None:
    expected = answers(tmp_path / "original", ask)
    settings.data_dir = tmp_path / "ours"
    install(environment)
    found = answers(tmp_path / "ours", ask)
    assert len(found) == len(expected)
    assert refusals(found) < len(found)
    for ours, original in zip(found, expected, strict=True):
        assert ours == original


@pytest.mark.parametrize("ask", [our_statements, scripts])
def test_the_answers_are_the_same_from_what_another_emulator_kept(
    environment: pytest.MonkeyPatch, tmp_path: Path, ask: Callable[[Emulator], Iterator[Any]]
) -> None:
    """What is kept on disk: nothing of it is parsed or translated again, and it is right for another database."""
    install(environment)
    environment.setattr(shelf, "LEAST_SECONDS", 0.0)
    shelf.install(tmp_path)
    try:
        expected = answers(tmp_path / "first", ask)
        statements.reset()
        values.reset()
        translated: list[str] = []
        translate_text: Callable[..., Any] = translations._translate

        def counted(tree: Any, context: Context) -> Any:
            translated.append(tree.sql())
            return translate_text(tree, context)

        environment.setattr(translations, "_translate", counted)
        assert answers(tmp_path / "second", ask) == expected
        environment.setattr(shelf, "_folder", tmp_path / "none")
        statements.reset()
        values.reset()
        with_shelf = len(translated)
        assert answers(tmp_path / "third", ask) == expected
        assert with_shelf < len(translated) - with_shelf
    finally:
        shelf.reset()


def test_what_cannot_be_read_from_disk_is_parsed(tmp_path: Path) -> None:
    shelf.install(tmp_path)
    try:
        for key in ("text", ("text", frozenset({"a", "b"}))):
            assert shelf.find("script", key) is None
            shelf.keep("script", key, ["value"], seconds=0.0)
            assert shelf.find("script", key) is None, "not worth a file"
            shelf.keep("script", key, ["value"], seconds=1.0)
            assert (shelf.find("script", key), shelf.find("other", key)) == (["value"], None)
        for path in tmp_path.glob("statements/*/*"):
            path.write_bytes(b"cut sho")
        assert shelf.find("script", "text") is None
    finally:
        shelf.reset()


def test_a_known_text_is_translated_once_and_to_the_same_sql(environment: pytest.MonkeyPatch) -> None:
    """Every statement of ours that is one; scripts are made of such."""
    install(environment)
    originals: list[str] = []

    def counted(tree: Any, context: Context) -> Any:
        originals.append(tree.sql())
        return translate.translate(tree, context)

    def translated(block: Block, kept: Any) -> Any:
        given = [
            QueryParameter.model_validate(to_parameter(name, kind, value(kind, 0)).to_api_repr()) for name, kind in block.params.items()
        ]
        context = Context(PROJECT, "control", *params.bind(given))
        return kept(statements.outlines(block.sql)[0], context), context.referenced, context.used

    environment.setattr(translations, "_translate", counted)
    assert refusals(list(our_tables(Emulator()))) == 0
    known = 0
    for block in our_blocks():
        if not block.is_script:
            originals.clear()
            # The first time it is local-bigquery's own.
            original, kept = [translated(block, translations.kept_translate) for _ in range(2)]
            assert kept == original
            known += len(originals) == 1
    assert known > 30


def test_a_text_is_translated_once_for_all_datasets(environment: pytest.MonkeyPatch) -> None:
    """Where their tables are alike, the other dataset's name is put in; where they are not, it is translated anew."""
    install(environment)
    translated: list[str] = []

    def counted(tree: Any, context: Context) -> Any:
        translated.append(context.dataset_id or "")
        return translate.translate(tree, context)

    environment.setattr(translations, "_translate", counted)
    emulator = Emulator()
    texts = ("INSERT INTO t (a, b) VALUES (1, 'x')", "UPDATE t SET b = 'of a' WHERE a = 1", "SELECT t.* FROM t WHERE a = 1 AND b > 'a'")
    for dataset, fields in {"one": "a INT64, b STRING", "two": "a INT64, b STRING", "three": "a STRING, b STRING"}.items():
        emulator.sql(f"CREATE SCHEMA {dataset}; CREATE TABLE {dataset}.t ({fields})")
    translated.clear()
    rows = {(name, times): [emulator.sql(text, name)[0] for text in texts][-1]["rows"] for times in (1, 2) for name in ("one", "two")}
    assert {of: len(found) for of, found in rows.items()} == {("one", 1): 1, ("two", 1): 1, ("one", 2): 2, ("two", 2): 2}
    assert translated == ["one"] * 3
    assert refusals([emulator.sql(texts[-1], name)[0] for name in ("three", "missing", "one")]) == 2
    emulator.sql("ALTER TABLE two.t ADD COLUMN c INT64")
    assert [len(emulator.sql(texts[-1], name)[0]["schema"]["fields"]) for name in ("one", "two")] == [2, 3]


def test_a_text_is_translated_once_for_all_staging_tables(environment: pytest.MonkeyPatch) -> None:
    """Where they are alike but for random ids in their names, the ids are put in."""
    install(environment)
    translated: list[str] = []

    def counted(tree: Any, context: Context) -> Any:
        translated.append(tree.sql())
        return translate.translate(tree, context)

    environment.setattr(translations, "_translate", counted)
    emulator, one, two, other = Emulator(), *(f"t_{str(uuid.uuid4()).replace('-', '_')}_1" for _ in range(3))
    made = [emulator.sql("CREATE SCHEMA d")]
    for name, fields in {one: "a INT64, b STRING", two: "a INT64, b STRING", other: "a STRING, b STRING"}.items():
        made.append(emulator.sql(f"CREATE TABLE d.{name} ({fields})"))
    translated.clear()
    texts = ("INSERT INTO {0} (a, b) VALUES (1, '{0}')", "SELECT x.b, y.b AS c FROM {0} AS x JOIN {1} AS y ON x.a = y.a")
    made += [emulator.sql(texts[0].format(name), "d") for name in (one, two)]
    for pair in ((one, two), (two, one), (one, two)):
        found, *_ = emulator.sql(texts[1].format(*pair), "d")
        assert [value["v"] for value in found["rows"][0]["f"]] == list(pair)
    assert len(translated) == 2
    assert refusals(made) == 0
    assert refusals([emulator.sql(texts[1].format(one, other), "d")]) == 1


def test_a_scripts_values_are_translated_once(environment: pytest.MonkeyPatch) -> None:
    """They are worked out anew, over the tables and variables as they are then."""
    install(environment)
    emulator, translated = Emulator(), list[str]()

    def counted(tree: Any, context: Context) -> Any:
        translated.append(tree.sql())
        return translate.translate(tree, context)

    environment.setattr(translations, "_translate", counted)
    made = [emulator.sql(text) for text in ("CREATE SCHEMA d", "CREATE TABLE d.t (a INT64)")]
    text = "DECLARE most INT64 DEFAULT 0; INSERT INTO t (a) VALUES (1); SET most = most + (SELECT COUNT(*) FROM t); SELECT most"
    found = [emulator.sql(text, "d") for _ in range(3)]
    assert refusals(made + found) == 0
    assert [answer["rows"][0]["f"][0]["v"] for answer, *_ in found] == ["1", "2", "3"]
    assert len([sql for sql in translated if "COUNT" in sql]) == 1


def test_a_table_that_expires_is_known_until_then(environment: pytest.MonkeyPatch) -> None:
    """Made again with the same columns it is the same; nothing is stored at the moment when it expires."""
    install(environment)
    emulator, translated = Emulator(), list[str]()

    def counted(tree: Any, context: Context) -> Any:
        translated.append(tree.sql())
        return translate.translate(tree, context)

    def made_and_read() -> list[Any]:
        reference = {"projectId": PROJECT, "datasetId": "d", "tableId": "t"}
        table = {"tableReference": reference, "schema": {"fields": [{"name": "a", "type": "INTEGER"}]}, "expirationTime": LATE}
        made = emulator.call(lambda: tables_api.insert_table(PROJECT, "d", Table.model_validate(table)))
        return [made, emulator.sql("SELECT a FROM t", "d"), emulator.sql("SELECT a FROM t", "d")]

    environment.setattr(translations, "_translate", counted)
    assert refusals([emulator.sql("CREATE SCHEMA d"), *made_and_read()]) == 0
    assert refusals([emulator.call(lambda: tables_api.delete_table(PROJECT, "d", "t")), *made_and_read()]) == 0
    assert translated.count("SELECT a FROM t") == 1
    environment.setattr(metadata, "now", lambda: LATE)
    assert refusals([emulator.sql("SELECT a FROM t", "d")]) == 1


def test_threads_see_what_has_changed(environment: pytest.MonkeyPatch) -> None:
    """A column that was added before a statement began is among its columns, whatever other caller runs the same text."""
    install(environment)
    emulator = Emulator()
    made = [emulator.sql(text) for text in ("CREATE SCHEMA d", "CREATE TABLE d.t (c0 INT64)", "INSERT INTO d.t (c0) VALUES (1)")]
    assert refusals(made) == 0

    def width(number: int) -> int:
        body = {"query": "SELECT * FROM d.t", "requestId": f"thread{number}", "timeoutMs": 60_000}
        return len(json.loads(jobs_api.run_query(PROJECT, QueryRequest.model_validate(body)).body)["schema"]["fields"])

    with ThreadPoolExecutor(4) as pool:
        for added in range(1, 6):
            emulator.sql(f"ALTER TABLE d.t ADD COLUMN c{added} STRING")
            assert list(pool.map(width, range(added * 10, added * 10 + 8))) == [added + 1] * 8


def test_a_tables_rows_are_counted(environment: pytest.MonkeyPatch) -> None:
    """Those that are there now, whatever has been changed and deleted before."""
    install(environment)
    emulator, found = Emulator(), list[str | None]()
    texts = (
        "CREATE SCHEMA d; CREATE TABLE d.t (a INT64)",
        "INSERT INTO d.t (a) SELECT n FROM UNNEST([1, 2, 3]) AS n",
        "UPDATE d.t SET a = a + 1 WHERE a > 1",
        "DELETE FROM d.t WHERE a > 3",
        "BEGIN TRANSACTION; DELETE FROM d.t WHERE TRUE; ROLLBACK TRANSACTION",
        "BEGIN TRANSACTION; DELETE FROM d.t WHERE a > 1; INSERT INTO d.t (a) VALUES (7), (8), (9); COMMIT TRANSACTION",
    )
    for text in texts:
        assert refusals([emulator.sql(text)]) == 0, text
        found.append(tables_api.get_table(PROJECT, "d", "t").numRows)
    assert found == ["0", "3", "3", "2", "2", "4"]


def test_jobs_and_results_outlive_the_process(environment: pytest.MonkeyPatch) -> None:
    """What was done is in the database: another process finds it there."""
    install(environment)
    emulator = Emulator()
    with job_records.writing():
        before = emulator.sql("SELECT 1 AS a; SELECT 2 AS b")
    for part in (catalog, columns, job_records, own_results, resources, table_facts, translations):
        part.reset()
    page = jobs_api.get_query_results(PROJECT, "job1", 2, None, 1, 60_000, int64_timestamps=True)
    assert [emulator.call(lambda: json.loads(page.body)), emulator.job("job1")] == before[1:]
    assert emulator.job("script_job_job1_1")["statistics"]["query"]["statementType"] == "SELECT"


def test_old_results_are_dropped_and_their_room_is_used_again(environment: pytest.MonkeyPatch) -> None:
    """Those that were read to their end after an hour, the others after a day; also those of an earlier process."""
    install(environment)
    emulator, hour, day = Emulator(), expired_results.READ_SECONDS, expired_results.KEPT_SECONDS
    columns_, now = ", ".join(f"'text' AS c{number}" for number in range(10)), time.time()

    def used() -> int:
        database.execute("CHECKPOINT emulator")
        ((blocks,),) = database.fetch("SELECT used_blocks FROM pragma_database_size() WHERE database_name = 'emulator'")
        return int(blocks)

    def rows_of(number: int) -> Any:
        page = emulator.call(lambda: json.loads(jobs_api.get_query_results(PROJECT, f"job{number}", 9, None, 0, 60_000, True).body))
        return page.get("rows", page)

    before = used()
    for number in range(1, 41):
        emulator.answer(f"SELECT {columns_}, n FROM UNNEST([1, 2, 3]) AS n", "control", **({"maxResults": 1} if number > 30 else {}))
    grown = used()
    assert expired_results.drop_old(now + hour - 1) == 0
    assert len(rows_of(1)) == 3

    assert expired_results.drop_old(time.time() + hour) == 30
    assert "error" in rows_of(2)
    assert used() - before < (grown - before) / 2

    # As another process finds them.
    job_records.write_down()
    expired_results.ages.reset()
    expired_results.note_earlier()
    assert expired_results.drop_old(time.time() + day - 60) == 0
    assert len(rows_of(40)) == 3
    assert expired_results.drop_old(time.time() + day) == 10
    assert database.fetch("SELECT 1 FROM duckdb_tables() WHERE schema_name = '_results'") == []


def test_old_records_of_jobs_are_dropped(environment: pytest.MonkeyPatch) -> None:
    """Those of six months ago, and those before so many others; what is known is found as before, what is gone is not."""
    install(environment)
    emulator, now, filled = Emulator(), time.time(), 2_000
    year_ago = now - 365 * 24 * 3600

    def is_known(job: str) -> bool:
        return "error" not in emulator.job(job)

    known = emulator.sql("SELECT 1 AS a")
    job_records.write_down()
    database.execute(
        "INSERT INTO emulator.jobs SELECT ?, 'old' || n, NULL, 'DONE', ? + n, (SELECT resource FROM emulator.jobs) FROM range(?) AS r(n)",
        [PROJECT, round(year_ago * 1000), filled],
    )
    job_records.reset()
    assert job_records.drop_old(year_ago) == 0
    assert job_records.drop_old(year_ago, most=filled // 2) == filled // 2 + 1
    assert [is_known(f"old{number}") for number in (0, filled // 2, filled // 2 + 1)] == [False, False, True]
    assert job_records.drop_old(now) == filled // 2 - 1
    assert not is_known(f"old{filled - 1}")
    job_records.reset()
    assert emulator.job("job1") == known[-1]


def test_the_data_of_an_earlier_version_is_refused(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is stored beside it would say that there are tables."""
    assert refusals([Emulator().sql("CREATE SCHEMA d; CREATE TABLE d.t (a INT64)")]) == 0
    # As a process ends, and another begins.
    database.connection().close()
    database._connect.cache_clear()
    database._attached.clear()
    with pytest.raises(files.EarlierVersion, match=f"{tmp_path / 'ours'} has been written by an earlier version: remove it"):
        install(environment)


def test_a_project_keeps_the_blocks_that_it_was_made_with(environment: pytest.MonkeyPatch) -> None:
    """DuckDB opens it with no other size, and another version may have made it."""
    environment.setattr(files, "OPTIONS", "(STORAGE_VERSION 'latest', BLOCK_SIZE 16384)")
    install(environment)
    assert refusals([Emulator().sql("CREATE SCHEMA d; CREATE TABLE d.t (a INT64); INSERT INTO d.t (a) VALUES (7)")]) == 0
    database.connection().close()
    database._connect.cache_clear()
    database._attached.clear()
    environment.setattr(files, "OPTIONS", f"(STORAGE_VERSION 'latest', BLOCK_SIZE {files.BLOCK_BYTES})")
    assert database.fetch("SELECT a FROM here.d.t") == [(7,)]


def test_of_two_transactions_that_mutate_a_table_the_later_fails(environment: pytest.MonkeyPatch) -> None:
    """Also if they leave all rows as they are; those that only insert are no conflict."""
    install(environment)
    assert refusals([Emulator().sql("CREATE SCHEMA d; CREATE TABLE d.t (a INT64); INSERT INTO d.t (a) VALUES (1)")]) == 0
    lock, insert, none = "UPDATE here.d.t SET a = a", "INSERT INTO here.d.t VALUES (2)", "UPDATE here.d.t SET a = a WHERE a = 99"

    def conflict(first: str, second: str, *, in_transaction: bool = True) -> bool:
        with database.cursor() as one, database.cursor() as two:
            one.execute("BEGIN")
            one.execute(first)
            if in_transaction:
                two.execute("BEGIN")
            two.execute(second)
            if in_transaction:
                two.execute("COMMIT")
            try:
                one.execute("COMMIT")
            except duckdb.TransactionException as error:
                return "Failed to commit" in str(error)
        return False

    cases = [(lock, lock), (lock, insert), (insert, lock), (insert, insert), (lock, none), (none, lock)]
    assert [case for case in cases if conflict(*case)] == [(lock, lock)]
    assert [case for case in cases if conflict(*case, in_transaction=False)] == [(lock, lock)]


def test_when_a_table_was_made_and_changed_is_known_to_the_next_process(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """If this one ends in order; if not, it counts as changed when the next began."""
    install(environment)
    emulator = Emulator()
    for text in ("CREATE SCHEMA d", "CREATE TABLE d.t AS SELECT 1 AS a", "CREATE TABLE d.gone (a INT64)", "DROP TABLE d.gone"):
        assert refusals([emulator.sql(text)]) == 0
    known = (PROJECT, "d", "t")
    before = commits.created(*known), commits.modified(*known)
    assert before[0] <= before[1]
    commits.save(tmp_path)
    for expected in (before, (commits._began, commits._began)):
        commits.reset()
        commits.load(tmp_path)
        assert (commits.created(*known), commits.modified(*known)) == expected


@pytest.mark.parametrize(
    ("owner", "name", "part"),
    [(script, "translate", translations), (store, "save", job_records), (tabledata, "load", columns)],
)
def test_another_local_bigquery_is_refused(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, part: Any) -> None:
    def other() -> None:
        """Does something else."""

    for replaced, attribute in REPLACED:
        monkeypatch.setattr(replaced, attribute, getattr(replaced, attribute))
    monkeypatch.setattr(owner, name, other)
    with pytest.raises(RuntimeError, match="local-bigquery has changed"):
        part.install()


@pytest.mark.parametrize("part", [columns, partitions, job_records, query_jobs, resources, translations, own_results, files])
def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch, part: Any) -> None:
    monkeypatch.setattr(version, "VERSION", "0.3.1")
    with pytest.raises(RuntimeError, match=r"is that of 0\.3\.1"):
        part.install()
