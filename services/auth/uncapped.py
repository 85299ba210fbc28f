"""Tenants without a monthly cost limit, and what else the response to a reservation says of their plans. Pure: versions are passed in."""

from collections.abc import Collection, Iterable, Mapping

from services.auth.quota import Usage
from services.platform.bigquery.table_versions import Version


class UncappedTenants:
    """Known for as long as the subscriptions have not changed. The response to a reservation says what is left of the limit, so for tenants
    that have none it need not be read back.
    """

    def __init__(self) -> None:
        self._version: Version | None = None
        self._export_bytes = dict[str, int]()

    def export_bytes(self, version: Version | None, tenant_ids: Collection[str]) -> Mapping[str, int] | None:
        """`max_export_bytes` of these tenants, if none of them has a limit; else, or if it is not known, None. `version` was read after the
        question.
        """
        if version is None or version != self._version or not self._export_bytes.keys() >= set(tenant_ids):
            return None
        return {tenant_id: self._export_bytes[tenant_id] for tenant_id in tenant_ids}

    def note(self, version: Version | None, usages: Iterable[Usage]) -> None:
        """Keeps what a statement has found that was sent after `version` was read."""
        if version != self._version:
            self._version, self._export_bytes = version, {}
        for usage in usages:
            if usage.subscription_active and usage.monthly_cost_limit_usd is None:
                self._export_bytes[usage.tenant_id] = usage.max_export_bytes
