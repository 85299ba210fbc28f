"""Our own rules on SQL, and what ZetaSQL lets through though BigQuery does not."""

import re
from collections.abc import Iterator

RULES = {
    r"\bINSERT\s+OR\s+(IGNORE|REPLACE|UPDATE)\b": "BigQuery has no INSERT OR ...: guard the insert, or MERGE",
    r"\bTHEN\s+RETURN\b": "BigQuery has no THEN RETURN: read back by the statement's own id",
    r"\bRETURNING\b": "BigQuery has no RETURNING: read back by the statement's own id",
    r"\bSELECT\s+(DISTINCT\s+)?(\w+\.)?\*": "SELECT * changes when a table does: name the columns",
    r"[{}]": "no templating: values come in as @params, tables as bare names",
}
# Strings and comments, which no rule is about.
_QUIET = re.compile(r"""r?'''.*?'''|r?\"\"\".*?\"\"\"|r?'(?:\\.|[^'\\\n])*'|r?"(?:\\.|[^"\\\n])*"|--[^\n]*|\#[^\n]*|/\*.*?\*/""", re.DOTALL)


def broken_rules(sql: str) -> Iterator[tuple[int, str]]:
    """Line (from 1) and message of each break of a rule."""
    bare = _QUIET.sub(lambda match: "\n" * match[0].count("\n") + " ", sql)
    for pattern, message in RULES.items():
        for match in re.finditer(pattern, bare, re.IGNORECASE):
            yield bare.count("\n", 0, match.start()) + 1, message
