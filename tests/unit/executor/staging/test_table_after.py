"""SQL that reads a table as a publish beside it will leave it."""

import pytest

from services.executor.staging.table_after import TableAfter, read_after
from services.platform.bigquery.sql import make_block

COSTS = TableAfter(name="costs", query="SELECT n.day FROM staged AS n", params={"day_reads": "ARRAY<DATE>"})


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT c.day FROM costs AS c", "SELECT c.day FROM (\nSELECT n.day FROM staged AS n\n) AS c"),
        (
            "SELECT 1 FROM other AS o\njoin costs as c ON TRUE",
            "SELECT 1 FROM other AS o\njoin (\nSELECT n.day FROM staged AS n\n) as c ON TRUE",
        ),
        ("SELECT 'FROM costs AS c' -- FROM costs AS c\nFROM other AS o", None),
        ("SELECT c.day FROM costs_of_others AS c", None),
        (r"SELECT 'it\'s costs', r'\bcosts' FROM other AS o", None),
    ],
)
def test_a_subquery_stands_in_the_tables_place(sql: str, expected: str | None) -> None:
    """Comments, literals and longer names stay; a block that does not read the table stays as it is."""
    block = make_block("look", sql, {"date": "DATE"}, line=7)
    found = read_after(block, [COSTS])
    if expected is None:
        assert found is block
    else:
        params = {"date": "DATE", "day_reads": "ARRAY<DATE>"}
        assert (found.name, found.sql, found.params, found.line) == ("look", expected, params, 7)
        assert "staged" in found.read
        assert "costs" not in found.read


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT costs.day FROM costs",
        "SELECT 1 FROM other AS o, costs AS c",
        "SELECT c.day FROM costs AS c WHERE costs.day IS NULL",
        "DELETE FROM costs AS c WHERE TRUE",
        "INSERT INTO costs (day) SELECT o.day FROM other AS o",
    ],
)
def test_what_cannot_be_replaced_is_refused(sql: str) -> None:
    with pytest.raises(ValueError, match="SQL can only name it in `FROM costs AS alias`"):
        read_after(make_block("look", sql, {}), [COSTS])


def test_a_parameter_has_one_type() -> None:
    with pytest.raises(ValueError, match="block look declares @day_reads STRING, which is ARRAY<DATE> in costs"):
        read_after(make_block("look", "SELECT c.day FROM costs AS c", {"day_reads": "STRING"}), [COSTS])
