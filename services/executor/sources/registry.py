"""The clouds there are, and how a tenant's source in one is opened with the tenant's credentials."""

from collections.abc import Callable, Mapping

from services.clouds.access import AccessRefused, CloudEndpoints, TenantAccess
from services.executor.errors import StepError
from services.executor.metering.meter import StepMeter
from services.executor.settings import ExecutorSettings
from services.executor.sources.credentials import SealedCredentials, open_credentials
from services.executor.sources.source import Source, SourceType
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


SOURCE_TYPES: Mapping[str, Callable[[], SourceType]] = {"GCP": _gcp}
"""By provider, those with one dataset. A cloud is imported when the first template that reads it is loaded, and its libraries when a
tenant's source is opened: an executor that serves one cloud loads no other's.
"""
DATASETS: Mapping[str, Mapping[str, Callable[[], SourceType]]] = {"AWS": {"focus": _aws_focus, "cur": _aws_cur}}
"""By provider and dataset, those with several."""


class TenantSources:
    """Opens tenants' sources with their stored credentials."""

    def __init__(self, sealed: SealedCredentials, kms: Kms, settings: ExecutorSettings) -> None:
        self._sealed = sealed
        self._kms = kms
        self._settings = settings
        self._endpoints = CloudEndpoints(
            aws=settings.aws_emulator_host,
            azure=settings.azure_emulator_host,
            google_sts=settings.google_sts_emulator_host,
            ca=settings.emulator_ca,
        )

    async def open(self, tenant_id: str, source_type: SourceType, meter: StepMeter, *, session: str) -> Source:
        """Decrypts the credentials and opens the source. Raises StepError; Unavailable from KMS or a peer."""
        provider = source_type.provider
        try:
            access = TenantAccess(
                tenant_id=tenant_id,
                provider=provider,
                plaintext=await open_credentials(self._sealed, self._kms, tenant_id, provider),
                session=session,
                endpoints=self._endpoints,
                token_of=_no_token,
            )
            return source_type.open(access, self._settings, meter)
        except (FailedPrecondition, Internal) as error:
            if error.reason == "KMS_KEY_UNUSABLE":  # once the operator has fixed it, another attempt succeeds
                raise StepError(error.message, is_retryable=True) from error
            raise StepError(f"The stored {provider} credentials are gone or do not open. Set them again.") from None


def _no_token(_: str) -> str:
    raise AccessRefused("This installation issues no identity tokens. Store a key instead.")
