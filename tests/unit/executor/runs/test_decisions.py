"""The executor's pure decisions: names, plans, the choice of an export, verdicts, page tokens, staging."""

import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from services.executor.checks.verdicts import Check, judge, refuse_errors
from services.executor.errors import StepError
from services.executor.records import RunState, RunStatus, StepStatus
from services.executor.runs import reconcile
from services.executor.runs.quota import Reservation
from services.executor.staging.shape import StagingShape, bind, conform
from services.executor.templates.graph import When, should_run
from services.executor.templates.name import PipelineName
from services.platform.bigquery.sql import make_block

BILLING = PipelineName(provider="gcp", domain="cost", template="billing")
RUN = "0f8fad5b-d9cb-469f-a165-70867728950e"
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize("text", ["gcp/cost/billing", "gcp-cost-billing", "GCP/cost/billing"])
def test_a_pipeline_is_named_in_either_writing(text: str) -> None:
    assert PipelineName.parse(text) == BILLING
    assert BILLING.pipeline_id("acme") == "acme-gcp-cost-billing"


@pytest.mark.parametrize(
    "text", ["", "gcp", "gcp/cost", "gcp/cost/billing/x", "gcp/../billing", "gcp/cost/Billing", "gcp/co st/billing", "//"]
)
def test_what_is_no_pipeline_is_none(text: str) -> None:
    assert PipelineName.parse(text) is None


@pytest.mark.parametrize(
    ("when", "ended", "runs"),
    [
        ("on_success", {"a": StepStatus.COMPLETED}, True),
        ("on_success", {"a": StepStatus.FAILED}, False),
        ("on_success", {"a": StepStatus.SKIPPED}, False),
        ("on_success", {}, False),
        ("on_failure", {"a": StepStatus.COMPLETED}, False),
        ("on_failure", {"a": StepStatus.COMPLETED, "b": StepStatus.FAILED}, True),
        ("always", {"a": StepStatus.FAILED}, True),
        ("always", {}, True),
    ],
)
def test_a_step_runs_by_what_ended_before(when: str, ended: dict[str, StepStatus], runs: bool) -> None:
    assert should_run(needs=("a",), when=When(when), ended=ended) is runs


def test_verdicts_come_in_the_templates_order_and_errors_refuse() -> None:
    checks = [Check(name="a", severity="warn", expect="x"), Check(name="b", severity="error", expect="no NULL")]
    measured = [
        {"check_name": "b", "failing_rows": 2, "observed_value": "2"},
        {"check_name": "a", "failing_rows": 1, "observed_value": None},
    ]
    verdicts = judge(checks, measured)
    assert [(v.check.name, v.passed, v.failing_rows) for v in verdicts] == [("a", False, 1), ("b", False, 2)]
    with pytest.raises(StepError, match=r"what they guard was not published: b \(expected no NULL, 2 rows fail\)"):
        refuse_errors(verdicts)
    refuse_errors(verdicts[:1])


def test_a_check_that_nothing_measures_is_a_broken_template() -> None:
    with pytest.raises(StepError, match="does not measure a"):
        judge([Check(name="a", severity="warn", expect="x")], [])


SHAPE = StagingShape(
    name="x_staging_it", columns={"id": "STRING", "at": "TIMESTAMP", "s": "STRUCT<a FLOAT64, b STRING>", "l": "ARRAY<STRUCT<k STRING>>"}
)


def test_a_staging_table_is_named_by_run_and_attempt() -> None:
    staging = SHAPE.table(RUN, 2)
    assert staging.name == "x_staging_it_0f8fad5b_d9cb_469f_a165_70867728950e_2"
    block = make_block("b", "SELECT s.id FROM x_staging_it AS s JOIN x_staging_it_other AS o ON TRUE", {})
    bound = bind(block, (staging,))
    assert bound.sql == f"SELECT s.id FROM {staging.name} AS s JOIN x_staging_it_other AS o ON TRUE"
    assert bound.read == block.read


@pytest.mark.parametrize("identity", ["", "x", "0f8fad5b-d9cb-469f-a165-70867728950e; DROP", "0F8FAD5B-D9CB-469F-A165-70867728950E"])
def test_only_a_uuid_becomes_part_of_a_name(identity: str) -> None:
    with pytest.raises(ValueError, match="UUID"):
        SHAPE.table(identity, 1)


