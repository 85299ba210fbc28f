"""Keeps what the emulator has to know of a statement before translating it, so that a known text is not parsed again.

local-bigquery splits a script and parses each statement every time: a third of the time of a run's large scripts. Once the translation of a
query, an INSERT, an UPDATE, a DELETE or a MERGE that replaces rows is known (see `translations`), its tree is needed only for the kind of
the statement and the table that it writes. An outline has both: it is a tree with only this table in it. The whole tree is made again only
if it is needed: for a translation that is not kept, and for the text of an error.

Texts that differ only in random ids count as one text, e.g. statements over a run's staging tables.

Upstream would have to keep trees by text, and to translate without copying them. sqlglot's compiled form (`sqlglotc`) would split and parse
faster, but local-bigquery's parsers are derived from sqlglot's, which compiled ones refuse.
"""

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Any

from local_bigquery.jobs import query
from local_bigquery.sql import script, translate
from local_bigquery.sql.script import Interpreter, Statement
from sqlglot import exp

from localcloud.bigquery.sql import shelf
from localcloud.bigquery.sql.replacing import replaces
from localcloud.bigquery.version import require_known_version

KEPT = 2000
# Whatever contains one of these is parsed and translated anew: it depends on more than the text and its tables.
OTHERS = re.compile(
    r"information_schema|__tables|external_query|session_user|current_user|@@(?!row_count\b)|\*`|_session|system_time|\bml\.", re.IGNORECASE
)
ROW_COUNT = re.compile(r"@@row_count\b", re.IGNORECASE)
"""The one system variable that our scripts read; a number is put in its place."""
RANDOM_ID = re.compile(r"[0-9a-f]{8}(?:_[0-9a-f]{4}){3}_[0-9a-f]{12}")
CHANGES = (exp.Insert, exp.Update, exp.Delete, exp.Merge)
# What a CREATE TABLE may not have: then it reads other tables, or is seen by its session only.
READING = (exp.Query, exp.Reference, exp.TemporaryProperty, exp.Clone)

TEXT = "convergence_text"
"""In the meta of a tree: the `Text` that it was made from, if its translation is for keeping."""

_parse: Callable[[str], list[exp.Expression]] = translate.parse
_parse_script: Callable[[str], list[Statement]] = script.parse_script
_from_duckdb: Callable[..., Exception] = query.from_duckdb


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """A statement's text, or a value's in a script's statement."""

    of_any_ids: str
    """With a number in the place of each random id."""
    ids: tuple[str, ...]
    """The random ids, in their order."""
    whole: Callable[[], exp.Expression] = field(compare=False, repr=False)
    """Makes the whole tree."""
    text: str = field(default="", compare=False, repr=False)
    """Of a statement: as it is."""

    def __deepcopy__(self, memo: Any) -> None:
        """A copy of a tree is not what was parsed."""
        return


@dataclass(frozen=True, kw_only=True, slots=True)
class _Outline:
    kind: type[exp.Expression]
    target: exp.Table | None
    ids: tuple[str, ...]
    """Those that `target` names."""


class Kept[Value](OrderedDict[Hashable, Value]):
    """The newest few; the caller has the lock."""

    def keep(self, key: Hashable, value: Value) -> None:
        """Adds it, as the newest."""
        self[key] = value
        self.move_to_end(key)
        if len(self) > KEPT:
            self.popitem(last=False)


_lock = threading.Lock()
_outlines: Kept[_Outline] = Kept()
_tables: Kept[exp.Expression] = Kept()
_scripts: Kept[tuple[tuple[str, ...], list[Statement]]] = Kept()


def install() -> None:
    """Replaces how scripts are split and their statements parsed. RuntimeError if local-bigquery does it in another way."""
    require_known_version()
    if script.parse is not translate.parse or query.script is not script:
        raise RuntimeError("local-bigquery has changed: scripts are no longer parsed by script.parse_script and script.parse")
    script.parse_script = parse_script
    Interpreter.sql = sql
    query.from_duckdb = from_duckdb


def reset() -> None:
    """Clears everything, as if the process had just begun."""
    with _lock:
        for kept in (_outlines, _tables, _scripts):
            kept.clear()


def parse_script(text: str) -> list[Statement]:
    """`script.parse_script`."""
    of_any_ids, ids = without_ids(text)
    with _lock:
        known = _scripts.get(of_any_ids)
    if known is None:
        known = shelf.find("script", of_any_ids)
        if known is None:
            began = time.thread_time()
            known = ids, _parse_script(text)
            shelf.keep("script", of_any_ids, known, seconds=time.thread_time() - began)
        with _lock:
            _scripts.keep(of_any_ids, known)
    return [_statement_with_ids(statement, known[0], ids) for statement in known[1]]


