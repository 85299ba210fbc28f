"""Which step is a run's last, and what it gets to know."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import pytest

from services.executor.records import StepStatus
from services.executor.runs.last_step import Foresight, may_end, row_count_before, steps_left
from services.executor.templates.graph import When, ancestors
from services.executor.templates.step import StepContext, StepResult
from services.executor.templates.step_reader import TemplateStep

NOTHING = StepResult(metadata={"note": "nothing"})
COMPLETED, FAILED, SKIPPED = StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.SKIPPED


@dataclass(frozen=True)
class Plain:
    OUTPUTS: ClassVar[Mapping[str, str]] = {}

    async def run(self, context: StepContext) -> StepResult:
        raise NotImplementedError


@dataclass(frozen=True)
class Ending(Plain):
    ends_run: ClassVar[Literal[True]] = True


@dataclass(frozen=True)
class Knowing(Plain):
    known: StepResult | None = NOTHING
    error: Exception | None = None

    async def foresee(self, context: StepContext) -> StepResult | None:
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        return self.known


NEEDS = {
    "extract": (),
    "checks": ("extract",),
    "publish": ("checks",),
    "focus_stage": ("extract",),
    "focus_publish": ("publish", "focus_stage"),
}
INVOICES = {"focus_invoices": ("focus_publish",)}


def steps(needs: Mapping[str, tuple[str, ...]] = NEEDS | INVOICES, when: Mapping[str, When] | None = None) -> dict[str, TemplateStep]:
    actions = {"publish": Ending(), "focus_publish": Ending(), "focus_invoices": Knowing()}
    return {
        id_: TemplateStep(
            id=id_,
            type="x",
            index=index,
            needs=needs[id_],
            ancestors=ancestors(id_, needs),
            when=(when or {}).get(id_, When.ON_SUCCESS),
            attempts=1,
            timeout_seconds=60,
            action=actions.get(id_, Plain()),
            is_included=id_.startswith("focus_"),
        )
        for index, id_ in enumerate(needs)
    }


def left(step: str, ended: Mapping[str, StepStatus]) -> list[str] | None:
    known = steps()
    found = steps_left(known[step], list(known.values()), ended)
    return None if found is None else [one.id for one in found]


def test_only_a_step_that_can_ends_a_run_and_none_before_final_steps() -> None:
    known = steps()
    assert [one.id for one in known.values() if may_end(one, list(known.values()))] == ["publish", "focus_publish"]
    for when in (When.ALWAYS, When.ON_FAILURE):
        last = steps(NEEDS | {"tell": ()}, {"tell": when})
        assert not any(may_end(one, list(last.values())) for one in last.values())


@pytest.mark.parametrize(
    ("step", "ended", "expected"),
    [
        ("publish", {"extract": COMPLETED, "checks": COMPLETED}, None),
        ("publish", {"extract": COMPLETED, "checks": COMPLETED, "focus_stage": COMPLETED}, ["focus_publish", "focus_invoices"]),
        ("focus_publish", {"extract": COMPLETED, "checks": COMPLETED, "publish": COMPLETED, "focus_stage": COMPLETED}, ["focus_invoices"]),
        ("focus_publish", {"extract": COMPLETED, "checks": COMPLETED, "publish": COMPLETED, "focus_stage": SKIPPED}, ["focus_invoices"]),
        ("focus_publish", dict.fromkeys(["extract", "checks", "publish", "focus_stage", "focus_invoices"], COMPLETED), []),
        ("focus_publish", {"extract": COMPLETED, "checks": FAILED, "publish": COMPLETED, "focus_stage": COMPLETED}, None),
    ],
)
def test_what_is_left_beside_a_step(step: str, ended: Mapping[str, StepStatus], expected: list[str] | None) -> None:
    """None: one works beside it, or the run has failed."""
    assert left(step, ended) == expected


async def test_a_step_is_the_last_if_all_that_follow_have_foreseen_that_there_is_nothing_to_do() -> None:
    known = steps()

    async def foreseen(*asked: str, of: tuple[str, ...], **actions: Knowing) -> list[StepResult] | None:
        foresight = Foresight()
        async with asyncio.TaskGroup() as group:
            for id_ in asked:
                object.__setattr__(known[id_], "action", actions.get(id_, known[id_].action))
                foresight.begin(known[id_], None, group)  # type: ignore[arg-type]
            return await foresight.of([known[id_] for id_ in of])

    assert await foreseen(*known, of=("focus_invoices",)) == [NOTHING]
    assert await foreseen(*known, of=()) == []
    assert await foreseen(of=("focus_invoices",)) is None
    assert await foreseen(*known, of=("focus_publish", "focus_invoices")) is None
    assert await foreseen(*known, of=("focus_invoices",), focus_invoices=Knowing(known=None)) is None
    assert await foreseen(*known, of=("focus_invoices",), focus_invoices=Knowing(error=ValueError("broken"))) is None


def test_the_runs_row_count_is_that_of_the_templates_own_last_step_that_has_one() -> None:
    known = list(steps().values())
    by_id = {one.id: one for one in known}
    results = {"extract": StepResult(rows_processed=9), "checks": StepResult(), "publish": StepResult(rows_processed=7)}
    assert row_count_before(by_id["focus_publish"], known, results) == 7
    assert row_count_before(by_id["publish"], known, {"extract": StepResult(rows_processed=9)}) is None
    assert row_count_before(by_id["focus_publish"], known, {}) is None
