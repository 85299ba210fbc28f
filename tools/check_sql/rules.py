"""Our own rules for SQL, and cases that ZetaSQL accepts but BigQuery does not."""

import re
from collections.abc import Iterator

RULES = {
    r"\bINSERT\s+OR\s+(IGNORE|REPLACE|UPDATE)\b": "BigQuery has no INSERT OR ...: guard the insert, or MERGE",
    r"\bTHEN\s+RETURN\b": "BigQuery has no THEN RETURN: read back by the statement's own id",
    r"\bRETURNING\b": "BigQuery has no RETURNING: read back by the statement's own id",
    r"\b\w+\.(\w+)\s*(?:=|!=|<>|<=?|>=?)\s*\1\b(?!\s*[.(])": (
        "a bare name beside a column of the same name may be that very column, as of a STRUCT that UNNEST opens: give it another name"
    ),
    r"[{}]": "no templating: values come in as @params, tables as bare names",
}
STAR = "SELECT * changes when a table does: name the columns"
_STAR = re.compile(r"\bSELECT\s+(?:DISTINCT\s+)?(?:(\w+)\.)?\*", re.IGNORECASE)
# Strings and comments, to which no rule applies.
_QUIET = re.compile(r"""r?'''.*?'''|r?\"\"\".*?\"\"\"|r?'(?:\\.|[^'\\\n])*'|r?"(?:\\.|[^"\\\n])*"|--[^\n]*|\#[^\n]*|/\*.*?\*/""", re.DOTALL)


def broken_rules(sql: str) -> Iterator[tuple[int, str]]:
    """Line (from 1) and message of each violation."""
    bare = _QUIET.sub(lambda match: "\n" * match[0].count("\n") + " ", sql)
    for pattern, message in RULES.items():
        for match in re.finditer(pattern, bare, re.IGNORECASE):
            yield bare.count("\n", 0, match.start()) + 1, message
    for match in _STAR.finditer(bare):
        if not _of_a_named_query(match[1], bare, match.end()):
            yield bare.count("\n", 0, match.start()) + 1, STAR


def _of_a_named_query(alias: str | None, sql: str, end: int) -> bool:
    """True if `alias.*`, which ends at `end`, are the columns of a query of the WITH clause, which names its own."""
    source = alias and re.compile(rf"\b(?:FROM|JOIN)\s+(\w+)\s+AS\s+{alias}\b", re.IGNORECASE).search(sql, end)
    return bool(source and re.search(rf"\b{source[1]}\s+AS\s+\(", sql, re.IGNORECASE))
