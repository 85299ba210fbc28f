"""What a run of exported files asks of the clouds: counted at their doors, and by our own counters of jobs."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from services.executor.metering.cap import RunCap
from services.executor.records import RunOutcome, RunStatus
from services.executor.runs.dry_run import DryRunner
from services.executor.runs.execute import execute
from tests.support.counting import jobs
from tests.support.executor.fakes import Credentials
from tests.support.exports.aws_focus import AwsFocusExport
from tests.support.exports.azure_focus import AzureFocusExport
from tests.support.exports.focus_rows import moved, sample_rows
from tests.support.exports.gate import Asked
from tests.support.exports.world import AWS, AZURE, World
from tests.support.set_clock import SetClock

MAY, JUNE = date(2026, 5, 1), date(2026, 6, 1)
PIPELINES = {AWS: "aws/cost/focus", AZURE: "azure/cost/focus"}
CHANGED = 4
"""What is published of the periods, the load, the checks, the publish."""


@pytest.fixture
def inside(world: World) -> World:
    """On the 20th of June."""
    clock = SetClock()
    clock.time = datetime(2026, 6, 20, 4, tzinfo=UTC)
    return world.with_tools(clock=clock)


async def counted(world: World, cloud: str, **given: Any) -> tuple[RunOutcome, list[Asked], float]:
    """A run: how it ends, what it asks of the object store, and its jobs besides those that begin and end a run."""
    job = await world.begin(PIPELINES[cloud], **given)
    world.gates[cloud].objects()
    before = jobs()
    outcome = await execute(job, world.tools)
    found = jobs() - before
    await world.end(job, outcome)
    assert outcome.status is RunStatus.COMPLETED, outcome.error_message
    return outcome, world.gates[cloud].objects(), found


def export_of(world: World, cloud: str, name: str) -> AwsFocusExport | AzureFocusExport:
    return AwsFocusExport(bucket=world.account.bucket, name=name) if cloud == AWS else AzureFocusExport(name=name)


@pytest.mark.parametrize("cloud", [AWS, AZURE])
async def test_a_day_s_check_of_an_unchanged_tenant(inside: World, name: str, cloud: str) -> None:
    """One request a period and one job; a change of one period costs its files, two requests to know them, and a look in the end."""
    export = export_of(inside, cloud, name)
    rows = {month: moved(sample_rows(cloud), month) for month in (MAY, JUNE)}
    for month, of_month in rows.items():
        inside.place(cloud, export.deliver(month, of_month, files=3, at=datetime(2026, 6, 19, tzinfo=UTC)))
    given = {"export": export.location, "months": "open", "history_months": 2}
    first, asked, _ = await counted(inside, cloud, **given)  # tables are made, too
    assert first.rows_processed == sum(len(one) for one in rows.values())

    unchanged, asked, done = await counted(inside, cloud, **given)
    assert (unchanged.rows_processed, done) == (0, 1)
    assert len(asked) == len(rows), asked

    inside.place(cloud, export.deliver(JUNE, rows[JUNE] * 2, files=3, at=datetime(2026, 6, 20, tzinfo=UTC)))
    changed, asked, done = await counted(inside, cloud, **given)
    assert (changed.rows_processed, done) == (len(rows[JUNE]) * 2, CHANGED)
    known = 2  # AWS: the manifest, a listing of its files; Azure: the run's manifest, and the last one's, which lies beside it
    assert len(asked) <= len(rows) + known + 3 + 1, asked


@pytest.mark.parametrize("cloud", [AWS, AZURE])
async def test_a_month_without_an_export_costs_one_request_too(inside: World, name: str, cloud: str) -> None:
    """The third month back is from before the export began, and is looked for each day; AWS's in either spelling of its folder."""
    export = export_of(inside, cloud, name)
    for month in (MAY, JUNE):
        inside.place(cloud, export.deliver(month, moved(sample_rows(cloud), month), at=datetime(2026, 6, 19, tzinfo=UTC)))
    given = {"export": export.location, "months": "open", "history_months": 3}
    await counted(inside, cloud, **given)
    unchanged, asked, done = await counted(inside, cloud, **given)
    assert (unchanged.rows_processed, done) == (0, 1)
    assert len(asked) == (4 if cloud == AWS else 3), asked


async def test_what_lies_in_aws_is_known_to_dry_runs_and_caps_before_a_file_is_read(inside: World, name: str) -> None:
    """Its manifests do not say how large the files are."""
    export = export_of(inside, AWS, name)
    delivered = export.deliver(JUNE, moved(sample_rows(AWS), JUNE), files=2)
    inside.place(AWS, delivered)
    size = sum(len(one.body) for one in delivered.data)
    job = await inside.begin(PIPELINES[AWS], export=export.location, months="open")
    dry_runner = DryRunner(inside.tools, Credentials(), query_usd_per_tib=6.25)  # type: ignore[arg-type]
    inside.gates[AWS].objects()
    preview = await dry_runner.dry_run(job)
    extract = preview.steps[0]
    assert (preview.problems, extract.bytes_read, extract.cost_usd > 0) == ({}, size, True)
    assert preview.period
    assert preview.period.first == JUNE

    capped = await execute(replace(job, template=replace(job.template, cap=RunCap(bytes_read=size - 1))), inside.tools)
    assert "1 bytes more than the cap of a run" in str(capped.error_message)
    assert "refused before it read" in str(capped.error_message)
    inside.remove(AWS, [delivered.data[1].key])
    preview = await dry_runner.dry_run(job)
    assert f"{delivered.data[1].key}, which is not in the bucket" in preview.problems[extract.step_id]
    await inside.end(job, capped)
    assert not [one for one in inside.gates[AWS].objects() if "/data/" in one.path and not one.is_listing]


async def test_a_tenant_s_wrong_secret_is_one_strike(inside: World, name: str) -> None:
    """Entra locks an application out after some: a run signs in once, whatever the client library would like to do."""
    export = AzureFocusExport(name=name)
    inside.place(AZURE, export.deliver(JUNE, moved(sample_rows(AZURE), JUNE)))
    wrong = inside.tools.sources.stored["AZURE"].replace(b"reader~secret", b"wronger~secret")  # type: ignore[attr-defined]
    sources = replace(inside.tools.sources, stored={"AZURE": wrong})  # type: ignore[type-var]
    inside.gates[AZURE].asked.clear()
    said = await inside.with_tools(sources=sources).fail(PIPELINES[AZURE], export=export.location, month="2026-06")
    assert len([one for one in inside.gates[AZURE].asked if one.path.endswith("/oauth2/v2.0/token")]) == 1
    assert "wronger" not in said


LIBRARIES = ("boto3", "botocore", "s3transfer", "azure", "msal")
LOADED = "from services.executor.templates.catalog import load_catalog; from services.executor.steps import STEP_TYPES"
PROCESSES = {
    "what it is made of": "import services.executor.__main__",
    "all templates": f"{LOADED}; from services.platform.settings import ServiceSettings as S; load_catalog(S().configs_dir, STEP_TYPES)",
}


@pytest.mark.parametrize("process", PROCESSES)
def test_an_executor_that_serves_only_gcp_imports_no_library_of_another_cloud(process: str) -> None:
    """Though it knows the templates of all clouds."""
    code = f"{PROCESSES[process]}; import sys; print(sorted({{one.split('.')[0] for one in sys.modules}} & set({LIBRARIES})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
