"""Templates are picked up without a restart."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from services.executor.servicers.template_list import TemplateList
from services.executor.steps import STEP_TYPES
from services.executor.templates.name import PipelineName
from services.executor.templates.reload import ReloadingCatalog
from tests.support.executor.tenant import BILLING

OTHER = PipelineName(provider="gcp", domain="cost", template="other")


@pytest.fixture
async def reloading(configs: Path) -> AsyncIterator[ReloadingCatalog]:
    async with ReloadingCatalog(configs, STEP_TYPES, poll_seconds=0.02) as catalog:
        yield catalog


def put(path: Path, text: str) -> None:
    """As editors and mounted ConfigMaps do: another file takes its place at once."""
    draft = path.with_suffix(".draft")
    draft.write_text(text)
    draft.replace(path)


async def becomes(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


async def test_a_new_one_can_be_run_and_one_that_is_gone_cannot(configs: Path, reloading: ReloadingCatalog) -> None:
    listed = TemplateList()
    assert OTHER not in reloading.templates
    before = listed.answer(reloading.templates)
    assert listed.answer(reloading.templates) is before
    put(configs / "gcp/cost/other.yml", (configs / "gcp/cost/billing.yml").read_text())
    await becomes(lambda: OTHER in reloading.templates)
    after = listed.answer(reloading.templates)
    assert [one.template for one in after.templates] == sorted([*(one.template for one in before.templates), "other"])
    (configs / "gcp/cost/other.yml").unlink()
    await becomes(lambda: OTHER not in reloading.templates)
    assert BILLING in reloading.templates


async def test_one_that_breaks_goes_on_as_it_was_and_is_reported(configs: Path, reloading: ReloadingCatalog) -> None:
    """Until it is mended. Its SQL counts as well as its YAML."""
    path = configs / "gcp/cost/billing.yml"
    good, before = path.read_text(), reloading.templates[BILLING]
    with capture_logs() as logs:
        put(path, good.replace("timeout_seconds: 1800", "timeout_seconds: soon"))
        await becomes(lambda: any(line["event"] == "template_broken" for line in logs))
    assert next(line["problem"] for line in logs if line["event"] == "template_broken").startswith("gcp/cost/billing.yml:5:18: ")
    assert reloading.templates[BILLING] == before
    put(path, good.replace("timeout_seconds: 1800", "timeout_seconds: 1900"))
    await becomes(lambda: reloading.templates[BILLING].timeout_seconds == 1900)
    sql = configs / "gcp/cost/billing.sql"
    put(sql, sql.read_text().replace("AS s\n", "AS s -- now\n"))
    await becomes(lambda: "AS s -- now" in str([step.action for step in reloading.templates[BILLING].steps]))


async def test_sql_that_templates_share_counts_as_theirs(configs: Path, reloading: ReloadingCatalog) -> None:
    sql, path = configs / "gcp/cost/billing.sql", configs / "gcp/cost/billing.yml"
    put(configs / "shared/billing.sql", sql.read_text())
    put(path, path.read_text().replace("sql: billing.sql#billing_rows", "sql: shared/billing.sql#billing_rows"))
    put(configs / "shared/billing.sql", sql.read_text().replace("AS s\n", "AS s -- for all\n"))
    await becomes(lambda: "AS s -- for all" in str([step.action for step in reloading.templates[BILLING].steps]))
    before = reloading.templates[BILLING]
    put(configs / "shared/billing.sql", sql.read_text().replace("AS s\n", "AS s -- once more\n"))
    await becomes(lambda: "AS s -- once more" in str([step.action for step in reloading.templates[BILLING].steps]))
    assert reloading.templates[BILLING] != before


async def test_tables_that_cannot_be_read_leave_all_as_it_was(configs: Path, reloading: ReloadingCatalog) -> None:
    with capture_logs() as logs:
        put(configs / "bigquery/staging/broken.sql", "no DDL")
        await becomes(lambda: any(line["event"] == "templates_unreadable" for line in logs))
    assert BILLING in reloading.templates


async def test_what_has_not_changed_is_not_read_again(configs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = list[Path]()
    monkeypatch.setattr("services.executor.templates.reload._tell", lambda _: reads.append(configs))
    async with ReloadingCatalog(configs, STEP_TYPES, poll_seconds=0.001):
        await asyncio.sleep(0.2)
        assert len(reads) == 1
        os.utime(configs / "gcp/cost/billing.yml", ns=(1, 1))
        await becomes(lambda: len(reads) == 2)
