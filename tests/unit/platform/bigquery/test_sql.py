"""Named blocks and typed parameters."""

import pytest

from services.platform.bigquery.query_parameters import AGAIN, note_again, query_config, struct_fields, to_parameter
from services.platform.bigquery.sql import make_block, parse_blocks

TEXT = """-- What this file is.

-- name: claim
-- Why it is safe.
-- param: ids ARRAY<STRING>
-- param: now TIMESTAMP
UPDATE queue AS q SET state = 'FROM nowhere' -- FROM nothing
FROM (SELECT r.id FROM runs AS r JOIN tenants AS t ON t.id = r.tenant) AS g
WHERE q.id = g.id

-- name: look
SELECT 1 AS one
"""


def test_a_file_is_a_sequence_of_blocks() -> None:
    blocks = parse_blocks(TEXT, "queries.sql")
    assert list(blocks) == ["claim", "look"]
    assert blocks["claim"].params == {"ids": "ARRAY<STRING>", "now": "TIMESTAMP"}
    assert blocks["claim"].line == 7
    assert (blocks["claim"].written, blocks["claim"].read) == (("queue",), ("runs", "tenants"))
    assert blocks["look"].sql == "SELECT 1 AS one"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("SELECT 1", "q:1: SQL before"),
        ("-- name: a\n", "q:1: block a has no SQL"),
        ("-- name: a\nX\n-- name: a\nY", "q:3: block a occurs twice"),
    ],
)
def test_what_is_no_block_is_named_by_line(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_blocks(text, "q")


def test_a_script_counts_each_of_its_statements() -> None:
    block = make_block("s", "BEGIN TRANSACTION; UPDATE a SET x = 1 WHERE TRUE; INSERT INTO b (x) SELECT x FROM c; COMMIT TRANSACTION;", {})
    assert (block.written, block.read) == (("a", "b"), ("c",))


def test_a_table_counts_in_each_statement_that_names_it_on_the_way_that_commits() -> None:
    block = make_block(
        "s",
        """
        DECLARE n INT64 DEFAULT (SELECT COUNT(*) FROM c);
        BEGIN TRANSACTION;
        INSERT INTO a (x) SELECT x FROM c WHERE x NOT IN (SELECT x FROM a);
        IF @@row_count = 0 THEN
          ROLLBACK TRANSACTION;
          SET n = (SELECT COUNT(*) FROM d);
        ELSE
          COMMIT TRANSACTION;
        END IF;
        SELECT n, x FROM a
        """,
        {},
    )
    assert (block.written, block.read) == (("a",), ("c", "c", "a"))


@pytest.mark.parametrize(
    ("sql", "billed"),
    [
        ("INSERT INTO a (x) SELECT x FROM UNNEST(@xs) AS x", ()),
        ("INSERT INTO a (x) SELECT x FROM c", ("c",)),
        ("INSERT INTO a (x) SELECT x FROM c WHERE x NOT IN (SELECT x FROM a)", ("a", "c")),
        ("UPDATE a SET x = 1 WHERE y IN (SELECT y FROM c JOIN b ON TRUE)", ("a", "b", "c")),
        ("DELETE FROM a WHERE TRUE", ("a",)),
        (
            "MERGE INTO a USING (SELECT x FROM c) AS n ON FALSE WHEN NOT MATCHED BY SOURCE THEN DELETE WHEN NOT MATCHED THEN INSERT ROW",
            ("a", "c"),
        ),
        ("MERGE a USING b ON a.x = b.x WHEN MATCHED THEN UPDATE SET x = 1 WHEN NOT MATCHED THEN INSERT ROW", ("a", "b")),
        ("DELETE FROM a WHERE TRUE; SELECT x FROM a; SELECT 1 AS x", ("a", "a")),
        ("IF @n = 0 THEN DELETE FROM a WHERE TRUE; ELSE SELECT 1 AS x; END IF", ("a",)),
        ("-- seldom: the first time\nIF @n = 0 THEN DELETE FROM a WHERE TRUE; SELECT x FROM b; END IF; SELECT x FROM c", ("c",)),
    ],
)
def test_what_a_statement_reads_or_rewrites_is_charged_but_not_what_it_only_appends_to(sql: str, billed: tuple[str, ...]) -> None:
    block = make_block("s", sql, {})
    assert (block.billed, block.references) == (billed, len(billed))


def test_a_branch_that_a_parameter_opens_is_charged_with_it() -> None:
    block = make_block(
        "s",
        """
        UPDATE a SET x = 1 WHERE TRUE;
        -- only with @marks: the others have none
        IF ARRAY_LENGTH(@marks) > 0 THEN
          DELETE FROM b WHERE TRUE;
          INSERT INTO b (x) SELECT x FROM UNNEST(@marks) AS x;
        END IF;
        SELECT x FROM c
        """,
        {"marks": "ARRAY<STRING>"},
    )
    assert (list(block.charged({"marks": []})), list(block.charged({"marks": ["m"]}))) == (["a", "c"], ["a", "c", "b"])
    assert (block.references, block.written) == (3, ("a", "b", "b"))


def test_parameters_carry_the_declared_types() -> None:
    parameter = to_parameter("rows", "ARRAY<STRUCT<id STRING, tags ARRAY<STRING>, n INT64>>", [{"id": "a", "tags": ["x"], "n": 1}])
    api = parameter.to_api_repr()
    assert api["parameterType"]["arrayType"]["type"] == "STRUCT"
    assert api["parameterValue"]["arrayValues"][0]["structValues"]["n"] == {"value": "1"}
    assert struct_fields("a STRING, b ARRAY<STRUCT<c INT64, d DATE>>") == {"a": "STRING", "b": "ARRAY<STRUCT<c INT64, d DATE>>"}


def test_a_value_that_does_not_fit_is_refused() -> None:
    with pytest.raises(TypeError):
        to_parameter("ids", "ARRAY<STRING>", "abc")


@pytest.mark.parametrize("days", [[], [{"day": "2026-01-01", "rows": 2}]])
def test_a_job_that_follows_another_one_differs_in_one_parameter(days: list[object]) -> None:
    """Also with an empty array of structs, which Google's library does not read from a configuration."""
    block = make_block("publish", "SELECT 1", {"days": "ARRAY<STRUCT<day STRING, rows INT64>>", AGAIN: "BOOL"})
    params = {"days": days, AGAIN: False}
    first, second = (query_config(block, params, "p.d", {}) for _ in range(2))
    note_again(first, block, params, is_again=False)
    note_again(second, block, params, is_again=True)

    def sent(config: object) -> dict[str, object]:
        return {one["name"]: one for one in config.to_api_repr()["query"]["queryParameters"]}  # type: ignore[attr-defined]

    assert [sent(one)[AGAIN]["parameterValue"]["value"] for one in (first, second)] == ["false", "true"]  # type: ignore[index]
    assert sent(first)["days"] == sent(second)["days"]
