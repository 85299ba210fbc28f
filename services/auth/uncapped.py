"""Tenants without a monthly cost limit. Pure: versions are passed in."""

from collections.abc import Collection, Iterable

from services.auth.quota import Usage
from services.platform.bigquery.table_versions import Version


class UncappedTenants:
    """Known for as long as the subscriptions have not changed. The response to a reservation says what is left of the limit, so for tenants
    that have none it need not be read back.
    """

    def __init__(self) -> None:
        self._version: Version | None = None
        self._tenants = set[str]()

    def include(self, version: Version | None, tenant_ids: Collection[str]) -> bool:
        """True if none of these tenants has a limit. `version` was read after the question."""
        return version is not None and version == self._version and self._tenants.issuperset(tenant_ids)

    def note(self, version: Version | None, usages: Iterable[Usage]) -> None:
        """Keeps what a statement has found that was sent after `version` was read."""
        if version != self._version:
            self._version, self._tenants = version, set()
        self._tenants.update(usage.tenant_id for usage in usages if usage.subscription_active and usage.monthly_cost_limit_usd is None)
