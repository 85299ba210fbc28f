"""Derived ids: doing something twice is doing it once."""

from datetime import UTC, date, datetime, timedelta, timezone
from uuid import UUID, uuid5

import pytest

from services.scheduler.ids import backfill_run_id, fire_run_id, is_backfill, pipeline_logging_id

CONFIG, SLOT, DAY = "0f8fad5b-d9cb-469f-a165-70867728950e", datetime(2026, 3, 29, 1, tzinfo=UTC), date(2026, 3, 29)


@pytest.mark.parametrize("config_id", [CONFIG, "cfg-1", ""])
def test_the_same_thing_has_the_same_id_and_nothing_else_has(config_id: str) -> None:
    """Also where the subscription system named the schedule, and its runs, as it liked."""
    same_slot = SLOT.astimezone(timezone(timedelta(hours=2)))
    ids = {fire_run_id(config_id, SLOT), backfill_run_id(config_id, DAY), fire_run_id(config_id + "x", SLOT)}
    attempts = {pipeline_logging_id(run_id, attempt) for run_id in (*ids, config_id) for attempt in (1, 2)}
    assert fire_run_id(config_id, same_slot) == fire_run_id(config_id, SLOT)
    assert (len(ids), len(attempts), len({UUID(one) for one in ids | attempts})) == (3, 8, 11)


def test_a_uuid_is_the_namespace_itself() -> None:
    assert fire_run_id(CONFIG, SLOT) == str(uuid5(UUID(CONFIG), "2026-03-29T01:00:00+00:00"))


def test_a_backfill_is_recognized_by_its_id() -> None:
    run_id = backfill_run_id(CONFIG, DAY)
    assert is_backfill(CONFIG, run_id, "2026-03-29")
    assert not any(is_backfill(CONFIG, run_id, day) for day in ("2026-03-28", "yesterday", None, 7))
    assert not is_backfill(CONFIG, fire_run_id(CONFIG, SLOT), "2026-03-29")
    part = backfill_run_id(CONFIG, DAY, is_over=False)
    assert (part != run_id, is_backfill(CONFIG, part, "2026-03-29")) == (True, True)
