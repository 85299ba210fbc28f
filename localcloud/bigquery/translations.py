"""Keeps what the emulator makes of a statement's text: the parsed tree, and the DuckDB SQL that it is translated to.

Our services send a few hundred texts, over and over. local-bigquery parses and translates each anew, every time: half of the time that a
small statement takes, most of it in looking up its tables' columns and working out types. Here a translation is used again while all that
it was made from is as it was:

- the text, the default project and dataset, the parameters' types (their values are bound, and are no part of it), the names of a script's
  variables (their tables' names are put in), temporary tables, and the caller;
- what the catalog says of its tables, as committed at that moment, like local-bigquery's own look-ups: the columns of tables, and for views
  that nothing at all has changed in their project's schema, of which all their tables must be; and what the API has stored about them.

Only queries, DML over tables and plain CREATE TABLE are kept. What asks for more (INFORMATION_SCHEMA, wildcards, system variables,
JavaScript, row access policies, tables that expire, results of other queries) is translated every time, and so is whatever ends in an
error.

Upstream would have to keep translations by text, context and the catalog's version, and count the versions itself.
"""

import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from local_bigquery.catalog import metadata, names, row_access, tables
from local_bigquery.engine import database
from local_bigquery.errors import BigQueryError
from local_bigquery.jobs import merge, query
from local_bigquery.models import RowAccessPolicy, Table
from local_bigquery.sql import script, translate
from local_bigquery.sql.translate import Context
from sqlglot import exp

from localcloud.bigquery import catalog
from localcloud.bigquery.version import require_known_version

KEPT = 2000
# Whatever contains one of these is translated anew: it depends on more than the text and its tables.
OTHERS = re.compile(
    r"information_schema|__tables|external_query|session_user|current_user|@@|\*`|\?|_session|system_time|\bml\.", re.IGNORECASE
)
VIEW = "VIEW"
MAX_DEPTH = 16
"""Of views over views."""
STATEMENTS = (exp.Query, exp.Insert, exp.Update, exp.Delete)
# What a CREATE TABLE may not have: then it reads other tables, or is seen by its session only.
READING = (exp.Query, exp.Reference, exp.TemporaryProperty, exp.Clone)

type Key = tuple[Any, ...]
type Reference = tuple[str, str, str]
type Facts = dict[Reference, tuple[Any, ...]]

_parse: Callable[[str], list[exp.Expression]] = translate.parse
_translate: Callable[[exp.Expression, Context], tuple[str, dict[str, Any]]] = translate.translate
_save: Callable[..., Any] = metadata.save
_forget: Callable[..., None] = metadata.delete


@dataclass(kw_only=True, slots=True)
class Translation:
    """What a text became, and what it depends on."""

    sql: str
    variables: dict[str, str]
    """A script's variable to the table that stands for it in `sql`."""
    used: frozenset[str]
    facts: Facts
    """What the catalog said about every table."""
    schema: int
    """The version of the project's schema at which that was last seen to be so."""
    stored: int
    """... and how often the API had stored anything by then."""


class Kept[Value](OrderedDict[Key, Value]):
    """The newest few; the caller has the lock."""

    def keep(self, key: Key, value: Value) -> None:
        """Adds it, as the newest."""
        self[key] = value
        self.move_to_end(key)
        if len(self) > KEPT:
            self.popitem(last=False)


_lock = threading.Lock()
_trees: Kept[list[exp.Expression]] = Kept()
_texts: dict[int, tuple[exp.Expression, str]] = {}
_translations: Kept[Translation] = Kept()
_stored = 0
_changed: dict[Reference, int] = {}


def install() -> None:
    """Replaces `parse` and `translate` where statements are run, and counts what the API stores. RuntimeError if others use them."""
    require_known_version()
    for module, functions in ((query, ("parse", "translate")), (script, ("parse", "translate")), (merge, ("translate",))):
        for name in functions:
            if getattr(module, name, None) is not getattr(translate, name):
                raise RuntimeError(f"local-bigquery has changed: {module.__name__} no longer uses translate.{name}")
    script.parse = parse
    query.translate = script.translate = kept_translate
    metadata.save, metadata.delete = save, delete


def reset() -> None:
    """Forgets all, for another database in the same process."""
    with _lock:
        _translations.clear()


def parse(sql: str) -> list[exp.Expression]:
    """`translate.parse`. The trees of queries and DML are shared: those who run them change none, they translate copies."""
    with _lock:
        if (trees := _trees.get((sql,))) is not None:
            _trees.move_to_end((sql,))
            return list(trees)
    trees = _parse(sql)
    if len(trees) == 1 and _is_plain(trees[0]) and not OTHERS.search(sql):
        with _lock:
            _trees.keep((sql,), trees)
            _texts[id(trees[0])] = (trees[0], sql)
            while len(_texts) > KEPT:
                _texts.pop(next(iter(_texts)))
    return list(trees)


def _is_plain(tree: exp.Expression) -> bool:
    """Whether what it becomes is decided by the text and its tables alone; for CREATE TABLE by the text."""
    if isinstance(tree, exp.Create):
        return tree.args.get("kind") == "TABLE" and isinstance(tree.this, exp.Schema) and tree.find(*READING) is None
    return isinstance(tree, STATEMENTS)


