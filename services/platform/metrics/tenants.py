"""What tenants may and ask: quotas, questions about costs, and what is stored of their access."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import Counter, Gauge

from services.platform.errors import PermissionDenied, ResourceExhausted

LIMITS: Final = ("daily", "monthly", "monthly_cost", "concurrent", "subscription")

QUOTA_DECISIONS = Counter(
    "convergence_quota_decisions", "Runs granted, or refused by a limit; by `subscription` without an active one", ["decision", "limit"]
)
COST_ANSWERS = Counter("convergence_cost_answers", "Questions about costs: read, or answered from the cache", ["how"])
ACCESS_CHECKS = Counter("convergence_access_checks", "Checks of tenants' stored credentials by the nightly job", ["provider", "verdict"])
ACCESS_STOPPED = Counter("convergence_access_stopped", "Of these, access that worked at its last check and does no longer", ["provider"])
CREDENTIALS_BELOW_KEY_VERSION = Gauge(
    "convergence_credentials_below_min_key_version", "Stored credentials that an older KMS key version than the least wanted encrypted"
)
CREDENTIALS_OLDEST_KEY_VERSION = Gauge("convergence_credentials_oldest_key_version", "The oldest KMS key version in use; 0: none is known")

QUOTA_DECISIONS.labels("granted", "")
for _provider in ("AWS", "AZURE", "GCP"):
    ACCESS_STOPPED.labels(_provider)
for _limit in LIMITS:
    QUOTA_DECISIONS.labels("refused", _limit)  # so that an alert has a zero to rise from


@contextmanager
def quota_decision() -> Iterator[None]:
    """Counts the decision that is made while it is open: granted, or the refusal that is raised. Other errors decide nothing."""
    try:
        yield
    except (ResourceExhausted, PermissionDenied) as refusal:
        if (limit := limit_of(refusal.reason)) is not None:
            QUOTA_DECISIONS.labels("refused", limit).inc()
        raise
    QUOTA_DECISIONS.labels("granted", "").inc()


def limit_of(reason: str) -> str | None:
    """The limit that an error's reason names, e.g. DAILY_LIMIT_REACHED; None: it names none."""
    limit = "subscription" if reason == "SUBSCRIPTION_NOT_ACTIVE" else reason.removesuffix("_LIMIT_REACHED").lower()
    return limit if limit in LIMITS else None
