"""A MERGE that replaces rows is a DELETE and an INSERT, in the words that it was written in."""

import pytest
from local_bigquery.sql.translate import parse

from localcloud.bigquery.sql.replacing import Replacing, replaces, replacing

MERGE = """MERGE INTO `d.costs` AS t
USING (
  -- what WHEN and THEN stand in is not the statement's own
  SELECT CASE WHEN a > 1 THEN 'WHEN' ELSE "USING" END AS name, JSON '{"a": 1}' AS json FROM staged AS s
) AS n
ON FALSE
WHEN NOT MATCHED BY SOURCE AND t.day = @day AND CASE WHEN t.a THEN TRUE ELSE FALSE END THEN DELETE
WHEN NOT MATCHED BY TARGET AND n.name != 'x' THEN INSERT (name, json) VALUES (UPPER(n.name), n.json)"""
SHORT = "MERGE costs t USING staged n ON FALSE WHEN NOT MATCHED THEN INSERT (a) VALUES (n.a) WHEN NOT MATCHED BY SOURCE THEN DELETE"
INSERTS, DELETES = "WHEN NOT MATCHED THEN INSERT (a) VALUES (n.a)", "WHEN NOT MATCHED BY SOURCE THEN DELETE"


def test_its_parts_are_cut_from_its_text() -> None:
    [tree] = parse(MERGE)
    assert replaces(tree)
    source = MERGE[MERGE.index("(\n") : MERGE.index("\nON FALSE")]
    assert replacing(MERGE) == Replacing(
        delete="DELETE FROM `d.costs` AS t\nWHERE t.day = @day AND CASE WHEN t.a THEN TRUE ELSE FALSE END",
        insert=f"INSERT INTO `d.costs` (name, json)\nSELECT UPPER(n.name), n.json\nFROM {source}\nWHERE n.name != 'x'",
    )


def test_in_any_order_and_without_what_may_be_left_out() -> None:
    assert replaces(parse(SHORT)[0])
    assert replacing(SHORT) == Replacing(
        delete="DELETE FROM costs t\nWHERE TRUE", insert="INSERT INTO costs (a)\nSELECT n.a\nFROM staged n\nWHERE TRUE"
    )


@pytest.mark.parametrize(
    "sql",
    [
        f"MERGE costs AS t USING staged AS n ON t.a = n.a {INSERTS} {DELETES}",
        f"MERGE costs AS t USING staged AS n ON FALSE {INSERTS}",
        f"MERGE costs AS t USING staged AS n ON FALSE {INSERTS} {DELETES} WHEN NOT MATCHED BY SOURCE THEN UPDATE SET a = 1",
        f"MERGE costs AS t USING staged AS n ON FALSE {INSERTS} WHEN NOT MATCHED BY SOURCE THEN UPDATE SET a = 1",
        f"MERGE costs AS t USING staged AS n ON FALSE WHEN NOT MATCHED THEN INSERT ROW {DELETES}",
        f"MERGE costs AS t USING (SELECT c.a FROM d.Costs AS c) AS n ON FALSE {INSERTS} {DELETES}",
        "DELETE FROM costs WHERE TRUE",
    ],
)
def test_no_other_statement_is_taken_apart(sql: str) -> None:
    """Of the last MERGE, the rows that are inserted depend on those that are deleted."""
    assert not replaces(parse(sql)[0])
