"""How claimed runs of an offboarded tenant end, and what a request must say."""

from datetime import UTC, datetime

import pytest

from services.platform.errors import InvalidArgument
from services.scheduler.offboarding.ends import OFFBOARDED, deletes_dataset, end_of, export_prefix
from services.scheduler.queue.claims import Claim
from services.scheduler.queue.outcomes import AttemptState, ClaimOutcome

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CLAIM = Claim(
    run_id="r",
    config_id="c",
    tenant_id="acme",
    pipeline_id="gcp-cost-billing",
    claimed_by="me",
    attempt=1,
    scheduled_time=NOW,
    retry_count=0,
    max_retries=3,
    parameters={},
    pipeline=None,
)


@pytest.mark.parametrize(
    ("status", "outcome", "message", "has_record"),
    [
        ("COMPLETED", ClaimOutcome.COMPLETED, None, True),
        ("FAILED", ClaimOutcome.FAILED, "no export", True),
        ("CANCELLED", ClaimOutcome.FAILED, "no export", True),
        ("", ClaimOutcome.FAILED, OFFBOARDED, False),
        ("UNKNOWN", ClaimOutcome.FAILED, OFFBOARDED, True),
    ],
)
def test_a_run_is_never_tried_again(status: str, outcome: ClaimOutcome, message: str | None, has_record: bool) -> None:
    end = end_of(CLAIM, AttemptState(status=status, error_message="no export", is_final=False), NOW)
    assert end is not None
    assert (end.outcome, end.error_message, end.not_before) == (outcome, message, None)
    assert (end.pipeline_logging_id == CLAIM.pipeline_logging_id) is has_record


def test_a_run_that_is_still_being_put_away_is_not_judged() -> None:
    """It may have COMPLETED."""
    assert end_of(CLAIM, AttemptState(status="RUNNING", error_message="", is_final=False), NOW) is None


def test_what_is_to_be_done_must_be_said_and_confirmed() -> None:
    assert (deletes_dataset("acme", confirm="acme", dataset="KEEP"), deletes_dataset("acme", confirm="acme", dataset="DELETE")) == (
        False,
        True,
    )
    for field, confirm, dataset in (("confirm", "acme_corp", "KEEP"), ("confirm", "ACME", "DELETE"), ("dataset", "acme", "delete")):
        with pytest.raises(InvalidArgument) as refused:
            deletes_dataset("acme", confirm=confirm, dataset=dataset)
        assert refused.value.field == field


@pytest.mark.parametrize(
    ("uri", "prefix"),
    [("", ""), ("gs://bucket", "gs://bucket"), ("gs://bucket/", "gs://bucket"), ("gs://a.b-c/x=1/y_2.z", "gs://a.b-c/x=1/y_2.z")],
)
def test_where_a_dataset_may_be_exported_to(uri: str, prefix: str) -> None:
    assert export_prefix(uri) == prefix


@pytest.mark.parametrize(
    "uri",
    [
        "bucket/x",
        "s3://bucket/x",
        "gs://",
        "gs://B/x",
        "gs://bucket/*",
        "gs://bucket//x",
        "gs://bucket/..",
        "gs://bucket/a/../../x",
        "gs://bucket/./x",
        "gs://ab/x",
        "gs://bucket/" + "x" * 700,
    ],
)
def test_where_it_may_not(uri: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        export_prefix(uri)
    assert refused.value.field == "export_uri"
