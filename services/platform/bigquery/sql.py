"""Named blocks of GoogleSQL. A service's own statements are in `queries.sql` files, each with the reason why it is safe to replay.
Elsewhere are only: what the executor composes (`steps/publish_script.py`, `checks`), the ALTERs of `ddl.py`, reads of a tenant's export
(`sources`), and the SQL of templates in `configs`.

    -- name: revoke_api_key
    -- Replayed, it changes nothing: an inactive key stays inactive.
    -- param: tenant_id STRING
    -- param: api_key_id STRING
    UPDATE tenant_api_keys SET is_active = FALSE WHERE tenant_id = @tenant_id AND api_key_id = @api_key_id

Tables are bare names, resolved in the job's default dataset. Values are passed as the declared parameters only.

A branch of a script that runs seldom has `-- seldom: why` in the line before its IF, one that runs only with a parameter that is not empty
`-- only with @name: why`: what a block costs is reckoned from its text.

A script without a result ends with `SELECT TRUE AS done`: a script that broke off has been seen to report success without rows
(googleapis/google-cloud-go #3304). If that row is missing, the script is sent again.
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

_NAME = re.compile(r"--\s*name:\s*(\w+)\s*$")
_PARAM = re.compile(r"--\s*param:\s*(\w+)\s+(.+?)\s*$")
# In the clauses of a MERGE no table follows.
_DML = re.compile(
    r"\b(?:UPDATE|INSERT(?:\s+INTO)?|DELETE(?:\s+FROM)?|MERGE(?:\s+INTO)?)\s+(?!(?:SET|WHEN|ROW|VALUES)\b)([A-Za-z_]\w*)", re.IGNORECASE
)
_INSERT = re.compile(r"\bINSERT\s+INTO\s+([A-Za-z_]\w*)", re.IGNORECASE)
_READ = re.compile(r"\b(?:FROM|JOIN|USING)\s+([A-Za-z_]\w*)\b(?!\s*\()", re.IGNORECASE)
_CONFIRMED = re.compile(r"\bSELECT\s+TRUE\s+AS\s+done\s*;?\s*$", re.IGNORECASE)
_BRANCH = re.compile(r"\s*(?:ELSE|END)\b", re.IGNORECASE)
_ROLLBACK = re.compile(r"\bROLLBACK\s+TRANSACTION\b", re.IGNORECASE)
_MARK = re.compile(r"--\s*(?:seldom:|only with @(\w+):)[^\n]*", re.IGNORECASE)
_MARKED = re.compile(r"\b_marked_(\w*)\b")
_WITH = re.compile(r"\b([A-Za-z_]\w*)\s+AS\s*\(\s*(?:SELECT|WITH)\b", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """One named statement, or one script."""

    name: str
    sql: str
    params: dict[str, str]
    """Name to GoogleSQL type."""
    line: int = 1
    """Line in the file where its SQL begins, from 1."""
    written: tuple[str, ...] = ()
    """The table that each DML statement changes, one entry a statement."""
    read: tuple[str, ...] = ()
    """The tables that each statement reads besides the one it changes, one entry a statement and table; without those that only follow a
    ROLLBACK, or stand in a branch that is marked.
    """
    billed: tuple[str, ...] = ()
    """The tables that BigQuery charges for, one entry a statement and table, of the statements that usually run: those that a statement
    reads, and the one that it changes, unless it only inserts into it ("On-demand query size calculation": an INSERT is charged what it
    reads, an UPDATE, DELETE or MERGE the changed table as well).
    """
    billed_with: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """More of them, by the parameter with which they run if it is not empty."""
    is_confirmed: bool = False
    """True if the block always returns a row at its end, so that an empty result means that it broke off."""
    is_script: bool = False
    """True for several statements, which get a longer deadline."""

    @property
    def references(self) -> int:
        """How often BigQuery charges its minimum for a table, at most."""
        return len(self.billed) + sum(len(tables) for _, tables in self.billed_with)

    def charged(self, params: Mapping[str, object]) -> Iterator[str]:
        """The tables that BigQuery charges for if the block runs with these parameters."""
        yield from self.billed
        for name, tables in self.billed_with:
            if params.get(name):
                yield from tables

    def written_in(self, dataset: str) -> list[str]:
        """`project.dataset.table` of each statement that changes a table."""
        return [f"{dataset}.{table}" for table in self.written]

    @property
    def is_query(self) -> bool:
        """True if it is one SELECT, so that it can be used as a subquery."""
        bare = _without_text(self.sql).strip().removesuffix(";")
        return ";" not in bare and re.match(r"(SELECT|WITH|\()", bare.lstrip(), re.IGNORECASE) is not None


def make_block(name: str, sql: str, params: dict[str, str], line: int = 1) -> Block:
    """A block; the tables that it reads and writes are parsed from its text."""
    return Block(name=name, sql=sql, params=params, line=line, **_parsed(sql))


# Templates compose the same texts at each reload.
@lru_cache(maxsize=4096)
def _parsed(sql: str) -> Mapping[str, Any]:
    """What a block is, besides what it is given."""
    bare = _without_text(sql)
    ctes = set(_WITH.findall(bare))
    read, billed, billed_with = list[str](), list[str](), dict[str, list[str]]()
    for statement, param in _usual_statements(_without_text(_MARK.sub(lambda mark: f"_marked_{mark[1] or ''};", sql))):
        named = {table for table in _READ.findall(statement) if table.upper() not in {"UNNEST", "SELECT"} and table not in ctes}
        changed = set(_DML.findall(statement))
        # _READ finds the table of a DELETE, and of an INSERT only if it is read, too.
        charged = sorted(named | (changed - set(_INSERT.findall(statement))))
        if param:
            billed_with.setdefault(param, []).extend(charged)
        else:
            read += sorted(named - changed)
            billed += charged
    return {
        "written": tuple(_DML.findall(bare)),
        "read": tuple(read),
        "billed": tuple(billed),
        "billed_with": tuple((param, tuple(tables)) for param, tables in billed_with.items()),
        "is_confirmed": bool(_CONFIRMED.search(bare)),
        "is_script": ";" in bare.rstrip().rstrip(";"),
    }


def _usual_statements(bare: str) -> Iterator[tuple[str, str]]:
    """The statements of a script (with the IF or ELSE before them), each with the parameter without which it does not run, or ''. Without
    those between a ROLLBACK, or a mark without a parameter, and the next branch.
    """
    is_unusual, param = False, ""
    for statement in bare.split(";"):
        if _BRANCH.match(statement):
            is_unusual, param = False, ""
        if mark := _MARKED.search(statement):
            is_unusual, param = not mark[1], mark[1]
        elif not is_unusual:
            yield statement, param
        is_unusual = is_unusual or bool(_ROLLBACK.search(statement))


def _without_text(sql: str) -> str:
    """The SQL without comments and string literals."""
    return re.sub(r"--[^\n]*|'[^'\n]*'", " ", sql)


@lru_cache(maxsize=64)
def parse_blocks(text: str, source: str) -> Mapping[str, Block]:
    """The blocks of a file, by name. Raises ValueError, naming `source` and line, for text that is no block. Kept: a template asks anew for
    each block that it names.
    """
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if _NAME.match(line)]
    for number, line in enumerate(lines[: starts[0] if starts else None], 1):
        if line.strip() and not line.startswith("--"):
            raise ValueError(f"{source}:{number}: SQL before the first `-- name:`")
    blocks: dict[str, Block] = {}
    for start, end in itertools.pairwise([*starts, len(lines)]):
        block = _parse_block(lines[start:end], start + 1, source)
        if block.name in blocks:
            raise ValueError(f"{source}:{start + 1}: block {block.name} occurs twice")
        blocks[block.name] = block
    return MappingProxyType(blocks)


def _parse_block(lines: list[str], first: int, source: str) -> Block:
    head = list(itertools.takewhile(lambda line: line.startswith("--") or not line.strip(), lines))
    name = head[0].split(":", 1)[1].strip()
    params = {match[1]: match[2] for line in head if (match := _PARAM.match(line))}
    sql = "\n".join(lines[len(head) :]).strip()
    if not sql:
        raise ValueError(f"{source}:{first}: block {name} has no SQL")
    return make_block(name, sql, params, first + len(head))


@cache
def load_blocks(path: Path) -> Mapping[str, Block]:
    """The blocks of a `queries.sql`. Raises ValueError as `parse_blocks` does, OSError if there is no such file."""
    return parse_blocks(path.read_text(), str(path))
