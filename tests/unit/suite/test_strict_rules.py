"""The strict proxy's rules, without a proxy and without waiting."""

import json
from contextlib import AbstractContextManager, ExitStack
from threading import Event, Thread

import pytest

from tests.support.strict_bigquery import OUTSTANDING, RATE, RUNNING, Iam, Refused, StrictBigQuery
from tests.support.strict_bigquery.conflicts import Conflicts
from tests.support.strict_bigquery.iam import OWNER, READER, WRITER
from tests.support.strict_bigquery.request import read
from tests.support.strict_bigquery.script import Kind, Statement, parse, tables_dropped, tables_made

UPDATE = "UPDATE t SET a = 1 WHERE TRUE"
INSERT = "INSERT INTO t (a) VALUES (1)"
TRANSACTION = f"BEGIN TRANSACTION; {UPDATE}; COMMIT TRANSACTION;"
PUBLISH = """
DECLARE published BOOL DEFAULT FALSE;  -- UPDATE nothing
INSERT INTO fences (id) SELECT 'DELETE FROM x' WHERE NOT EXISTS (SELECT 1 FROM fences AS f WHERE f.id = 'a');
BEGIN TRANSACTION;
SET earlier = ARRAY(SELECT c.day FROM costs AS c);
DELETE FROM costs WHERE TRUE;
IF (SELECT COUNT(*) FROM costs) = 0 THEN INSERT INTO `p.d2.costs` (a) SELECT 1;
ELSE
  MERGE INTO costs AS c USING (SELECT 1 AS a) AS n ON c.a = n.a WHEN MATCHED THEN UPDATE SET a = 2;
END IF;
UPDATE fences SET done = TRUE WHERE id = 'a';
IF @@row_count = 0 THEN
  ROLLBACK TRANSACTION;
ELSE
  COMMIT TRANSACTION;
  SET published = TRUE;
END IF;
SELECT published
"""


def rules(**changes: object) -> StrictBigQuery:
    return StrictBigQuery(upstream="nowhere", **changes)  # type: ignore[arg-type]


def refusal(proxy: StrictBigQuery, sql: str) -> str:
    with pytest.raises(Refused) as refused, proxy.statement(sql, "d"):
        pass
    return refused.value.message


def test_a_script_is_read_as_the_statements_that_it_runs() -> None:
    assert [(one.kind, one.table) for one in parse(PUBLISH, "d")] == [
        (Kind.INSERT, "d.fences"),
        (Kind.BEGIN, ""),
        (Kind.QUERY, ""),
        (Kind.MUTATION, "d.costs"),
        (Kind.QUERY, ""),
        (Kind.INSERT, "d2.costs"),
        (Kind.MUTATION, "d.costs"),
        (Kind.MUTATION, "d.fences"),
        (Kind.COMMIT, ""),
        (Kind.QUERY, ""),
    ]
    assert parse("", "d") == []
    assert parse("BEGIN; DELETE t WHERE TRUE; COMMIT;", "d")[1] == Statement(kind=Kind.MUTATION, table="d.t")
    assert [one.kind for one in parse("BEGIN UPDATE t SET a = 1 WHERE TRUE; END;", "d")] == [Kind.MUTATION]
    assert tables_made("CREATE TABLE IF NOT EXISTS t (a INT64); CREATE OR REPLACE TABLE d2.u AS SELECT 1", "d") == ["d.t", "d2.u"]
    assert tables_dropped("DROP TABLE IF EXISTS t", "d") == ["d.t"]


def plain(conflicts: Conflicts, table: str) -> None:
    conflicts.start(table)
    conflicts.end(table)


def test_a_transaction_is_cancelled_by_any_statement_that_mutates_its_table_first_meanwhile_or_since_its_begin() -> None:
    conflicts = Conflicts()
    first, second = conflicts.begin(), conflicts.begin()
    conflicts.mutate(first, "t")
    conflicts.mutate(first, "t")
    with pytest.raises(Refused, match="aborted due to concurrent update against table t"):
        conflicts.mutate(second, "t")
    conflicts.mutate(second, "other")
    conflicts.commit(first)
    with pytest.raises(Refused):
        conflicts.mutate(second, "t")  # committed since its BEGIN
    conflicts.roll_back(second)

    third = conflicts.begin()
    conflicts.start("t")
    with pytest.raises(Refused):
        conflicts.mutate(third, "t")  # a plain mutation is under way
    conflicts.end("t")
    with pytest.raises(Refused):
        conflicts.mutate(third, "t")
    fourth = conflicts.begin()
    plain(conflicts, "other")
    conflicts.mutate(fourth, "t")


