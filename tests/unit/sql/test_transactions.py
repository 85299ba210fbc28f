"""What the transactions of auth and scheduler may change.

BigQuery cancels a transaction whose table a plain statement is changing. So a table that is changed without a pause is changed by plain
statements only.
"""

from collections.abc import Iterator

import pytest

from services.platform.bigquery.sql import Block, load_blocks
from services.platform.settings import REPOSITORY
from tests.support.strict_bigquery.script import Kind, parse

SERVICES = REPOSITORY / "services"
PARTS = ("auth", "auth/tenants", "scheduler/offboarding", "scheduler/queue", "scheduler/schedules")
BLOCKS = [block for part in PARTS for block in load_blocks(SERVICES / part / "queries.sql").values()]
CHANGED_WITHOUT_A_PAUSE = {"tenant_usage_quotas", "pipeline_execution_queue"}
"""By reservations, renewals and settlements; by claims, renewals and ends."""
MAX = 4
"""Statements between BEGIN and COMMIT: as long others wait."""


def transactions(sql: str) -> Iterator[list[tuple[Kind, str]]]:
    """What stands between BEGIN and COMMIT: kind and bare table."""
    inside: list[tuple[Kind, str]] | None = None
    for one in parse(sql, ""):
        if one.kind is Kind.BEGIN:
            inside = []
        elif one.kind is Kind.COMMIT and inside is not None:
            yield inside
            inside = None
        elif inside is not None:
            inside.append((one.kind, one.table.lstrip(".")))


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_no_transaction_changes_what_is_changed_without_a_pause(block: Block) -> None:
    for inside in transactions(block.sql):
        mutated = {table for kind, table in inside if kind is Kind.MUTATION}
        assert mutated, "what only inserts conflicts with nothing, so this transaction keeps nothing apart"
        assert not mutated & CHANGED_WITHOUT_A_PAUSE
        assert len(inside) <= MAX
        assert inside[0][0] is Kind.MUTATION, "first, it needs one free moment; later, it loses to any statement since its BEGIN"


def test_the_rule_finds_what_it_is_for() -> None:
    found = {block.name for block in BLOCKS for _ in transactions(block.sql)}
    assert {"enqueue", "backfill", "retry_run", "open_day", "reset_day", "put_tenant"} <= found
    assert not found & {"settle", "requeue", "delete_schedule", "claim_runs", "reserve"}
