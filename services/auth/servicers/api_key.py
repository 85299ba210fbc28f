"""ApiKeyService: decode, call the domain, encode."""

import uuid
from datetime import datetime, timedelta
from typing import Any

import grpc
from convergence.auth.v1 import (
    api_key_pb2,
    api_key_service_pb2,
    api_key_service_pb2_grpc,
)
from google.protobuf.timestamp_pb2 import Timestamp

from services.auth.key_change_feed import KeyChangeFeed
from services.auth.store import AuthStore, StoredKey
from services.auth.tenants.spec import check_scopes, refuse_offboarded
from services.auth.tenants.store import TenantStore
from services.platform.access.api_keys import hash_key, new_api_key
from services.platform.clock import Clock
from services.platform.errors import FailedPrecondition, InvalidArgument, NotFound, not_provisioned
from services.platform.rpc.paging import from_token, page_size, to_token
from services.platform.timestamps import to_datetime, to_timestamp

DEFAULT_OVERLAP, LONGEST_OVERLAP = timedelta(days=1), timedelta(days=30)
"""How long a rotated key keeps working."""

type Context = grpc.aio.ServicerContext[Any, Any]


class ApiKeyServicer(api_key_service_pb2_grpc.ApiKeyServiceServicer):
    """ApiKeyService, as the proto describes it."""

    def __init__(self, store: AuthStore, tenants: TenantStore, clock: Clock, changes: KeyChangeFeed) -> None:
        self._store, self._tenants = store, tenants
        self._clock = clock
        self._changes = changes

    async def CreateApiKey(
        self, request: api_key_service_pb2.CreateApiKeyRequest, context: Context
    ) -> api_key_service_pb2.CreateApiKeyResponse:
        """Raises InvalidArgument, NotFound, FailedPrecondition."""
        now = self._clock.now()
        scopes = tuple(request.scopes)
        check_scopes(scopes)
        expires_at = self._expiry(request, now)
        api_key = new_api_key(request.tenant_id)
        stored = StoredKey(
            api_key_id=str(uuid.uuid4()),
            tenant_id=request.tenant_id,
            scopes=scopes,
            is_active=True,
            expires_at=expires_at,
            created_at=now,
            last_used_at=None,
        )
        # Nothing was inserted: there is no such tenant, it was offboarded, or the statement ran before and its response was lost.
        inserted = await self._store.insert_api_key(stored, hash_key(api_key))
        if not inserted and not await self._store.find_key_holders([hash_key(api_key)], now):
            if tenant := await self._tenants.find(request.tenant_id):
                refuse_offboarded(request.tenant_id, tenant.status)
            raise not_provisioned(request.tenant_id)
        return api_key_service_pb2.CreateApiKeyResponse(
            api_key_id=stored.api_key_id,
            api_key=api_key,
            tenant_id=stored.tenant_id,
            scopes=scopes,
            expires_at=to_timestamp(expires_at),
        )

    async def RotateApiKey(
        self, request: api_key_service_pb2.RotateApiKeyRequest, context: Context
    ) -> api_key_service_pb2.RotateApiKeyResponse:
        """Raises InvalidArgument, NotFound, FailedPrecondition."""
        now = self._clock.now()
        overlap = timedelta(seconds=request.overlap_seconds) if request.HasField("overlap_seconds") else DEFAULT_OVERLAP
        if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
            raise InvalidArgument("overlap_seconds", f"use 0 to {round(LONGEST_OVERLAP.total_seconds())}.")
        api_key = new_api_key(request.tenant_id)
        new = StoredKey(
            api_key_id=str(uuid.uuid4()),
            tenant_id=request.tenant_id,
            scopes=(),
            is_active=True,
            expires_at=self._expiry(request, now),
            created_at=now,
            last_used_at=None,
        )
        await self._store.rotate_api_key(request.api_key_id, new, hash_key(api_key), old_ends_at=now + overlap)
        self._changes.publish(request.tenant_id)
        # Read back: after a lost response only the table knows whether it was done.
        keys = await self._store.find_api_keys(request.tenant_id, [request.api_key_id, new.api_key_id])
        old, made = keys.get(request.api_key_id), keys.get(new.api_key_id)
        if old is None:
            raise _no_such_key()
        if made is None:
            refuse_offboarded(request.tenant_id, (await self._tenants.get(request.tenant_id)).status)
            raise FailedPrecondition("API_KEY_NOT_ACTIVE", "This key was revoked or has expired, so it cannot be rotated. Issue a new one.")
        return api_key_service_pb2.RotateApiKeyResponse(
            api_key_id=made.api_key_id,
            api_key=api_key,
            tenant_id=made.tenant_id,
            scopes=made.scopes,
            expires_at=to_timestamp(made.expires_at),
            rotated_api_key=_key_to_proto(old),
        )

    @staticmethod
    def _expiry(request: Any, now: datetime) -> datetime | None:
        expires_at = _moment("expires_at", request.expires_at) if request.HasField("expires_at") else None
        if expires_at is not None and expires_at <= now:
            raise InvalidArgument("expires_at", "give a moment in the future, or leave it out.")
        return expires_at

    async def ListApiKeys(
        self, request: api_key_service_pb2.ListApiKeysRequest, context: Context
    ) -> api_key_service_pb2.ListApiKeysResponse:
        """A page, newest first. Raises InvalidArgument, NotFound."""
        size = page_size(request.page_size)
        # One more than requested, to know whether there is a next page.
        keys = await self._store.list_api_keys(request.tenant_id, after=from_token(request.page_token), limit=size + 1)
        if not keys:
            await self._tenants.get(request.tenant_id)
        token = to_token(*keys[size - 1].page_key) if len(keys) > size else ""
        return api_key_service_pb2.ListApiKeysResponse(api_keys=map(_key_to_proto, keys[:size]), next_page_token=token)

    async def RevokeApiKey(
        self, request: api_key_service_pb2.RevokeApiKeyRequest, context: Context
    ) -> api_key_service_pb2.RevokeApiKeyResponse:
        """Raises NotFound."""
        await self._store.revoke_api_key(request.tenant_id, request.api_key_id)
        self._changes.publish(request.tenant_id)
        keys = await self._store.find_api_keys(request.tenant_id, [request.api_key_id])
        if request.api_key_id not in keys:
            raise _no_such_key()
        return api_key_service_pb2.RevokeApiKeyResponse(api_key=_key_to_proto(keys[request.api_key_id]))


def _no_such_key() -> NotFound:
    return NotFound("API_KEY_NOT_FOUND", "This tenant has no key of this id. List its keys to find it.")


def _key_to_proto(key: StoredKey) -> api_key_pb2.ApiKey:
    return api_key_pb2.ApiKey(
        api_key_id=key.api_key_id,
        tenant_id=key.tenant_id,
        scopes=key.scopes,
        is_active=key.is_active,
        expires_at=to_timestamp(key.expires_at),
        created_at=to_timestamp(key.created_at),
        last_used_at=to_timestamp(key.last_used_at),
    )


def _moment(field: str, stamp: Timestamp) -> datetime:
    try:
        return to_datetime(stamp)
    except (ValueError, OverflowError):
        raise InvalidArgument(field, "give a time such as 2026-12-31T23:59:59Z.") from None
