"""The clouds there are, and how a tenant's source in one is opened with the tenant's credentials."""

from collections.abc import Callable, Mapping

from services.clouds.access import CloudEndpoints, TenantAccess
from services.clouds.own_resources import NOT_YOURS
from services.executor.errors import StepError
from services.executor.metering.meter import StepMeter
from services.executor.settings import ExecutorSettings
from services.executor.sources.credentials import SealedCredentials, open_credentials
from services.executor.sources.source import Source, SourceType
from services.executor.sources.tokens import IdentityTokens
from services.platform.errors import FailedPrecondition, Internal
from services.platform.kms.client import Kms


def _gcp() -> SourceType:
    from services.executor.sources.gcp.source import GCP  # noqa: PLC0415 - see SOURCE_TYPES

    return GCP


def _aws_focus() -> SourceType:
    from services.executor.sources.aws.source import FOCUS  # noqa: PLC0415 - see SOURCE_TYPES

    return FOCUS


def _aws_cur() -> SourceType:
    from services.executor.sources.aws.source import CUR  # noqa: PLC0415 - see SOURCE_TYPES

    return CUR


def _azure_focus() -> SourceType:
    from services.executor.sources.azure.source import FOCUS  # noqa: PLC0415 - see SOURCE_TYPES

    return FOCUS


def _azure_cost() -> SourceType:
    from services.executor.sources.azure.source import COST  # noqa: PLC0415 - see SOURCE_TYPES

    return COST


SOURCE_TYPES: Mapping[str, Callable[[], SourceType]] = {"GCP": _gcp}
"""By provider, those with one dataset. A cloud is imported when the first template that reads it is loaded, and its libraries when a
tenant's source is opened: an executor that serves one cloud loads no other's.
"""
DATASETS: Mapping[str, Mapping[str, Callable[[], SourceType]]] = {
    "AWS": {"focus": _aws_focus, "cur": _aws_cur},
    "AZURE": {"focus": _azure_focus, "cost": _azure_cost},
}
"""By provider and dataset, those with several."""


class TenantSources:
    """Opens tenants' sources with their stored credentials."""

    def __init__(self, sealed: SealedCredentials, kms: Kms, tokens: IdentityTokens, settings: ExecutorSettings) -> None:
        self._sealed = sealed
        self._tokens = tokens
        self._kms = kms
        self._settings = settings
        self._endpoints = CloudEndpoints.of(settings)

    async def open(self, tenant_id: str, source_type: SourceType, meter: StepMeter, *, session: str, since: float) -> Source:
        """Decrypts the credentials and opens the source. Raises StepError; Unavailable from KMS or a peer."""
        provider = source_type.provider
        try:
            access = TenantAccess(
                tenant_id=tenant_id,
                provider=provider,
                plaintext=await open_credentials(self._sealed, self._kms, tenant_id, provider, since=since),
                session=session,
                endpoints=self._endpoints,
                token_of=self._tokens.token_of(tenant_id, provider),
            )
            if field := access.endpoints.own.field_of(provider, access.plaintext):
                raise StepError(f"The {field} of the {provider} credentials {NOT_YOURS}")
            return source_type.open(access, self._settings, meter)
        except (FailedPrecondition, Internal) as error:
            if error.reason == "KMS_KEY_UNUSABLE":  # once the operator has fixed it, another attempt succeeds
                raise StepError(error.message, is_retryable=True) from error
            raise StepError(f"The stored {provider} credentials are missing or cannot be decrypted. Set them again.") from None