def kept_translate(tree: exp.Expression, context: Context) -> tuple[str, dict[str, Any]]:
    """`translate.translate`."""
    known = _texts.get(id(tree))
    if known is None or known[0] is not tree or context.functions or catalog.metadata_of(context.project_id) is None:
        return _translate(tree, context)
    key = _key(known[1], context)
    with _lock:
        found = _translations.get(key)
    # Counted before anything is looked up: what changes after this is not missed.
    stored, schema = _stored, _schema_version(context.project_id) if found is None or found.facts else 0
    if found is not None and (not found.facts or _is_current(found, schema, stored)):
        context.used.clear()
        context.used.update(found.used)
        context.referenced.update(found.facts)
        return _renamed(found, context.variables), {name: context.values[name] for name in found.used}
    return _translated_anew(tree, context, key, schema, stored)


def save(resource: Any, *keys: str) -> Any:
    """`metadata.save`, counted."""
    saved = _save(resource, *keys)
    _count(keys)
    if isinstance(resource, RowAccessPolicy):
        # While there is one nothing is kept, so taking the last one away needs no more than that.
        with _lock:
            _translations.clear()
    return saved


def delete(model: Any, *keys: str) -> None:
    """`metadata.delete`, counted."""
    _forget(model, *keys)
    _count(keys)


def _count(keys: tuple[str, ...]) -> None:
    global _stored  # noqa: PLW0603 - one counter for the process
    with _lock:
        if len(keys) >= 3:  # noqa: PLR2004 - of a table: project, dataset, table
            table = (keys[0], keys[1], keys[2])
            _changed[table] = _changed.get(table, 0) + 1
        _stored += 1


def _key(text: str, context: Context) -> Key:
    return (
        text,
        context.project_id,
        context.dataset_id,
        tuple(sorted(context.parameters.items())),
        frozenset(context.values),
        frozenset(context.variables),
        frozenset(context.temporary),
        row_access.members(),
    )


def _schema_version(project: str) -> int:
    """DuckLake's count of the changes of a project's schema: tables, views, their columns and names."""
    name = catalog.metadata_of(project)
    found: list[tuple[int]] = database.fetch(f"SELECT max(schema_version) FROM {name}.ducklake_snapshot")  # noqa: S608
    return found[0][0]


def _is_current(found: Translation, schema: int, stored: int) -> bool:
    if (found.schema, found.stored) == (schema, stored):
        return True
    if any(_facts(table, schema) != facts for table, facts in found.facts.items()):
        return False
    found.schema, found.stored = schema, stored
    return True


def _facts(table: Reference, schema: int) -> tuple[Any, ...] | None:
    """What a table's translations depend on. A view's columns are those of its tables, so all of the schema; None for no such table."""
    project, dataset, name = table
    metadata_name = catalog.metadata_of(project)
    rows = database.fetch(
        f"SELECT table_id, count(*), max(ducklake_column.begin_snapshot) FROM {metadata_name}.ducklake_table AS tab "  # noqa: S608
        f"JOIN {metadata_name}.ducklake_schema AS schema USING (schema_id) JOIN {metadata_name}.ducklake_column USING (table_id) "
        "WHERE schema_name = ? AND table_name = ? AND tab.end_snapshot IS NULL AND schema.end_snapshot IS NULL "
        "AND ducklake_column.end_snapshot IS NULL GROUP BY table_id",
        [dataset, name],
    )
    if not rows:
        return (VIEW, schema, _changed.get(table)) if _kind(table) == VIEW else None
    return (*rows[0], _changed.get(table))


def _translated_anew(tree: exp.Expression, context: Context, key: Key, schema: int, stored: int) -> tuple[str, dict[str, Any]]:
    before = set(context.referenced)
    context.referenced.clear()
    try:
        sql, bound = _translate(tree, context)
        read = set(context.referenced)
    finally:
        context.referenced.update(before)
    facts = _all_facts(read, context.project_id, schema)
    # A change in the meantime may have come before a look-up or after it.
    if facts is not None and _schema_version(context.project_id) == schema and not row_access.secured():
        found = Translation(
            sql=sql, variables=dict(context.variables), used=frozenset(context.used), facts=facts, schema=schema, stored=stored
        )
        with _lock:
            if _stored == stored:
                _translations.keep(key, found)
    return sql, bound


def _all_facts(read: set[Reference], project: str, schema: int) -> Facts | None:
    """The facts of all tables; None if one of them is not for keeping."""
    found: Facts = {}
    for table in read:
        if table[0] != project or table[1] == tables.RESULTS:
            return None
        stored = metadata.load(Table, *table)
        facts = _facts(table, schema)
        if facts is None or (stored and stored.expirationTime) or (facts[0] == VIEW and not _is_of_one_project(table)):
            return None
        found[table] = facts
    return found


def _is_of_one_project(view: Reference, depth: int = 0) -> bool:
    """Whether all that a view reads, through other views too, is in its own project. What is not known to be so is not."""
    project, dataset, _ = view
    stored = metadata.load(Table, *view)
    query = stored and stored.view and stored.view.query
    if not query or depth > MAX_DEPTH:
        return False
    try:
        trees = _parse(query)
    except BigQueryError:
        return False
    tables_read = [names.reference(table, project, dataset) for tree in trees for table in tree.find_all(exp.Table)]
    return all(
        table[0] == project and (_kind(table) != VIEW or _is_of_one_project(table, depth + 1))
        for table in tables_read
        if table[1] is not None
    )


def _kind(table: Reference) -> str | None:
    return next((kind for _, kind, _ in database.objects(*table)), None)


def _renamed(found: Translation, variables: dict[str, str]) -> str:
    """The SQL over the tables of this run's variables: each has a name of its own, by chance."""
    sql = found.sql
    for name, table in found.variables.items():
        sql = sql.replace(table, variables[name])
    return sql
