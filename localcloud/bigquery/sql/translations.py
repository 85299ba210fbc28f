"""Caches the translation of a statement's text into DuckDB's SQL.

Our services send the same few hundred texts over and over. local-bigquery translates them every time: half of the time of a small
statement, most of it for looking up columns and inferring types. Here a translation is reused as long as everything that it was made from
is the same:

- the text, the default project, the parameters' types (values are bound, so they do not matter), the names of a script's variables (the
  names of their tables are inserted), temporary tables, the caller, and `@@row_count` if it is read;
- the committed state of its tables in the catalog (see `table_facts`). It is checked again when the project's schema or a stored property
  has changed.

The default dataset does not matter unless the text names it: every tenant has the same tables, and the dataset's name is inserted. The same
is true for random ids in tables' names: every run has its own staging tables of the same form.

Only queries, DML over tables, plain CREATE TABLE and the values of a script's variables are cached. These are translated every time:

- statements that use INFORMATION_SCHEMA, wildcards, other system variables, JavaScript, row access policies, expired tables or results of
  other queries;
- statements that end in an error.

Upstream would have to cache translations by text, context and catalog version, and count the versions itself.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from local_bigquery.catalog import metadata, names, row_access
from local_bigquery.engine.database import quote
from local_bigquery.jobs import merge, query
from local_bigquery.models import Routine, RowAccessPolicy
from local_bigquery.sql import script, translate
from local_bigquery.sql.translate import Context
from sqlglot import exp

from localcloud.bigquery import catalog, resources
from localcloud.bigquery.resources import stored
from localcloud.bigquery.sql import shapes, shelf
from localcloud.bigquery.sql.shapes import Shape
from localcloud.bigquery.sql.statements import ROW_COUNT, TEXT, Kept, Text, with_ids
from localcloud.bigquery.sql.table_facts import Facts, Versions, expire, facts_of, schema_version
from localcloud.bigquery.version import require_known_version

SEEN = 500
"""For how many sets of tables a translation remembers the versions at which it was right."""

type Key = tuple[Any, ...]
type Tables = tuple[str | None, tuple[str, ...]]
"""What differs between sets of tables of the same form: the default dataset, and the random ids in the text, in order."""

_translate: Callable[[exp.Expression, Context], tuple[str, dict[str, Any]]] = translate.translate
_save: Callable[..., Any] = resources.save


@dataclass(kw_only=True, slots=True)
class Translation:
    """The translation of a text, and the facts that it depends on."""

    sql: str
    tables: Tables
    """The tables that `sql` and `facts` name."""
    variables: dict[str, str]
    """A script's variable to the table that replaces it in `sql`."""
    used: frozenset[str]
    facts: Facts
    seen: OrderedDict[Tables, Versions]
    """For each set of tables, the versions at which the facts were last checked."""
    shape: Shape | None = None
    """The columns of its result, once they are known."""

    def facts_in(self, tables: Tables) -> Facts:
        """The facts that these tables must have."""
        (own, own_ids), (dataset, ids) = self.tables, tables
        return {
            (project, dataset or "" if of == own else of, with_ids(name, own_ids, ids)): it
            for (project, of, name), it in self.facts.items()
        }

    def sql_in(self, project: str, tables: Tables, variables: dict[str, str]) -> str:
        """The SQL over these tables and over the variables' tables, which have random names."""
        (own, own_ids), (dataset, ids) = self.tables, tables
        sql = with_ids(self.sql, own_ids, ids)
        if dataset and own and dataset != own:
            sql = sql.replace(f"{quote(project, own)}.", f"{quote(project, dataset)}.")
        for name, table in self.variables.items():
            sql = sql.replace(table, variables[name])
        return sql


_lock = threading.Lock()
_translations: Kept[Translation] = Kept()


def install() -> None:
    """Replaces `translate` where statements are run. RuntimeError if other modules use it."""
    require_known_version()
    for module in (query, script, merge):
        if getattr(module, "translate", None) is not translate.translate:
            raise RuntimeError(f"local-bigquery has changed: {module.__name__} no longer uses translate.translate")
    query.translate = script.translate = kept_translate
    metadata.save = save


