"""Rows that break a rule, as a verdict shows them: few, with the declared columns only, and short."""

import json
from collections.abc import Sequence

MAX_BYTES = 2048
"""Of a check's sample, as JSON in UTF-8."""

type Sample = list[dict[str, str | None]]


def read_sample(columns: Sequence[str], answered: str | None) -> Sample:
    """The rows of a JSON array of arrays of texts, whose values are the `columns`, in that order; as many, whole, as MAX_BYTES hold; of a
    first row that is longer by itself, as many of its values. Empty for NULL.
    """
    rows: Sample = []
    for values in json.loads(answered or "[]"):
        row = dict(zip(columns, values, strict=True))
        while row and _size([*rows, row]) > MAX_BYTES:
            row = {} if rows else dict(list(row.items())[:-1])
        if not row:
            break
        rows.append(row)
    return rows


def _size(rows: Sample) -> int:
    return len(json.dumps(rows, ensure_ascii=False).encode())