def test_plain_mutations_wait_for_the_transaction_that_has_mutated_their_table() -> None:
    conflicts = Conflicts()
    transaction = conflicts.begin()
    assert conflicts.has_room("t")
    conflicts.mutate(transaction, "t")
    assert not conflicts.has_room("t")
    assert conflicts.has_room("other")
    conflicts.roll_back(transaction)
    assert conflicts.has_room("t")
    after = conflicts.begin()
    conflicts.mutate(after, "t")  # what was rolled back changed nothing


def test_two_run_twenty_wait_and_one_more_is_refused() -> None:
    proxy, done = rules(rate=1000), Event()

    def mutate() -> None:
        with proxy.statement(UPDATE, "d"):
            done.wait(10)

    threads = [Thread(target=mutate) for _ in range(OUTSTANDING)]
    for thread in threads:
        thread.start()
    with proxy._tables:
        proxy._tables.wait_for(lambda: proxy._outstanding["d.t"] == OUTSTANDING, timeout=5)
        assert proxy._tables.wait_for(lambda: proxy._conflicts._running["d.t"] == RUNNING, timeout=5)
        assert len(proxy._waiting["d.t"]) == OUTSTANDING - RUNNING
    assert "outstanding" in refusal(proxy, UPDATE)
    done.set()
    for thread in threads:
        thread.join()


def test_a_transaction_holds_its_tables_until_the_emulator_has_run_it_whatever_follows() -> None:
    """Two that meet must not both be sent on; but a script does not wait for itself."""
    proxy, other = rules(), UPDATE.replace(" t ", " u ")
    with proxy.statement(f"{TRANSACTION} {other}", "d"):
        assert "concurrent update against table d.t" in refusal(proxy, TRANSACTION)
    with proxy.statement(f"{TRANSACTION} {UPDATE}", "d"):
        pass
    with proxy.statement(TRANSACTION, "d"):
        pass


def test_a_plain_mutation_goes_on_when_the_transaction_ends_and_inserts_never_wait() -> None:
    proxy, changed = rules(), Event()

    def mutate() -> None:
        with proxy.statement(UPDATE, "d"):
            changed.set()

    waiting = Thread(target=mutate)
    with proxy.statement(TRANSACTION, "d"):
        waiting.start()
        with proxy._tables:
            assert proxy._tables.wait_for(lambda: len(proxy._waiting["d.t"]) == 1, timeout=5)
        with proxy.statement(INSERT, "d"), proxy.statement("SELECT a FROM t", "d"):
            assert not changed.is_set()
        assert "aborted" in refusal(proxy, TRANSACTION)
    waiting.join()
    assert changed.is_set()
    assert proxy.aborted == {"d.t": 1}
    with proxy.statement(TRANSACTION, "d"):
        pass


@pytest.mark.parametrize(
    ("script", "cancelled_at"),
    [("UPDATE fence SET a = 1; DELETE FROM t", [0.0]), ("DELETE FROM t; UPDATE fence SET a = 1", [0.0, 1.0])],
    ids=["the fence first", "the fence last"],
)
def test_when_a_transaction_first_mutates_a_table_decides_how_long_it_holds_it(script: str, cancelled_at: list[float]) -> None:
    """With the fence last, others may change it until then, and then the transaction is cancelled; nothing runs, but the time is spent."""
    clock = [0.0]
    proxy, other = rules(seconds=(1.0, 1.0)), rules()
    other._conflicts, other._tables = proxy._conflicts, proxy._tables
    transaction: AbstractContextManager[None] = proxy.statement(f"BEGIN TRANSACTION; {script}; COMMIT TRANSACTION", "d")

    def meanwhile(seconds: float) -> None:
        clock[0] += seconds
        if clock[0] == 1.0 and proxy._conflicts.has_room("d.fence"):
            with other.statement("UPDATE fence SET a = 2 WHERE TRUE", "d"):
                pass

    proxy.sleep = meanwhile
    with ExitStack() as stack:
        if len(cancelled_at) > 1:
            with pytest.raises(Refused, match=r"d\.fence"):
                stack.enter_context(transaction)
            assert clock == [1.0]
        else:
            stack.enter_context(transaction)
            assert clock == [2.0]
            assert not proxy._conflicts.has_room("d.fence")
    assert proxy._conflicts.has_room("d.fence")
    assert proxy._conflicts.has_room("d.t")


