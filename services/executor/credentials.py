"""Tenants' credentials: fetched sealed from the credentials service, opened here with KMS, for one run."""

import json
from dataclasses import dataclass, field
from typing import Any

import grpc
from convergence.credentials.v1 import sealed_credential_service_pb2 as messages
from convergence.credentials.v1.sealed_credential_service_pb2_grpc import SealedCredentialServiceStub

from services.executor.failures import StepFailed
from services.executor.tenant_cloud import GcpCredentials, TenantCloud
from services.platform.cache import TtlCache
from services.platform.errors import FailedPrecondition, Internal
from services.platform.kms import Kms
from services.platform.seal import seal_name
from services.platform.settings import ServiceSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class SealedCredential:
    """Ciphertext, and what its seal names."""

    tenant_id: str
    provider: str
    credential_id: str
    ciphertext: bytes = field(repr=False)


class SealedCredentials:
    """The credentials service's peer-only side."""

    def __init__(self, channel: grpc.aio.Channel, *, known_seconds: float, known_most: int) -> None:
        self._stub = SealedCredentialServiceStub(channel)
        self._there: TtlCache[tuple[str, str], SealedCredential] = TtlCache(seconds=known_seconds, size=known_most)

    async def require(self, tenant_id: str, provider: str) -> None:
        """Raises FailedPrecondition (CREDENTIALS_MISSING) if the tenant has set none for `provider` (upper-case). That there are some is
        remembered for a few seconds, that there are none never is.
        """
        await self._there.get((tenant_id, provider), self._fetch)

    async def get(self, tenant_id: str, provider: str) -> SealedCredential:
        """The credentials as they are now, never remembered ones: a tenant that has just mended them runs with the new ones."""
        return await self._fetch((tenant_id, provider))

    async def _fetch(self, key: tuple[str, str]) -> SealedCredential:
        answer = await self._stub.GetSealedCredential(messages.GetSealedCredentialRequest(tenant_id=key[0], provider=key[1]))
        return SealedCredential(
            tenant_id=answer.tenant_id,
            provider=answer.provider,
            credential_id=answer.credential_id,
            ciphertext=answer.encrypted_credentials,
        )


async def open_credentials(sealed: SealedCredentials, kms: Kms, tenant_id: str, provider: str) -> bytes:
    """What the tenant has set for `provider` (upper-case), in the clear. Raises FailedPrecondition (CREDENTIALS_MISSING), Internal
    (SEAL_BROKEN, KMS_KEY_UNUSABLE), Unavailable.
    """
    found = await sealed.get(tenant_id, provider)
    # The name is made of what was asked for, not of what was answered: another tenant's blob does not open here.
    name = seal_name(tenant_id=tenant_id, provider=provider, credential_id=found.credential_id)
    return await kms.decrypt(found.ciphertext, name)


class TenantClouds:
    """Opens tenants' clouds; `steps.step.Clouds`."""

    def __init__(self, sealed: SealedCredentials, kms: Kms, settings: ServiceSettings) -> None:
        self._sealed = sealed
        self._kms = kms
        self._settings = settings

    async def open(self, tenant_id: str, provider: str) -> TenantCloud:
        """See `steps.step.Clouds`."""
        try:
            return TenantCloud(read_gcp(await open_credentials(self._sealed, self._kms, tenant_id, provider)), self._settings)
        except (FailedPrecondition, Internal) as error:
            if error.reason == "KMS_KEY_UNUSABLE":  # the operator can mend it, and then another attempt works
                raise StepFailed(error.message, can_heal=True) from error
            raise StepFailed(f"The stored {provider} credentials are gone or do not open. Set them again.") from None


def read_gcp(plaintext: bytes) -> GcpCredentials:
    """What credentials seals for GCP: the JSON object `{project_id, service_account}`, the latter a key file, checked and rebuilt.

    Raises StepFailed for anything else, without a word of it.
    """
    try:
        payload: Any = json.loads(plaintext)
        account: Any = payload["service_account"]
        return GcpCredentials(
            project_id=str(payload["project_id"]), service_account={str(key): str(value) for key, value in account.items()}
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise StepFailed("The stored GCP credentials cannot be read. Set them again.") from None
