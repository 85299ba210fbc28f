"""The FinOps Foundation's own validator judges what the templates of AWS and Azure publish: FOCUS exports, and native ones that we map."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.integration.exports.conftest import azure, clouds, gates, world
from tests.integration.focus.accepted import ACCEPTED_AWS, ACCEPTED_AZURE
from tests.integration.focus.published import broken_by_published
from tests.support.exports.aws_focus import AwsFocusExport
from tests.support.exports.azure_focus import AzureFocusExport
from tests.support.exports.focus_rows import sample_rows, toolkit_rows
from tests.support.exports.native import NiseCost, NiseReport
from tests.support.exports.world import AWS, AZURE, World

__all__ = ["azure", "clouds", "gates", "world"]
MAY, SEPTEMBER, OCTOBER = date(2026, 5, 1), date(2024, 9, 1), date(2025, 10, 1)


async def aws_exports(world: World) -> None:
    """FOCUS 1.2 and 1.0, and a legacy report with a savings plan."""
    for name, version, month, rows in (("new", "1.2", MAY, toolkit_rows(AWS)), ("old", "1.0", SEPTEMBER, sample_rows(AWS))):
        export = AwsFocusExport(bucket=world.bucket, name=name, version=version)
        world.place(AWS, export.deliver(month, rows))
        await world.run("aws/cost/focus", export=export.location, month=f"{month:%Y-%m}")
    report = NiseReport(name="plans", bucket=world.bucket)
    world.place(AWS, report.deliver(OCTOBER))
    await world.run("aws/cost/cur", export=report.location, month="2025-10")


async def azure_exports(world: World) -> None:
    """FOCUS 1.2-preview and 1.0r2, and actual cost."""
    for version, month, rows in (("1.2", MAY, toolkit_rows(AZURE)), ("1.0r2", SEPTEMBER, sample_rows(AZURE))):
        export = AzureFocusExport(name=f"validated-{version}", version=version)
        world.place(AZURE, export.deliver(month, rows))
        await world.run("azure/cost/focus", export=export.location, month=f"{month:%Y-%m}")
    cost = NiseCost(currency="EUR")
    world.place(AZURE, cost.deliver(OCTOBER))
    await world.run("azure/cost/actual", export=cost.export.location, month="2025-10")


@pytest.mark.parametrize(("publish", "accepted"), [(aws_exports, ACCEPTED_AWS), (azure_exports, ACCEPTED_AZURE)], ids=[AWS, AZURE])
async def test_nothing_is_broken_but_what_is_accepted(
    world: World, tmp_path: Path, publish: Callable[[World], Any], accepted: dict[str, str]
) -> None:
    """A rule that is accepted and no longer broken must go, too."""
    await publish(world)
    broken = await broken_by_published(world.tenant, tmp_path)
    assert {rule: said for rule, said in broken.items() if rule not in accepted} == {}, "new: mend it, or accept it with a reason"
    assert set(accepted) - set(broken) == set(), "accepted, and no longer broken: take it off the list"
