"""Keeps what the emulator makes of a statement's text: the parsed tree, and the DuckDB SQL that it is translated to.

Our services send a few hundred texts, over and over. local-bigquery parses and translates each anew, every time: half of the time that a
small statement takes, most of it in looking up its tables' columns and working out types. Here a translation is used again while all that
it was made from is as it was:

- the text, the default project, the parameters' types (their values are bound, and are no part of it), the names of a script's variables
  (their tables' names are put in), temporary tables, and the caller;
- what the catalog says of its tables, as committed at that moment, like local-bigquery's own look-ups (see `table_facts`). They are looked
  at again when anything has changed in their project's schema, or in what the API has stored.

The default dataset is no part of it either, unless the text names it: every tenant's tables are alike, and the dataset's name is put in. So
are the random ids in tables' names: every run has staging tables of its own, and they are alike.

Only queries, DML over tables, plain CREATE TABLE and the values that a script's variables get are kept. What asks for more
(INFORMATION_SCHEMA, wildcards, system variables, JavaScript, row access policies, tables that have expired, results of other queries) is
translated every time, and so is whatever ends in an error.

Upstream would have to keep translations by text, context and the catalog's version, and count the versions itself.
"""

import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from local_bigquery.catalog import metadata, names, row_access
from local_bigquery.engine.database import quote
from local_bigquery.jobs import merge, query
from local_bigquery.models import Routine, RowAccessPolicy
from local_bigquery.sql import script, translate
from local_bigquery.sql.dialect import BigQueryDialect
from local_bigquery.sql.translate import Context
from sqlglot import exp

from localcloud.bigquery import catalog, shapes
from localcloud.bigquery.table_facts import Facts, expire, facts_of, schema_version
from localcloud.bigquery.version import require_known_version

KEPT = 2000
# Whatever contains one of these is translated anew: it depends on more than the text and its tables.
OTHERS = re.compile(
    r"information_schema|__tables|external_query|session_user|current_user|@@|\*`|_session|system_time|\bml\.", re.IGNORECASE
)
RANDOM_ID = re.compile(r"[0-9a-f]{8}(?:_[0-9a-f]{4}){3}_[0-9a-f]{12}")
STATEMENTS = (exp.Query, exp.Insert, exp.Update, exp.Delete)
# What a CREATE TABLE may not have: then it reads other tables, or is seen by its session only.
READING = (exp.Query, exp.Reference, exp.TemporaryProperty, exp.Clone)

SEEN = 500
"""Of how many tables that are alike a translation remembers when it was last seen to be right there."""

type Key = tuple[Any, ...]
type Tables = tuple[str | None, tuple[str, ...]]
"""What differs between tables that are alike: the default dataset, and the random ids in the text, in their order."""
type Versions = tuple[int, int]
"""Of a project's schema, and of what the API has stored."""

IS_VALUE = "convergence_is_value"
"""In the meta of a tree: it is a value in a script's statement, made into a query."""

_parse: Callable[[str], list[exp.Expression]] = translate.parse
_select: Callable[[exp.Expression], exp.Select] = script._select  # noqa: SLF001 - there is no other place to tell values from queries
_translate: Callable[[exp.Expression, Context], tuple[str, dict[str, Any]]] = translate.translate
_save: Callable[..., Any] = metadata.save
_forget: Callable[..., None] = metadata.delete


@dataclass(kw_only=True, slots=True)
class Translation:
    """What a text became, and what it depends on."""

    sql: str
    tables: Tables
    """Those that `sql` and `facts` name."""
    variables: dict[str, str]
    """A script's variable to the table that replaces it in `sql`."""
    used: frozenset[str]
    facts: Facts
    seen: OrderedDict[Tables, Versions]
    """The versions at which the facts were last seen to be so."""

    def facts_in(self, tables: Tables) -> Facts:
        """What the facts have to be for these tables."""
        (own, own_ids), (dataset, ids) = self.tables, tables
        return {
            (project, dataset or "" if of == own else of, _with_ids(name, own_ids, ids)): it
            for (project, of, name), it in self.facts.items()
        }

    def sql_in(self, project: str, tables: Tables, variables: dict[str, str]) -> str:
        """The SQL over these tables, and over this run's variables: each has a name of its own, by chance."""
        (own, own_ids), (dataset, ids) = self.tables, tables
        sql = _with_ids(self.sql, own_ids, ids)
        if dataset and own and dataset != own:
            sql = sql.replace(f"{quote(project, own)}.", f"{quote(project, dataset)}.")
        for name, table in self.variables.items():
            sql = sql.replace(table, variables[name])
        return sql


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
# How often the API has stored anything.
_stored = 0


