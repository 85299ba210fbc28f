"""Which clouds there are, and how a tenant's source in one is opened with the tenant's credentials."""

from collections.abc import Callable, Mapping

from services.executor.errors import StepError
from services.executor.settings import ExecutorSettings
from services.executor.sources.credentials import SealedCredentials, open_credentials
from services.executor.sources.source import Source, SourceType
from services.platform.errors import FailedPrecondition, Internal
from services.platform.kms.client import Kms


def _gcp() -> SourceType:
    from services.executor.sources.gcp.source import GCP  # noqa: PLC0415 - see SOURCE_TYPES

    return GCP


SOURCE_TYPES: Mapping[str, Callable[[], SourceType]] = {"GCP": _gcp}
"""By provider. A cloud is imported as the first template that reads it is loaded: an executor without templates of a cloud needs none of
its libraries.
"""


class TenantSources:
    """Opens tenants' sources; `sources.source.Sources`."""

    def __init__(self, sealed: SealedCredentials, kms: Kms, settings: ExecutorSettings) -> None:
        self._sealed = sealed
        self._kms = kms
        self._settings = settings

    async def open(self, tenant_id: str, source_type: SourceType) -> Source:
        """See `sources.source.Sources`."""
        provider = source_type.provider
        try:
            return source_type.open(await open_credentials(self._sealed, self._kms, tenant_id, provider), self._settings)
        except (FailedPrecondition, Internal) as error:
            if error.reason == "KMS_KEY_UNUSABLE":  # the operator can mend it, and then another attempt works
                raise StepError(error.message, is_retryable=True) from error
            raise StepError(f"The stored {provider} credentials are gone or do not open. Set them again.") from None
