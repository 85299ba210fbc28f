"""Opens a tenant's own cloud by the name of its provider."""

from services.executor.errors import StepError
from services.executor.sources.credentials import SealedCredentials, open_credentials
from services.executor.sources.gcp.bigquery import GcpBilling, read_gcp
from services.platform.errors import FailedPrecondition, Internal
from services.platform.kms.client import Kms
from services.platform.settings import ServiceSettings


class TenantClouds:
    """Opens tenants' clouds; `templates.step.Clouds`."""

    def __init__(self, sealed: SealedCredentials, kms: Kms, settings: ServiceSettings) -> None:
        self._sealed = sealed
        self._kms = kms
        self._settings = settings

    async def open(self, tenant_id: str, provider: str) -> GcpBilling:
        """See `templates.step.Clouds`."""
        try:
            return GcpBilling(read_gcp(await open_credentials(self._sealed, self._kms, tenant_id, provider)), self._settings)
        except (FailedPrecondition, Internal) as error:
            if error.reason == "KMS_KEY_UNUSABLE":  # the operator can mend it, and then another attempt works
                raise StepError(error.message, is_retryable=True) from error
            raise StepError(f"The stored {provider} credentials are gone or do not open. Set them again.") from None
