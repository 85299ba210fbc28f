"""Composes the checks of staged rows into the script that stages them: its last statement measures the checks, too. So they need no job of
their own, which would take BigQuery a second.

    DECLARE found STRUCT<billing_rows INT64, ...>;     the script of a `bigquery.sql` step
    ...
    SELECT rows_staged, found.billing_rows, CAST(NULL AS STRING) AS missing

    SELECT answer.rows_staged, ..., ARRAY(... FROM (the checks) ...) AS checks
    FROM (the last statement) AS answer

Why it is the same
    - The checks read what is staged after it is committed, as a job after the script does, and nothing changes it meanwhile: the staging
      table is the run's own. They are measured once more if the script is sent again, of the same rows.
    - The checks compare with an output of the step. In the script this is the variable from which the output is selected: the same value.
    - Each table is read by as many statements as before, so it is charged as often.
    - A failed check does not fail the statement. The answer has the check's result, and the steps are judged one after the other, see
      `Checks.run_both`. If data is `missing`, the checks of that try mean nothing, and are dropped.
"""

import re
from collections.abc import Iterable
from typing import Final

from services.executor.checks.compose import Composed
from services.platform.bigquery.sql import Block, make_block

CHECKS: Final = "checks"
"""The column with what the checks have measured: an array of their rows."""
_TEXT: Final = re.compile(r"--[^\n]*|'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\"")
"""Comments and literals."""


def checked_script(script: Block, columns: Iterable[str], checks: Composed) -> Block | None:
    """The script with the checks in its last statement. `columns`: of this statement, with the outputs of the step that the script belongs
    to. None if the checks need one of them that the statement does not select as `found.{name}`.
    """
    columns = list(columns)
    bare = _TEXT.sub(lambda text: " " * len(text[0]), script.sql).rstrip().removesuffix(";")
    end = bare.rfind(";") + 1
    last, query, params = script.sql[end : len(bare)], checks.block.sql.rstrip().removesuffix(";"), dict(checks.block.params)
    for name in set(columns) & params.keys():
        if not re.search(rf"(?:\bSELECT|,)\s+found\.{name}\s*(?:,|$)", bare[end:]):
            return None
        query = _replaced(query, f"@{name}", f"found.{name}")
        del params[name]
    sql = f"""{script.sql[:end]}
SELECT {", ".join(f"answer.{name}" for name in columns)}, ARRAY(
  SELECT AS STRUCT {", ".join(f"measured.{name}" for name in checks.columns)}
  FROM (
{query}
  ) AS measured) AS {CHECKS}
FROM (
{last.strip()}
) AS answer"""
    return make_block(f"{script.name}_with_checks", sql, {**script.params, **params}, script.line)


def _replaced(sql: str, old: str, new: str) -> str:
    """Outside of comments and literals."""
    return re.sub(rf"{re.escape(old)}\b|{_TEXT.pattern}", lambda match: new if match[0] == old else match[0], sql)