def test_each_statement_takes_its_time_and_reads_after_the_last_change_come_after_the_emulator() -> None:
    slept: list[float] = []
    proxy = rules(seconds=(1.0, 1.0), sleep=slept.append)
    with proxy.statement(PUBLISH, "d"):
        assert len(slept) == 7
    assert len(slept) == 8


def test_the_26th_statement_in_ten_seconds_is_refused_on_its_table_only() -> None:
    clock = [0.0]
    proxy = rules(now=lambda: clock[0])
    for _ in range(RATE):
        with proxy.statement(INSERT, "d"):
            pass
    assert "too many DML statements" in refusal(proxy, UPDATE)
    with proxy.statement(UPDATE, "other"), proxy.statement("SELECT a FROM t", "d"):
        pass
    clock[0] = 10.0
    with proxy.statement(UPDATE, "d"):
        pass


def test_streamed_rows_are_not_changed_and_a_young_table_swallows_them() -> None:
    clock = [0.0]
    proxy = rules(young_seconds=60.0, now=lambda: clock[0])
    for _ in range(2):
        with proxy.statement("CREATE TABLE IF NOT EXISTS young (a INT64)", "d"):
            pass
        clock[0] += 40.0
    assert proxy.stream("d.young") is True, "made 80 s ago; to make it again if it is not there changes nothing"
    assert "streaming buffer" in refusal(proxy, "UPDATE young SET a = 1 WHERE TRUE")
    with proxy.statement("INSERT INTO young (a) VALUES (1)", "d"):
        pass
    with proxy.statement("DROP TABLE young", "d"):
        pass
    proxy.table_made("d.young")
    assert proxy.stream("d.young") is False
    assert proxy.refused == {"swallowed": 1}
    assert proxy.stream("d.old") is True


def test_every_nth_job_fails_and_every_nth_question_for_a_job_is_not_answered() -> None:
    proxy = rules(job_error_every=2, poll_error_every=3)
    proxy.check_job()
    with pytest.raises(Refused) as job:
        proxy.check_job()
    for _ in range(2):
        proxy.check_poll()
    with pytest.raises(Refused) as poll:
        proxy.check_poll()
    assert (job.value.code, job.value.reason, poll.value.code) == (400, "jobBackendError", 503)


MAKER, WORKER, EDITOR = "maker@p", "worker@p", "editor@p"
JOB = {"query": "SELECT a FROM t", "defaultDataset": {"projectId": "p", "datasetId": "made"}}


def permissions() -> Iam:
    return Iam(roles={MAKER: {"p": {"bigquery.user"}}, WORKER: {"p": {"bigquery.jobUser"}}, EDITOR: {"p": {"bigquery.dataEditor"}}})


def made(access: str) -> bytes:
    return f'{{"datasetReference": {{"projectId": "p", "datasetId": "made"}}{access}}}'.encode()


def query(sql: str, dataset: str = "made") -> bytes:
    return f'{{"query": "{sql}", "defaultDataset": {{"projectId": "p", "datasetId": "{dataset}"}}}}'.encode()


def test_rights_in_a_dataset_are_its_creators_and_who_was_given_them() -> None:
    iam = permissions()
    make, job, tables = "/bigquery/v2/projects/p/datasets", "/bigquery/v2/projects/p/queries", "/projects/p/datasets/made/tables"
    with pytest.raises(Refused, match=r"bigquery\.datasets\.create"):
        read("POST", make, made("")).check(iam, WORKER)
    read("POST", make, made("")).check(iam, EDITOR)
    creation = read("POST", make, made(""))
    creation.check(iam, MAKER)
    creation.apply(iam, MAKER)
    assert iam.access == {"p.made": {MAKER: OWNER}}
    assert iam.creators == {"p.made": MAKER}

    with pytest.raises(Refused, match=r"bigquery\.jobs\.create"):
        read("POST", job, query("SELECT 1")).check(iam, EDITOR)
    for body, permission in (
        (query("SELECT a FROM t"), "tables.getData"),
        (query(UPDATE), "tables.updateData"),
        (query("SELECT a FROM `p.made.t`", dataset="unknown"), "tables.getData"),
    ):
        with pytest.raises(Refused, match=permission):
            read("POST", job, body).check(iam, WORKER)
        read("POST", job, body).check(iam, MAKER)
    load = b'{"configuration": {"load": {"destinationTable": {"projectId": "p", "datasetId": "made", "tableId": "t"}}}}'
    for method, path, body in (
        ("GET", tables, b""),
        ("GET", f"{tables}/t", b""),
        ("POST", tables, b"{}"),
        ("POST", f"{tables}/t/insertAll", b"{}"),
        ("PATCH", "/projects/p/datasets/made", b"{}"),
        ("POST", "/upload/bigquery/v2/projects/p/jobs?uploadType=multipart", b"--x\r\n\r\n" + load + b"\r\n--x--"),
    ):
        with pytest.raises(Refused, match="Access Denied"):
            read(method, path, body).check(iam, WORKER)
        if method != "POST" or "upload" not in path:
            read(method, path, body).check(iam, MAKER)


