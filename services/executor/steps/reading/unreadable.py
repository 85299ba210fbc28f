"""Records which parts of an export could not be read while the rest was read: as a failed check that only warns."""

import uuid
from collections.abc import Mapping
from typing import Any, Final

from services.executor.records import DqResult
from services.executor.templates.step import StepContext

UNREADABLE: Final = "unreadable"
"""In the origin of an export: sentences about what could not be read."""
CHECK: Final = "all_periods_readable"
EXPECT: Final = "every billing period that has changed to be readable; one that is not is tried again by each run"


def record_unreadable(context: StepContext, origin: Mapping[str, Any], table: str) -> None:
    """Nothing if all could be read. `table`: the staging table's shape, for the record."""
    sentences = [str(one) for one in origin.get(UNREADABLE, ())]
    if not sentences:
        return
    verdict = DqResult(
        dq_result_id=str(uuid.uuid4()),
        tenant_id=context.run.tenant_id,
        user_id=context.run.user_id,
        pipeline_logging_id=context.run.pipeline_logging_id,
        step_id=context.step_id,
        table_name=table,
        check_name=CHECK,
        severity="warn",
        status="FAILED",
        observed_value=" ".join(sentences)[:1000],
        threshold=EXPECT,
        failing_rows=len(sentences),
        executed_at=context.tools.clock.now(),
    )
    context.tools.store.record_verdicts(context.run.tenant_id, [verdict])