def sql(self: Interpreter, statement: Statement) -> None:
    """`Interpreter.sql`: runs one statement."""
    for tree in outlines(statement.text):
        tree.meta["table_function"] = statement.kind == "TABLE_FUNCTION"
        statistics = self.run_sql(tree)
        if statistics and statistics.numDmlAffectedRows is not None:
            self.context.system["row_count"] = int(statistics.numDmlAffectedRows)


def outlines(text: str) -> list[exp.Expression]:
    """`translate.parse`, but known queries and changes are outlines. What is known for keeping has its `Text` in its meta."""
    of_any_ids, ids = without_ids(text)
    with _lock:
        known, table = _outlines.get(of_any_ids), _tables.get(text)
    if table is not None:
        return [table]
    as_text = Text(of_any_ids=of_any_ids, ids=ids, text=text, whole=lambda: _parse(text)[0])
    if known is None:
        kept: _Outline | None = shelf.find("outline", of_any_ids)
        if kept is not None:
            known = kept
            with _lock:
                _outlines.keep(of_any_ids, kept)
    if known is not None:
        tree = known.kind()
        if known.target is not None:
            tree.set("this", _with_other_ids(known.target, known.ids, ids))
        tree.meta[TEXT] = as_text
        return [tree]
    if (table := shelf.find("table", text)) is not None:
        _keep(table, text, as_text, seconds=0)
        return [table]
    began = time.thread_time()
    trees = _parse(text)
    if len(trees) == 1 and is_plain(trees[0]) and not OTHERS.search(text):
        _keep(trees[0], text, as_text, seconds=time.thread_time() - began)
    return trees


def _keep(tree: exp.Expression, text: str, known: Text, *, seconds: float) -> None:
    """`seconds`: of CPU that parsing took."""
    if isinstance(tree, exp.Create):
        # What a CREATE TABLE makes is in the whole tree. Those who run it change nothing in it.
        shelf.keep("table", text, tree, seconds=seconds)
        with _lock:
            _tables.keep(text, tree)
    else:
        kind = exp.Select if isinstance(tree, exp.Query) else type(tree)
        target = tree.find(exp.Table) if isinstance(tree, CHANGES) else None
        outline = _Outline(kind=kind, target=target and target.copy(), ids=known.ids)
        shelf.keep("outline", known.of_any_ids, outline, seconds=seconds)
        with _lock:
            _outlines.keep(known.of_any_ids, outline)
    tree.meta[TEXT] = known


def is_plain(tree: exp.Expression) -> bool:
    """Whether what it becomes is decided by the text and its tables alone; for CREATE TABLE by the text. Parameters by position have
    numbers that depend on the whole script.
    """
    if tree.find(exp.Placeholder) is not None:
        return False
    if isinstance(tree, exp.Create):
        return tree.args.get("kind") == "TABLE" and isinstance(tree.this, exp.Schema) and tree.find(*READING) is None
    if isinstance(tree, exp.Merge):
        return replaces(tree)
    return isinstance(tree, (exp.Query, *CHANGES))


def from_duckdb(error: Exception, context: Any = None, tree: exp.Expression | None = None) -> Exception:
    """`errors.from_duckdb`, which looks for the cause in the tree."""
    known: Text | None = tree.meta.get(TEXT) if tree is not None else None
    return _from_duckdb(error, context, tree if known is None else known.whole())


def without_ids(text: str) -> tuple[str, tuple[str, ...]]:
    """The text of any ids, and the random ids in it."""
    ids = tuple(dict.fromkeys(RANDOM_ID.findall(text)))
    return with_ids(text, ids, tuple(f"#{number}" for number in range(len(ids)))), ids


def with_ids(text: str, old: tuple[str, ...], new: tuple[str, ...]) -> str:
    """The text with the new random ids in the place of the old ones."""
    if old == new:
        return text
    ids = dict(zip(old, new, strict=True))
    return RANDOM_ID.sub(lambda found: ids.get(found[0], found[0]), text)


def _with_other_ids(target: exp.Table, old: tuple[str, ...], new: tuple[str, ...]) -> exp.Table:
    target = target.copy()
    for name in target.find_all(exp.Identifier):
        name.set("this", with_ids(name.name, old, new))
    return target


def _statement_with_ids(statement: Statement, old: tuple[str, ...], new: tuple[str, ...]) -> Statement:
    """All texts in it, and in its body, with other ids."""
    if old == new:
        return statement

    def text(one: str) -> str:
        return with_ids(one, old, new)

    def body(of: list[Statement]) -> list[Statement]:
        return [_statement_with_ids(one, old, new) for one in of]

    return replace(
        statement,
        text=text(statement.text),
        body=body(statement.body),
        branches=[(text(condition), body(then)) for condition, then in statement.branches],
        otherwise=None if statement.otherwise is None else body(statement.otherwise),
        names=[text(name) for name in statement.names],
        items=[(text(item), alias and text(alias)) for item, alias in statement.items],
    )