def test_who_is_granted_access_at_creation_has_it_and_no_other_account() -> None:
    """`access` replaces what BigQuery would have put there: a creator who leaves itself out has no rights."""
    iam = permissions()
    given = made(f', "access": [{{"role": "WRITER", "userByEmail": "{WORKER}"}}, {{"role": "OWNER", "specialGroup": "projectOwners"}}]')
    creation = read("POST", "/projects/p/datasets", given)
    for _ in range(2):
        creation.apply(iam, MAKER)
    for level in (READER, WRITER):
        iam.check_data(WORKER, "p.made", level)
        iam.check_data(EDITOR, "p.made", level)
    for account, level in ((WORKER, OWNER), (MAKER, READER), (EDITOR, OWNER)):
        with pytest.raises(Refused):
            iam.check_data(account, "p.made", level)
    change = read("PATCH", "/projects/p/datasets/made", f'{{"access": [{{"role": "OWNER", "userByEmail": "{MAKER}"}}]}}'.encode())
    change.apply(iam, MAKER)
    iam.check_data(MAKER, "p.made", OWNER)
    read("DELETE", "/projects/p/datasets/made", b"").apply(iam, MAKER)
    iam.check_data(WORKER, "p.made", OWNER)  # the emulator says that it is not there


def test_requests_are_distinguished() -> None:
    stream = read("POST", "/projects/p/datasets/d/tables/t/insertAll", b'{"rows": []}')
    assert (stream.is_stream, stream.full_table, stream.body) == (True, "d.t", {})
    assert read("GET", "/projects/p/queries/job_1?maxResults=0", b"").is_poll
    assert read("GET", "/projects/p/jobs/job_1", b"").is_poll
    assert not read("POST", "/projects/p/jobs/job_1/cancel", b"").is_new_job
    new = read("POST", "/projects/p/jobs", b'{"configuration": {"query": {"query": "SELECT 1", "defaultDataset": {"datasetId": "d"}}}}')
    assert (new.is_new_job, new.sql, new.default_dataset) == (True, "SELECT 1", "p.d")
    assert read("POST", "/projects/p/datasets/d/tables", b'{"tableReference": {"tableId": "t"}}').makes_table
    assert read("GET", "/discovery", b"") == read("GET", "/", b"")


def test_a_role_on_a_table_is_for_that_table_alone() -> None:
    iam = Iam(roles={}, access={"p.d": {}}, tables={WORKER: {"p.d.t": "bigquery.dataEditor"}})
    read("POST", "/bigquery/v2/projects/p/datasets/d/tables/t/insertAll", b"{}").check(iam, WORKER)
    for account, table in ((WORKER, "other"), (MAKER, "t")):
        with pytest.raises(Refused):
            read("POST", f"/bigquery/v2/projects/p/datasets/d/tables/{table}/insertAll", b"{}").check(iam, account)


def test_a_statement_is_allowed_by_roles_on_all_of_its_tables() -> None:
    iam = Iam(roles={WORKER: {"p": {"bigquery.jobUser"}}}, access={"p.d": {}}, tables={WORKER: {"p.d.t": "bigquery.dataEditor"}})

    def insert(table: str) -> bytes:
        sql = f"INSERT INTO {table} (a) SELECT x.a FROM UNNEST(@rows) AS x"
        return json.dumps({"query": sql, "defaultDataset": {"projectId": "p", "datasetId": "d"}}).encode()

    read("POST", "/bigquery/v2/projects/p/queries", insert("t")).check(iam, WORKER)
    with pytest.raises(Refused):
        read("POST", "/bigquery/v2/projects/p/queries", insert("other")).check(iam, WORKER)
