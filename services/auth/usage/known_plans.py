"""What is known of tenants' plans from earlier answers, so that a reservation need not be read back. Pure: versions are passed in.

What a plan says is *known* while the subscriptions have not changed. How much room its limits leave is only *expected*: this decides which
form of the statement is sent, never whether something was granted.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from services.auth.quota import Usage, left
from services.platform.bigquery.table_versions import Version

PLENTY = 1_000_000_000
"""What an absent limit leaves."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    export_bytes: int
    has_cost_limit: bool
    room: int
    """Reservations that the limits left at the last reading, without those that were granted since."""


class KnownPlans:
    """Of the tenants that were read since the subscriptions changed."""

    def __init__(self) -> None:
        self._version: Version | None = None
        self._plans = dict[str, _Plan]()

    def export_bytes(self, version: Version | None, tenant_ids: Collection[str]) -> Mapping[str, int] | None:
        """`max_export_bytes` of these tenants. None if it is not known, or if one of them has a cost limit: then the answer must also say
        what is left of it. `version` was read after the question.
        """
        if version is None or version != self._version:
            return None
        plans = {one: self._plans.get(one) for one in tenant_ids}
        known = {one: plan.export_bytes for one, plan in plans.items() if plan is not None and not plan.has_cost_limit}
        return known if len(known) == len(plans) else None

    def note(self, version: Version | None, usages: Iterable[Usage]) -> None:
        """Keeps what a statement has found that was sent after `version` was read."""
        if version != self._version:
            self._version, self._plans = version, {}
        for usage in usages:
            if not usage.subscription_active:
                self._plans.pop(usage.tenant_id, None)
                continue
            rooms = (
                left(usage.pipelines_run_today, usage.daily_limit),
                left(usage.pipelines_run_month, usage.monthly_limit),
                left(usage.concurrent_pipelines_running, usage.concurrent_limit),
            )
            self._plans[usage.tenant_id] = _Plan(
                export_bytes=usage.max_export_bytes,
                has_cost_limit=usage.monthly_cost_limit_usd is not None,
                room=min(PLENTY if room is None else room for room in rooms),
            )

    def expect(self, tenants: Iterable[str]) -> bool:
        """True if each tenant is likely to be granted a reservation for each time that it occurs in `tenants`: its limits are far off."""
        return all((plan := self._plans.get(one)) is not None and 2 * asked <= plan.room for one, asked in Counter(tenants).items())

    def granted(self, tenants: Iterable[str]) -> None:
        """Each tenant was granted one reservation for each time that it occurs in `tenants`."""
        for one, number in Counter(tenants).items():
            if (plan := self._plans.get(one)) is not None:
                self._plans[one] = replace(plan, room=plan.room - number)
