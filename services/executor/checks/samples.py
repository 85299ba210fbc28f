"""Rows that break a rule, as a verdict shows them: few, short, with declared columns only."""

import json
from collections.abc import Sequence

MAX_BYTES = 2048
"""Bytes of a check's sample, as JSON in UTF-8."""

type Sample = list[dict[str, str | None]]


def read_sample(columns: Sequence[str], answered: str | None) -> Sample:
    """The sample in `answered`, a JSON array of arrays of texts, with `columns` as the names of the texts, in that order. Keeps as many
    whole rows as fit in MAX_BYTES; of a first row that is larger, as many of its values. Empty for NULL.
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
