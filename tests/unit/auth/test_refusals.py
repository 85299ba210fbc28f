"""What a refused reservation says: the limit that lasts longest, and when to ask again, if waiting can help at all."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auth.quota import CONCURRENT_RETRY, Usage, next_day, next_month, next_run, refusal, refusing_limit
from services.platform.errors import ResourceExhausted, to_status

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
USAGE = Usage(
    tenant_id="acme",
    usage_date=date(2026, 3, 10),
    pipelines_run_today=3,
    pipelines_succeeded_today=1,
    pipelines_failed_today=0,
    pipelines_run_month=7,
    concurrent_pipelines_running=2,
    daily_limit=None,
    monthly_limit=None,
    concurrent_limit=None,
    cost_usd_month=0.5,
    monthly_cost_limit_usd=None,
    max_export_bytes=1,
    subscription_active=True,
    held=frozenset(),
)
LIMITS = ("daily_limit", "monthly_limit", "concurrent_limit", "monthly_cost_limit_usd")


@pytest.mark.parametrize(
    ("limits", "reason", "wait"),
    [
        ({"daily_limit": 3}, "DAILY_LIMIT_REACHED", timedelta(hours=12)),
        ({"daily_limit": 3, "monthly_limit": 7}, "MONTHLY_LIMIT_REACHED", next_month(NOW) - NOW),
        ({"concurrent_limit": 2}, "CONCURRENT_LIMIT_REACHED", CONCURRENT_RETRY),
        ({"monthly_cost_limit_usd": 0.5}, "MONTHLY_COST_LIMIT_REACHED", next_month(NOW) - NOW),
        ({"daily_limit": 0}, "DAILY_LIMIT_REACHED", None),
        ({"monthly_limit": 0}, "MONTHLY_LIMIT_REACHED", None),
        ({"concurrent_limit": 0}, "CONCURRENT_LIMIT_REACHED", None),
        ({"monthly_cost_limit_usd": 0.0}, "MONTHLY_COST_LIMIT_REACHED", None),
        # The month's end would help against the first, but not against the second.
        ({"monthly_limit": 7, "daily_limit": 0}, "DAILY_LIMIT_REACHED", None),
        ({"monthly_cost_limit_usd": 0.4, "concurrent_limit": 0}, "CONCURRENT_LIMIT_REACHED", None),
    ],
)
def test_a_refusal_says_when_to_ask_again_only_if_that_can_help(limits: dict[str, float], reason: str, wait: timedelta | None) -> None:
    usage = replace(USAGE, **limits)  # type: ignore[arg-type]
    refused = refusal(usage, NOW)
    assert isinstance(refused, ResourceExhausted)
    assert (refused.reason, refused.retry_after) == (reason, wait)
    assert ("RetryInfo" in str(to_status(refused))) is (wait is not None)
    assert ("is 0, so no pipeline may run. A larger plan helps at once." in refused.message) is (wait is None)
    assert next_run(usage, NOW) == (refusing_limit(usage), refused.message)


def test_a_retry_needs_no_unit_and_is_refused_by_no_limit_of_units() -> None:
    assert refusing_limit(replace(USAGE, daily_limit=0, monthly_limit=0), is_retry=True) is None
    assert refusing_limit(replace(USAGE, daily_limit=0, concurrent_limit=0), is_retry=True) == "CONCURRENT"


@given(st.fixed_dictionaries({name: st.none() | st.integers(0, 8) for name in LIMITS}), st.booleans())
def test_where_a_wait_is_named_a_run_may_be_admitted_after_it(limits: dict[str, int | None], is_retry: bool) -> None:
    """Either no limit refuses any more once the counts that it names have started again, or no wait is named."""
    usage = replace(USAGE, **limits)  # type: ignore[arg-type]
    if (limit := refusing_limit(usage, is_retry=is_retry)) is None:
        return
    refused = refusal(usage, NOW, is_retry=is_retry)
    idle = replace(usage, concurrent_pipelines_running=0, pipelines_run_today=0)
    if limit in {"MONTHLY", "MONTHLY_COST"}:
        idle = replace(idle, pipelines_run_month=0, cost_usd_month=0.0)
    can_help = refusing_limit(idle, is_retry=is_retry) is None
    assert (refused.retry_after is not None) is can_help
    assert refused.retry_after is None or NOW < NOW + refused.retry_after <= max(next_day(NOW), next_month(NOW))
