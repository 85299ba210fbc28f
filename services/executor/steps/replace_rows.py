"""Composes the statement that replaces rows of a table, for scripts in which each statement takes BigQuery a second or two.

A MERGE whose condition is FALSE is BigQuery's own way to say "delete these rows and insert those" ("MERGE statement", "Examples": a
constant false predicate). It joins nothing: the rows that go are found by partition and clustering, as by a DELETE, and it is charged as a
DELETE and an INSERT are together.
"""

from collections.abc import Iterable


def replace_rows(table: str, columns: Iterable[str], rows: str, gone: str) -> str:
    """The statement that deletes the rows `t` of the table for which `gone` holds, and inserts `rows`, a query that returns these columns
    by name.

    `gone` is a condition without subqueries: BigQuery has no correlated ones there ("MERGE statement", "Limitations"). For partitions to be
    pruned, it compares the partitioning column with query parameters.
    """
    columns = list(columns)
    return f"""MERGE INTO {table} AS t
USING (
{rows}
) AS n
ON FALSE
WHEN NOT MATCHED BY SOURCE AND {gone} THEN DELETE
WHEN NOT MATCHED BY TARGET THEN INSERT ({", ".join(columns)}) VALUES ({", ".join(f"n.{name}" for name in columns)});
"""