def install() -> None:
    """Replaces `parse` and `translate` where statements are run, and counts what the API stores. RuntimeError if others use them."""
    require_known_version()
    for module, functions in ((query, ("parse", "translate")), (script, ("parse", "translate")), (merge, ("translate",))):
        for name in functions:
            if getattr(module, name, None) is not getattr(translate, name):
                raise RuntimeError(f"local-bigquery has changed: {module.__name__} no longer uses translate.{name}")
    script.parse, script._select = parse, select  # noqa: SLF001 - see above
    query.translate = script.translate = kept_translate
    metadata.save, metadata.delete = save, delete


def reset() -> None:
    """Clears everything, for another database in the same process."""
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


def select(value: exp.Expression) -> exp.Select:
    """The Interpreter's own `_select`: a query for what DECLARE, SET, IF and WHILE work out."""
    tree = _select(value)
    tree.meta[IS_VALUE] = True
    return tree


def _text_of(tree: exp.Expression, context: Context) -> str | None:
    """The text that the tree was made from; None if its translation is not for keeping."""
    known = _texts.get(id(tree))
    if known is not None:
        return known[1] if known[0] is tree else None
    if not tree.meta.get(IS_VALUE) or not _is_plain(tree):
        return None
    text = f"{context.system.get('statement_text')}\n{tree.sql(dialect=BigQueryDialect)}"
    return None if OTHERS.search(text) else text


def _is_plain(tree: exp.Expression) -> bool:
    """Whether what it becomes is decided by the text and its tables alone; for CREATE TABLE by the text. Parameters by position have
    numbers that depend on the whole script.
    """
    if tree.find(exp.Placeholder) is not None:
        return False
    if isinstance(tree, exp.Create):
        return tree.args.get("kind") == "TABLE" and isinstance(tree.this, exp.Schema) and tree.find(*READING) is None
    return isinstance(tree, STATEMENTS)


def kept_translate(tree: exp.Expression, context: Context) -> tuple[str, dict[str, Any]]:
    """`translate.translate`."""
    shapes.translated(None)
    text = None if context.functions else _text_of(tree, context)
    if text is None or catalog.metadata_of(context.project_id) is None:
        return _translate(tree, context)
    tables = context.dataset_id, tuple(dict.fromkeys(RANDOM_ID.findall(text)))
    key = _key(text, tables, context)
    with _lock:
        found = _translations.get(key)
    # Counted before anything is looked up: what changes after this is not missed.
    versions = (_stored, schema_version(context.project_id)) if found is None or found.facts else (0, 0)
    if found is not None and (facts := _current_facts(found, tables, context, versions)) is not None:
        context.used.clear()
        context.used.update(found.used)
        context.referenced.update(facts)
        sql = found.sql_in(context.project_id, tables, context.variables)
        shapes.translated(None if context.variables or context.temporary else sql, facts)
        return sql, {name: context.values[name] for name in found.used}
    return _translated_anew(tree, context, tables, key, versions)


def save(resource: Any, *keys: str) -> Any:
    """`metadata.save`, counted."""
    saved = _save(resource, *keys)
    _count()
    if isinstance(resource, Routine):
        # What a function returns may be something else now.
        shapes.reset()
    if isinstance(resource, RowAccessPolicy):
        # While there is one nothing is kept, so taking the last one away needs no more than that.
        with _lock:
            _translations.clear()
    return saved


def delete(model: Any, *keys: str) -> None:
    """`metadata.delete`, counted."""
    _forget(model, *keys)
    _count()


def _count() -> None:
    global _stored  # noqa: PLW0603 - one counter for the process
    with _lock:
        _stored += 1


def _with_ids(text: str, old: tuple[str, ...], new: tuple[str, ...]) -> str:
    if old == new:
        return text
    ids = dict(zip(old, new, strict=True))
    return RANDOM_ID.sub(lambda found: ids.get(found[0], found[0]), text)


def _key(text: str, tables: Tables, context: Context) -> Key:
    dataset, ids = tables
    of_any_ids = _with_ids(text, ids, tuple(f"#{number}" for number in range(len(ids))))
    # A name that the text has, or that is refused, is not one to put another one in the place of. (A short one may occur in a random id.)
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
    )


def _current_facts(found: Translation, tables: Tables, context: Context, versions: Versions) -> Facts | None:
    """The facts of these tables, if they are what the translation was made from."""
    facts = found.facts_in(tables)
    if facts and (found.seen.get(tables) != versions or expire(facts)):
        if facts_of(facts, context.project_id) != facts:
            return None
        with _lock:
            found.seen[tables] = versions
            if len(found.seen) > SEEN:
                found.seen.popitem(last=False)
    return facts


def _translated_anew(tree: exp.Expression, context: Context, tables: Tables, key: Key, versions: Versions) -> tuple[str, dict[str, Any]]:
    before = set(context.referenced)
    context.referenced.clear()
    try:
        sql, bound = _translate(tree, context)
        read = set(context.referenced)
    finally:
        context.referenced.update(before)
    facts = facts_of(read, context.project_id)
    stored, schema = versions
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
        with _lock:
            if _stored == stored:
                _translations.keep(key, found)
                shapes.translated(None if context.variables or context.temporary else sql, facts)
    return sql, bound
