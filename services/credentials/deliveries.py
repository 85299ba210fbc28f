"""What became of the last notification of each target. The executor delivers them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

MAX_OUTCOMES: Final = 40
"""Maximum number in one call."""
PROBLEM_LENGTH: Final = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryOutcome:
    """The outcome of one notification. Its fields are columns."""

    tenant_id: str
    provider: str
    set_at: datetime
    """When the target that was tried had been set."""
    delivered_at: datetime
    """When the last try ended."""
    delivery_status: str
    """DELIVERED, REFUSED or FAILED."""
    delivery_problem: str
    """A sentence for the tenant; empty: none."""


def last_outcomes(outcomes: Iterable[DeliveryOutcome]) -> list[DeliveryOutcome]:
    """The last outcome for each target. Pure: an UPDATE must find at most one for a row."""
    by_time = sorted(outcomes, key=lambda outcome: outcome.delivered_at)
    return list({(outcome.tenant_id, outcome.provider, outcome.set_at): outcome for outcome in by_time}.values())
