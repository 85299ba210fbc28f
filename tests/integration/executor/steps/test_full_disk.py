"""The executor's disk is full: the run that needs it fails, by itself, and the next one works once there is room."""

import tempfile
from datetime import date
from pathlib import Path
from typing import IO, Any

import pytest

from services.executor.records import RunStatus
from services.executor.runs.execute import execute
from services.executor.store import Store
from services.executor.templates.step import Toolbox
from tests.integration.executor.runs.test_life import Begin
from tests.support.executor.billing_export import ACCOUNT, STANDARD, load, many
from tests.support.executor.tenant import Tenant

DAY = date(2025, 11, 17)


async def test_a_full_spool_fails_its_run_only(
    tenant: Tenant, begin: Begin, tools: Toolbox, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The export is so small that nothing is written before the file is flushed. Another attempt may find room."""
    load(tenant.host, f"{tenant.project}.exports.gcp_billing_export_v1_{ACCOUNT}", many(DAY, 3), STANDARD)
    full, usual = await begin(date=str(DAY)), await begin(date=str(DAY))

    def on_full_disk(**_: Any) -> IO[bytes]:
        return Path("/dev/full").open("r+b")

    with monkeypatch.context() as disk:
        disk.setattr(tempfile, "TemporaryFile", on_full_disk)
        refused = await execute(full, tools)
    completed = await execute(usual, tools)

    lines = await store.list_step_logs(tenant.tenant_id, full.run.pipeline_logging_id)
    [failed] = [line for line in lines if line.action == "STEP_FAILED"]
    assert (refused.status, refused.is_final, failed.metadata["can_heal"]) == (RunStatus.FAILED, False, True)
    assert "could not write its spool file. Run it again in a moment." in (refused.error_message or "")
    assert (completed.status, tools.spool.taken(tenant.tenant_id)) == (RunStatus.COMPLETED, 0)
