"""A few rows, and other versions of them."""

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from tests.support.exports.focus_rows import Row, moved, sample_rows
from tests.support.exports.objects import Delivered

MAY = date(2026, 5, 1)


def few(cloud: str, month: date = MAY) -> list[Row]:
    """Four or five rows."""
    return moved(sample_rows(cloud), month)


def dearer(rows: list[Row], by: str = "1.23") -> list[Row]:
    """The rows with another cost."""
    return [row | {"BilledCost": row["BilledCost"] + Decimal(by), "EffectiveCost": row["EffectiveCost"] + Decimal(by)} for row in rows]


def manifest(delivered: Delivered, **changes: Any) -> Delivered:
    """The same with another manifest: `changes` by key, a function of the value that was there."""
    [placed] = delivered.manifest
    content = json.loads(placed.body)
    for key, change in changes.items():
        content[key] = change(content[key])
    return replace(delivered, manifest=[replace(placed, body=json.dumps(content).encode())])
