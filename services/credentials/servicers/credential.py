"""CredentialService: decode, call the domain, encode."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import grpc
from convergence.credentials.v1 import (
    credential_pb2,
    credential_service_pb2,
    credential_service_pb2_grpc,
)
from google.protobuf.struct_pb2 import Struct

from services.credentials.access_checks import PassedCheck
from services.credentials.credential import Credential
from services.credentials.issuer.issuer import TokenIssuer
from services.credentials.payloads import MAX_BYTES, PayloadRules, token_audience
from services.credentials.providers import to_provider
from services.credentials.servicers.issuer import required
from services.credentials.set_credentials import CredentialChanges
from services.credentials.store import CredentialStore
from services.credentials.validate import CredentialValidator
from services.platform.access.caller import current_caller
from services.platform.clock import Clock
from services.platform.errors import InvalidArgument
from services.platform.rpc.structs import to_mapping
from services.platform.timestamps import to_timestamp

type Context = grpc.aio.ServicerContext[Any, Any]


class CredentialServicer(credential_service_pb2_grpc.CredentialServiceServicer):
    """CredentialService, as the proto describes it."""

    def __init__(
        self,
        changes: CredentialChanges,
        store: CredentialStore,
        issuer: TokenIssuer | None,
        validator: CredentialValidator,
        rules: PayloadRules,
        clock: Clock,
    ) -> None:
        """`issuer`: None refuses credentials by federation."""
        self._changes = changes
        self._rules = rules
        self._clock = clock
        self._store = store
        self._issuer = issuer
        self._validator = validator

    async def SetCredentials(
        self, request: credential_service_pb2.SetCredentialsRequest, context: Context
    ) -> credential_service_pb2.SetCredentialsResponse:
        """Raises InvalidArgument, FailedPrecondition; with `validate` also ResourceExhausted, Unavailable."""
        provider = to_provider(request.provider)
        sent = _to_mapping(request.credentials)
        # In a thread: a key file may be wrapped, escaped and broken in many ways, which takes time to tell apart.
        plaintext = await asyncio.to_thread(self._rules.to_plaintext, provider, sent)
        if token_audience(provider, plaintext):
            required(self._issuer)
        passed: PassedCheck | None = None
        if request.validate:
            passed = await self._validator.require(request.tenant_id, provider, plaintext, request.export or None)
        elif request.export:
            raise InvalidArgument("export", "is used with `validate: true` only: it is tried, not stored.")
        done = await self._changes.set(request.tenant_id, provider, plaintext, user_id=current_caller().user_id, passed=passed)
        return credential_service_pb2.SetCredentialsResponse(
            tenant_id=request.tenant_id,
            provider=provider,
            action="CREATED" if done.created else "UPDATED",
            dataset_status=done.dataset_status,
            tables_created=done.tables_created,
            message=f"{provider} credentials {'added' if done.created else 'updated'} successfully",
        )

    async def ListCredentials(
        self, request: credential_service_pb2.ListCredentialsRequest, context: Context
    ) -> credential_service_pb2.ListCredentialsResponse:
        """One entry a provider, without secrets."""
        credentials, now = await self._store.list_all(request.tenant_id), self._clock.now()
        return credential_service_pb2.ListCredentialsResponse(credentials=[_to_proto(one, now) for one in credentials])

    async def DeleteCredentials(
        self, request: credential_service_pb2.DeleteCredentialsRequest, context: Context
    ) -> credential_service_pb2.DeleteCredentialsResponse:
        """Raises InvalidArgument, NotFound."""
        provider = to_provider(request.provider)
        await self._changes.delete(request.tenant_id, provider, user_id=current_caller().user_id)
        return credential_service_pb2.DeleteCredentialsResponse(
            tenant_id=request.tenant_id, provider=provider, action="DELETED", message=f"{provider} credentials deleted successfully"
        )


def _to_mapping(credentials: Struct) -> Mapping[str, Any]:
    if credentials.ByteSize() > MAX_BYTES:
        raise InvalidArgument("credentials", f"use at most {MAX_BYTES // 1024} KiB.")
    return to_mapping(credentials, "credentials")


def _to_proto(credential: Credential, now: datetime) -> credential_pb2.Credential:
    return credential_pb2.Credential(
        credential_id=credential.credential_id,
        tenant_id=credential.tenant_id,
        provider=credential.provider,
        kms_key_version=credential.kms_key_version or "",
        created_by_user_id=credential.created_by_user_id,
        created_at=to_timestamp(credential.created_at),
        updated_by_user_id=credential.updated_by_user_id,
        updated_at=to_timestamp(credential.updated_at),
        access_status=credential.access_status or "",
        access_checked_at=to_timestamp(credential.access_checked_at),
        access_problem=credential.access_problem or "",
        access_export=credential.access_export or "",
        access=credential.access,
        sealed_at=to_timestamp(credential.sealed_at),
        sealed_days=credential.sealed_days(now),
        delivery_status=credential.delivery_status or "",
        delivered_at=to_timestamp(credential.delivered_at),
        delivery_problem=credential.delivery_problem or "",
    )
