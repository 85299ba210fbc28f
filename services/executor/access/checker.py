"""Checks stored credentials: decrypts them and tries them in the tenant's cloud."""

from services.clouds.access import CloudEndpoints, TenantAccess
from services.clouds.check_pool import CheckPool
from services.clouds.findings import AccessReport
from services.executor.sources.credentials import SealedCredential, decrypt
from services.executor.sources.tokens import IdentityTokens
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.errors import NotFound
from services.platform.errors import Unavailable
from services.platform.kms.client import Kms


class AccessChecker:
    """Keeps nothing: every check decrypts anew."""

    def __init__(self, bq: BigQuery, kms: Kms, tokens: IdentityTokens, endpoints: CloudEndpoints) -> None:
        self._bq = bq
        self._kms = kms
        self._tokens = tokens
        self._endpoints = endpoints

    async def check(self, sealed: SealedCredential, export: str | None, pool: CheckPool) -> AccessReport:
        """The report for a tenant's credentials, made in a thread of `pool`. Raises as `CheckPool.check` and `decrypt` do."""
        access = TenantAccess(
            tenant_id=sealed.tenant_id,
            provider=sealed.provider,
            plaintext=await decrypt(self._kms, sealed, sealed.tenant_id, sealed.provider),
            session="convergence-check",
            endpoints=self._endpoints,
            token_of=self._tokens.token_of(sealed.tenant_id, sealed.provider),
            probes=self._tokens.probes(sealed.tenant_id, sealed.provider),
            location=await self._location(sealed.tenant_id),
        )
        return await pool.check(access, export)

    async def _location(self, tenant_id: str) -> str | None:
        try:
            return await self._bq.locations.of(self._bq.tenant(tenant_id))
        except (NotFound, Unavailable):
            return None  # the check is about the tenant's cloud
