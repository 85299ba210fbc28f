"""Runs a MERGE that replaces rows as a DELETE and an INSERT. Their translations are kept, as for all other statements.

local-bigquery's MERGE numbers the source's rows in a temporary table, joins them with the target's rows and translates six statements each
time. This is right for any MERGE, but many times the work for this one, which joins nothing.
"""

import threading
from collections.abc import Callable
from typing import Any

import duckdb
from local_bigquery.jobs import merge
from local_bigquery.models import JobStatistics2
from local_bigquery.sql.translate import Context
from sqlglot import exp

from localcloud.bigquery.sql import translations
from localcloud.bigquery.sql.replacing import Replacing, replacing
from localcloud.bigquery.sql.statements import TEXT, Kept, Text, outlines, with_ids
from localcloud.bigquery.version import require_known_version

_run: Callable[[Any, exp.Expression, Context], JobStatistics2] = merge.run
_lock = threading.Lock()
_kept: Kept[tuple[tuple[str, ...], Replacing]] = Kept()
"""Key: the text without its random ids. Value: the ids that the statements have, and the statements."""


def install() -> None:
    """Replaces `merge.run`. RuntimeError if local-bigquery is not the known version."""
    require_known_version()
    merge.run = run


def run(cursor: Any, tree: exp.Expression, context: Context) -> JobStatistics2:
    """`merge.run`."""
    text: Text | None = tree.meta.get(TEXT)
    if text is None:
        return _run(cursor, tree, context)
    parts = _parts(text)
    try:
        cursor.execute("BEGIN")
        is_own = True
    except duckdb.TransactionException:
        is_own = False
    try:
        deleted, inserted = (_rows(cursor, part, context) for part in (parts.delete, parts.insert))
    except Exception:
        if is_own:
            cursor.execute("ROLLBACK")
        raise
    if is_own:
        cursor.execute("COMMIT")
    counts = {"insertedRowCount": inserted, "updatedRowCount": 0, "deletedRowCount": deleted}
    return JobStatistics2(numDmlAffectedRows=str(inserted + deleted), dmlStats={name: str(count) for name, count in counts.items()})


def _parts(text: Text) -> Replacing:
    with _lock:
        known = _kept.get(text.of_any_ids)
    if known is None:
        known = text.ids, replacing(text.text)
        with _lock:
            _kept.keep(text.of_any_ids, known)
    ids, parts = known
    return Replacing(delete=with_ids(parts.delete, ids, text.ids), insert=with_ids(parts.insert, ids, text.ids))


def _rows(cursor: Any, statement: str, context: Context) -> int:
    [tree] = outlines(statement)
    sql, bound = translations.kept_translate(tree, context)
    (count,) = cursor.execute(sql, bound).fetchone()
    return int(count)
