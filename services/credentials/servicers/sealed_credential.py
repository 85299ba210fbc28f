"""SealedCredentialService, for the executor: decode, call the domain, encode."""

from typing import Any

import grpc
from convergence.credentials.v1 import (
    sealed_credential_service_pb2,
    sealed_credential_service_pb2_grpc,
)

from services.credentials.credential import SealedCredential
from services.credentials.providers import Provider, to_provider
from services.credentials.store import CredentialStore
from services.platform.errors import FailedPrecondition
from services.platform.timestamps import to_timestamp

type Context = grpc.aio.ServicerContext[Any, Any]


class SealedCredentialServicer(sealed_credential_service_pb2_grpc.SealedCredentialServiceServicer):
    """SealedCredentialService, as the proto describes it."""

    def __init__(self, store: CredentialStore) -> None:
        self._store = store

    async def GetSealedCredential(
        self, request: sealed_credential_service_pb2.GetSealedCredentialRequest, context: Context
    ) -> sealed_credential_service_pb2.GetSealedCredentialResponse:
        """Raises InvalidArgument, FailedPrecondition."""
        provider = to_provider(request.provider)
        sealed = await require_sealed(self._store, request.tenant_id, provider)
        return sealed_credential_service_pb2.GetSealedCredentialResponse(
            credential_id=sealed.credential_id,
            tenant_id=sealed.tenant_id,
            provider=sealed.provider,
            encrypted_credentials=sealed.encrypted_credentials,
            set_at=to_timestamp(sealed.set_at),
            kms_key_version=sealed.kms_key_version or "",
        )


async def require_sealed(store: CredentialStore, tenant_id: str, provider: Provider) -> SealedCredential:
    """The tenant's stored credentials. Raises FailedPrecondition (CREDENTIALS_MISSING)."""
    sealed = await store.find_sealed(tenant_id, provider)
    if sealed is None:
        raise FailedPrecondition(
            "CREDENTIALS_MISSING",
            f"There are no {provider} credentials yet. POST them to /api/v1/tenants/{tenant_id}/credentials first.",
            metadata={"tenant_id": tenant_id, "provider": provider},
        )
    return sealed
