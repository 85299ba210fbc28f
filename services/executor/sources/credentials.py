"""Tenants' credentials: fetched encrypted from the credentials service and decrypted here with KMS, for one run."""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import datetime

import grpc
from convergence.credentials.v1 import sealed_credential_service_pb2 as messages
from convergence.credentials.v1.sealed_credential_service_pb2_grpc import SealedCredentialServiceStub

from services.platform.background import note_end
from services.platform.cache import TtlCache
from services.platform.kms.client import Kms
from services.platform.kms.credential_aad import associated_data
from services.platform.timestamps import to_datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class SealedCredential:
    """The ciphertext, and what its associated data is made of."""

    tenant_id: str
    provider: str
    credential_id: str
    ciphertext: bytes = field(repr=False)
    set_at: datetime | None = None
    """When they were set."""
    key_version: str | None = None
    """The full name of the KMS key version that encrypted them, if it is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Fetched:
    sealed: SealedCredential
    asked_at: float
    """Monotonic seconds: they were set before the answer and may have been replaced since the question."""


class SealedCredentials:
    """A client of the credentials service's SealedCredentialService. Keeps ciphertexts for some seconds, and uses one only for a caller
    that came before it was asked for: the start of a run looks up whether there are credentials, and the run then works with what that
    look-up has found.
    """

    def __init__(self, channel: grpc.aio.Channel, *, cache_seconds: float, cache_size: int) -> None:
        self._stub = SealedCredentialServiceStub(channel)
        self._known: TtlCache[tuple[str, str], _Fetched] = TtlCache(seconds=cache_seconds, size=cache_size)

    async def require(self, tenant_id: str, provider: str) -> None:
        """Raises FailedPrecondition (CREDENTIALS_MISSING) if the tenant has none for `provider` (upper-case). It is cached for a few
        seconds that credentials exist, never that there are none.
        """
        await self._known.get((tenant_id, provider), self._fetch)

    async def get(self, tenant_id: str, provider: str, *, since: float | None = None) -> SealedCredential:
        """The credentials as they were at `since` (monotonic seconds; None: now) or later, never before: a tenant that has just corrected
        them runs with the new ones.
        """
        key, since = (tenant_id, provider), time.monotonic() if since is None else since
        while (fetched := await self._known.get(key, self._fetch)).asked_at < since:
            if self._known.get_cached(key) is fetched:
                self._known.drop(key)
        return fetched.sealed

    def prefetch(self, tenant_id: str, provider: str, *, since: float) -> None:
        """Begins what `get` does, for a run that will call it soon; returns at once."""
        asyncio.create_task(self.get(tenant_id, provider, since=since)).add_done_callback(note_end)

    async def _fetch(self, key: tuple[str, str]) -> _Fetched:
        asked_at = time.monotonic()
        answer = await self._stub.GetSealedCredential(messages.GetSealedCredentialRequest(tenant_id=key[0], provider=key[1]))
        sealed = SealedCredential(
            tenant_id=answer.tenant_id,
            provider=answer.provider,
            credential_id=answer.credential_id,
            ciphertext=answer.encrypted_credentials,
            set_at=to_datetime(answer.set_at) if answer.HasField("set_at") else None,
            key_version=answer.kms_key_version or None,
        )
        return _Fetched(sealed=sealed, asked_at=asked_at)


async def open_credentials(sealed: SealedCredentials, kms: Kms, tenant_id: str, provider: str, *, since: float | None = None) -> bytes:
    """The tenant's decrypted credentials for `provider` (upper-case), see `SealedCredentials.get`. Raises FailedPrecondition
    (CREDENTIALS_MISSING), Internal (SEAL_BROKEN, KMS_KEY_UNUSABLE), Unavailable.
    """
    return await decrypt(kms, await sealed.get(tenant_id, provider, since=since), tenant_id, provider)


async def decrypt(kms: Kms, found: SealedCredential, tenant_id: str, provider: str) -> bytes:
    """The credentials in the clear. Raises Internal (SEAL_BROKEN, KMS_KEY_UNUSABLE), Unavailable."""
    # The associated data is made of the request, not of the response: another tenant's ciphertext cannot be decrypted here.
    name = associated_data(tenant_id=tenant_id, provider=provider, credential_id=found.credential_id)
    return await kms.decrypt(found.ciphertext, name, key_version=found.key_version)
