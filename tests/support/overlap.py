"""Transactions that overlap for certain: each stays open for a while before its COMMIT."""

from dataclasses import replace
from typing import Final

from services.platform.bigquery.sql import Block

END: Final = "COMMIT TRANSACTION"
_WORK: Final = "SELECT COUNT(*) FROM UNNEST(GENERATE_ARRAY(1, {numbers})) AS number WHERE MOD(number, 7) = 3;\n  "
_NUMBERS: Final = 600_000
"""Some tenths of a second."""


def slowly(block: Block, *, times: int = 1) -> Block:
    """The same script with work before its COMMIT."""
    slow = replace(block, sql=block.sql.replace(END, f"{_WORK.format(numbers=times * _NUMBERS)}{END}"))
    assert slow != block
    return slow


def slow_at_first(block: Block, *, times: int = 1) -> Block:
    """The same statement or script, whose first statement takes a while: others do not see what it changes until then, nor does it see
    what they change.
    """
    first, _, rest = block.sql.partition(";")
    return slowly(replace(block, sql=f"BEGIN TRANSACTION;\n{first};\n{END};\n{rest}"), times=times)
