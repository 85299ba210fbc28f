"""Takes a MERGE that replaces rows apart: `MERGE t USING s ON FALSE WHEN NOT MATCHED BY SOURCE THEN DELETE WHEN NOT MATCHED THEN INSERT`.
Pure.

Nothing matches, so it is a DELETE and an INSERT, in one transaction. That holds as long as the rows that are inserted do not depend on
those that are deleted: a source that reads the target itself is left to local-bigquery's own MERGE.
"""

from dataclasses import dataclass
from itertools import pairwise

from local_bigquery.sql.script import CLOSE, OPEN, QUOTED, Tokenizer
from sqlglot import exp
from sqlglot.tokenizer_core import Token

MARKS = frozenset({"USING", "ON", "WHEN", "THEN", "VALUES"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Replacing:
    """The texts of the two statements."""

    delete: str
    insert: str


def replaces(tree: exp.Expression) -> bool:
    """True for such a MERGE."""
    if not isinstance(tree, exp.Merge) or tree.args["on"] != exp.false():
        return False
    whens = tree.args["whens"].expressions
    actions = {bool(when.args.get("source")): when.args["then"] for when in whens if not when.args.get("matched")}
    if len(whens) != len(actions) or set(actions) != {True, False}:
        return False
    deletes, inserts = actions[True], actions[False]
    if not isinstance(deletes, exp.Var) or deletes.name.upper() != "DELETE" or not isinstance(inserts, exp.Insert):
        return False
    # With INSERT ROW, or without a list of columns, the table decides what is inserted.
    has_lists = isinstance(inserts.this, exp.Tuple) and isinstance(inserts.expression, exp.Tuple)
    target = tree.this.name.casefold()
    return has_lists and all(table.name.casefold() != target for table in tree.args["using"].find_all(exp.Table))


def replacing(text: str) -> Replacing:
    """The two statements of a MERGE that `replaces`. They are cut from its text: SQL that is made of a tree is not always what it was."""
    words = Tokenizer().tokenize(text)
    marks = [*_marks(words), len(words)]

    def cut(first: int, end: int) -> str:
        return text[words[first].start : words[end - 1].end + 1] if first < end else ""

    target = table = source = columns = values = ""
    conditions = dict[str, str]()
    for mark, following in pairwise(marks):
        word, part = words[mark].text.upper(), cut(mark + 1, following)
        if word == "USING":
            source = part
            first = 2 if words[1].text.upper() == "INTO" else 1
            target, table = cut(first, mark), cut(first, _end_of_name(words, first))
        elif word == "WHEN":
            # NOT MATCHED [BY SOURCE | BY TARGET] [AND condition]
            is_said = words[mark + 3].text.upper() == "BY"
            by, begin = (words[mark + 4].text.upper(), mark + 5) if is_said else ("TARGET", mark + 3)
            conditions[by] = cut(begin + 1, following) or "TRUE"
        elif word == "THEN" and part.upper().startswith("INSERT"):
            columns = cut(mark + 2, following)
        elif word == "VALUES":
            values = cut(mark + 2, following - 1)
    return Replacing(
        delete=f"DELETE FROM {target}\nWHERE {conditions['SOURCE']}",
        insert=f"INSERT INTO {table} {columns}\nSELECT {values}\nFROM {source}\nWHERE {conditions['TARGET']}",
    )


def _marks(words: list[Token]) -> list[int]:
    """Where the parts of the statement begin; not those of its queries and expressions."""
    depth, found = 0, list[int]()
    for index, token in enumerate(words):
        word = "" if token.token_type in QUOTED else token.text.upper()
        if token.token_type in OPEN or word == "CASE":
            depth += 1
        elif token.token_type in CLOSE or (word == "END" and depth):
            depth -= 1
        elif depth == 0 and word in MARKS:
            found.append(index)
    return found


def _end_of_name(words: list[Token], first: int) -> int:
    """Of a table's name, `a.b.c`, which an alias may follow."""
    end = first + 1
    while words[end].text == ".":
        end += 2
    return end
