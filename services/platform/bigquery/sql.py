"""Named blocks of GoogleSQL: every statement of a service stands in one `queries.sql`, with the reason why it is safe.

    -- name: revoke_api_key
    -- Replayed, it changes nothing: an inactive key stays inactive.
    -- param: tenant_id STRING
    -- param: api_key_id STRING
    UPDATE tenant_api_keys SET is_active = FALSE WHERE tenant_id = @tenant_id AND api_key_id = @api_key_id

Tables are bare names, resolved against the job's default dataset. Values come in as the declared parameters only.

A script that answers nothing else ends with `SELECT TRUE AS done`: one that breaks on the way has been seen to come back as a success
without rows (googleapis/google-cloud-go #3304), and is sent again when that row is missing.
"""

import itertools
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_NAME = re.compile(r"--\s*name:\s*(\w+)\s*$")
_PARAM = re.compile(r"--\s*param:\s*(\w+)\s+(.+?)\s*$")
_DML = re.compile(r"\b(?:UPDATE|INSERT(?:\s+INTO)?|DELETE(?:\s+FROM)?|MERGE(?:\s+INTO)?)\s+([A-Za-z_]\w*)", re.IGNORECASE)
_READ = re.compile(r"\b(?:FROM|JOIN)\s+([A-Za-z_]\w*)\b(?!\s*\()", re.IGNORECASE)
_CONFIRMED = re.compile(r"\bSELECT\s+TRUE\s+AS\s+done\s*;?\s*$", re.IGNORECASE)
_WITH = re.compile(r"\b([A-Za-z_]\w*)\s+AS\s*\(\s*(?:SELECT|WITH)\b", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """One named statement, or one script."""

    name: str
    sql: str
    params: dict[str, str]
    """Name to GoogleSQL type."""
    line: int = 1
    """Where its SQL begins in the file, from 1."""
    written: tuple[str, ...] = ()
    """One entry a DML statement: the table it changes."""
    read: tuple[str, ...] = ()
    """The tables it reads."""
    is_confirmed: bool = False
    """Whether it answers a row when it has come to its end, so that an answer without one is none."""
    is_script: bool = False
    """Whether it is several statements, each of which takes its time."""

    @property
    def is_query(self) -> bool:
        """Whether it is one SELECT, so that it may stand in parentheses in another statement."""
        bare = _without_text(self.sql).strip().removesuffix(";")
        return ";" not in bare and re.match(r"(SELECT|WITH|\()", bare.lstrip(), re.IGNORECASE) is not None


def make_block(name: str, sql: str, params: dict[str, str], line: int = 1) -> Block:
    """A block, with the tables it touches read off its text."""
    bare = _without_text(sql)
    written = tuple(_DML.findall(bare))
    ctes = set(_WITH.findall(bare))
    read = sorted(
        {table for table in _READ.findall(bare) if table.upper() not in {"UNNEST", "SELECT"} and table not in ctes} - set(written)
    )
    return Block(
        name=name,
        sql=sql,
        params=params,
        line=line,
        written=written,
        read=tuple(read),
        is_confirmed=bool(_CONFIRMED.search(bare)),
        is_script=";" in bare.rstrip().rstrip(";"),
    )


def _without_text(sql: str) -> str:
    """The SQL without comments and quoted text."""
    return re.sub(r"--[^\n]*|'[^'\n]*'", " ", sql)


def parse_blocks(text: str, source: str) -> dict[str, Block]:
    """The blocks of a file's text, by name. Raises ValueError, naming `source` and line, for what is not a block."""
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if _NAME.match(line)]
    for number, line in enumerate(lines[: starts[0] if starts else None], 1):
        if line.strip() and not line.startswith("--"):
            raise ValueError(f"{source}:{number}: SQL before the first `-- name:`")
    blocks: dict[str, Block] = {}
    for start, end in itertools.pairwise([*starts, len(lines)]):
        block = _parse_block(lines[start:end], start + 1, source)
        if block.name in blocks:
            raise ValueError(f"{source}:{start + 1}: block {block.name} stands twice")
        blocks[block.name] = block
    return blocks


def _parse_block(lines: list[str], first: int, source: str) -> Block:
    head = list(itertools.takewhile(lambda line: line.startswith("--") or not line.strip(), lines))
    name = head[0].split(":", 1)[1].strip()
    params = {match[1]: match[2] for line in head if (match := _PARAM.match(line))}
    sql = "\n".join(lines[len(head) :]).strip()
    if not sql:
        raise ValueError(f"{source}:{first}: block {name} has no SQL")
    return make_block(name, sql, params, first + len(head))


@cache
def load_blocks(path: Path) -> dict[str, Block]:
    """The blocks of a `queries.sql`. Raises ValueError as `parse_blocks` does, OSError if there is no such file."""
    return parse_blocks(path.read_text(), str(path))