def test_a_batch_conforms_at_any_depth() -> None:
    """Missing columns and fields are NULL, others are dropped, types are cast, NULL structs stay NULL, slices too."""
    rows: list[dict[str, Any]] = [
        {"x": 1, "s": {"a": 1, "z": 2}, "l": [{"k": "v", "w": 1}, {"k": None, "w": 2}], "id": "1"},
        {"x": 1, "s": None, "l": [], "id": "2"},
        {"x": 1, "s": {"a": None, "z": 2}, "l": [{"k": "u", "w": 1}], "id": "3"},
    ]
    kind = pa.schema(
        [
            ("x", pa.int64()),
            ("s", pa.struct([("a", pa.int64()), ("z", pa.int64())])),
            ("l", pa.list_(pa.struct([("k", pa.string()), ("w", pa.int64())]))),
            ("id", pa.string()),
        ]
    )
    batch = pa.RecordBatch.from_pylist(rows, schema=kind)
    expected = [
        {"id": "1", "at": None, "s": {"a": 1.0, "b": None}, "l": [{"k": "v"}, {"k": None}]},
        {"id": "2", "at": None, "s": None, "l": []},
        {"id": "3", "at": None, "s": {"a": None, "b": None}, "l": [{"k": "u"}]},
    ]
    assert conform(batch, SHAPE.arrow).to_pylist() == expected
    assert conform(batch.slice(1), SHAPE.arrow).to_pylist() == expected[1:]


def test_a_column_of_another_kind_is_reported() -> None:
    batch = pa.RecordBatch.from_pylist([{"at": "not a time"}])
    with pytest.raises(StepError, match="Column at of the export is string"):
        conform(batch, SHAPE.arrow)


@pytest.mark.parametrize(
    ("state", "fail_run", "outcome"),
    [
        (None, False, "NOT_STARTED"),
        ("RUNNING", True, "FAILED"),
        ("COMPLETED", False, "COMPLETED"),
        ("FAILED", False, "FAILED"),
        ("CANCELLED", False, "CANCELLED"),
    ],
)
def test_an_expired_slot_is_settled_as_its_run_stands(state: str | None, fail_run: bool, outcome: str) -> None:
    slot = Reservation(tenant_id="acme", pipeline_logging_id=RUN, usage_date=date(2026, 3, 10), expired_at=NOON, trigger_type="api")
    verdict = reconcile.decide(RunStatus(state) if state else None, slot, NOON)
    assert verdict is not None
    assert (verdict.fail_run, str(verdict.outcome)) == (fail_run, outcome)


@pytest.mark.parametrize("identity", [RUN, str(uuid.uuid5(uuid.UUID(RUN), "2"))])
@pytest.mark.parametrize("trigger_type", ["api", "scheduler", "backfill", None])
def test_who_may_start_a_run_again_that_never_began_is_read_off_its_reservation(trigger_type: str | None, identity: str) -> None:
    """Never off its id: a derived one (UUIDv5) may be an attempt's or that of an Idempotency-Key. What it took is given back; of an
    attempt of a schedule only if the scheduler does not start it again in time, which renews the reservation.
    """
    slot = Reservation(
        tenant_id="acme", pipeline_logging_id=identity, usage_date=date(2026, 3, 10), expired_at=NOON, trigger_type=trigger_type
    )
    later = NOON + reconcile.TAKEN_UP_WITHIN + timedelta(seconds=1)
    given_back = reconcile.ReconcileAction(fail_run=False, outcome="NOT_STARTED", only_if_expired=True)
    assert reconcile.decide(None, slot, NOON) == (given_back if trigger_type == "api" else None)
    assert reconcile.decide(None, slot, later) == given_back
    assert reconcile.decide(RunStatus.RUNNING, slot, NOON) == reconcile.ReconcileAction(fail_run=True, outcome=RunStatus.FAILED)


@pytest.mark.parametrize(("began", "day"), [(9, 9), (10, 10), (11, 10)])
def test_a_slot_that_the_reset_moved_counts_on_the_day_its_run_began(began: int, day: int) -> None:
    """Never on a later one: a run that begins just after midnight was reserved before it."""
    slot = Reservation(tenant_id="acme", pipeline_logging_id=RUN, usage_date=date(2026, 3, 10))
    state = RunState(status=RunStatus.RUNNING, started_at=datetime(2026, 3, began, 12, tzinfo=UTC))
    assert reconcile.reserved_on(slot, state).usage_date == date(2026, 3, day)
    assert reconcile.reserved_on(slot, None) == slot