def reset() -> None:
    """Clears everything, for another database in the same process."""
    with _lock:
        _translations.clear()


def kept_translate(tree: exp.Expression, context: Context) -> tuple[str, dict[str, Any]]:
    """`translate.translate`."""
    shapes.translated(None)
    text: Text | None = tree.meta.get(TEXT)
    if text is None:
        return _translate(tree, context)
    if context.functions or not catalog.is_project(context.project_id):
        return _translate(text.whole(), context)
    tables = context.dataset_id, text.ids
    key = _key(text.of_any_ids, context)
    with _lock:
        found = _translations.get(key)
    if found is None:
        kept: Translation | None = shelf.find("translation", key)
        if kept is not None:
            found = kept
            with _lock:
                _translations.keep(key, kept)
    # Counted before anything is looked up: what changes after this is not missed.
    versions = (stored(), schema_version(context.project_id)) if found is None or found.facts else (0, 0)
    if found is not None and (facts := _current_facts(found, tables, context, versions)) is not None:
        context.used.clear()
        context.used.update(found.used)
        context.referenced.update(facts)
        sql = found.sql_in(context.project_id, tables, context.variables)
        shapes.translated(None if context.variables or context.temporary else sql, found)
        return sql, {name: context.values[name] for name in found.used}
    return _translated_anew(text.whole(), context, tables, key, versions)


def save(resource: Any, *keys: str) -> Any:
    """`metadata.save`: clears the cache after a routine or a row access policy was stored, because translations may differ now. While there
    is a policy nothing is cached, so deleting the last policy needs no more.
    """
    saved = _save(resource, *keys)
    if isinstance(resource, (Routine, RowAccessPolicy)):
        with _lock:
            _translations.clear()
    return saved


def _key(of_any_ids: str, context: Context) -> Key:
    dataset = context.dataset_id
    # A dataset's name can be replaced only if the text does not contain it and it is valid. (A short name may occur in a random id.)
    is_any = dataset and dataset.casefold() not in of_any_ids.casefold() and names.DATASET_ID.match(dataset)
    return (
        of_any_ids,
        context.project_id,
        bool(dataset) if is_any else dataset,
        tuple(sorted(context.parameters.items())),
        frozenset(context.values),
        frozenset(context.variables),
        frozenset(context.temporary),
        row_access.members(),
        context.system.get("row_count") if ROW_COUNT.search(of_any_ids) else None,
    )


def _current_facts(found: Translation, tables: Tables, context: Context, versions: Versions) -> Facts | None:
    """The facts of these tables, if they equal those that the translation was made from."""
    facts = found.facts_in(tables)
    if facts and (found.seen.get(tables) != versions or expire(facts)):
        if facts_of(facts, context.project_id, versions) != facts:
            return None
        with _lock:
            found.seen[tables] = versions
            if len(found.seen) > SEEN:
                found.seen.popitem(last=False)
    return facts


def _translated_anew(tree: exp.Expression, context: Context, tables: Tables, key: Key, versions: Versions) -> tuple[str, dict[str, Any]]:
    before, began = set(context.referenced), time.thread_time()
    context.referenced.clear()
    try:
        sql, bound = _translate(tree, context)
        read = set(context.referenced)
    finally:
        context.referenced.update(before)
    facts = facts_of(read, context.project_id, versions)
    before_it, schema = versions
    # A change in the meantime may have come before a look-up or after it.
    if facts is not None and schema_version(context.project_id) == schema and not row_access.secured():
        found = Translation(
            sql=sql,
            tables=tables,
            variables=dict(context.variables),
            used=frozenset(context.used),
            facts=facts,
            seen=OrderedDict({tables: versions}),
        )
        # `seen` and `shape` hold for this database only.
        shelf.keep("translation", key, replace(found, seen=OrderedDict(), shape=None), seconds=time.thread_time() - began)
        with _lock:
            if stored() == before_it:
                _translations.keep(key, found)
                shapes.translated(None if context.variables or context.temporary else sql, found)
    return sql, bound
