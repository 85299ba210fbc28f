"""Sets and deletes a tenant's credentials: the steps, and what an interrupted call leaves behind.

Calls of different processes for one tenant may be concurrent; the statements allow for that (see `queries.sql`). Within one process they
are queued, so that each reports its own result. If the caller disconnects, the call is completed nevertheless, audit row included.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from weakref import WeakValueDictionary

import structlog

from services.credentials.access_checks import PassedCheck
from services.credentials.audit import Action, audit_row
from services.credentials.credential import SealedCredential, new_credential_id
from services.credentials.datasets import DatasetFate, DatasetStatus, TenantDatasets
from services.credentials.payloads import token_audience
from services.credentials.providers import Provider
from services.credentials.store import STEP_LOGS, CredentialStore
from services.platform.background import note_end
from services.platform.bigquery.errors import NotFound as TableNotFound
from services.platform.cache import TtlCache
from services.platform.clock import Clock
from services.platform.errors import FailedPrecondition, NotFound
from services.platform.kms.client import Kms
from services.platform.kms.credential_aad import associated_data

ID_KNOWN_SECONDS = 600.0
"""Seconds for which a credential id is cached: while the dataset is new, the audit row takes a job, and the look-up is saved in
exchange.
"""

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class SetUp:
    """The result of setting credentials."""

    created: bool
    """False: existing credentials were replaced."""
    dataset_status: DatasetStatus
    tables_created: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Destroyed:
    """What was deleted of an offboarded tenant."""

    providers: tuple[str, ...]
    """The providers whose credentials were stored until now."""
    dataset: DatasetFate


class CredentialChanges:
    """Sets and deletes credentials. Raises Unavailable if BigQuery or KMS does not answer; the same call may be repeated."""

    def __init__(self, store: CredentialStore, datasets: TenantDatasets, kms: Kms, clock: Clock) -> None:
        self._store = store
        self._datasets = datasets
        self._kms = kms
        self._clock = clock
        self._ids: TtlCache[tuple[str, Provider], str] = TtlCache(seconds=ID_KNOWN_SECONDS, size=10_000)
        self._queues: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._running: set[asyncio.Task[object]] = set()

    async def set(
        self, tenant_id: str, provider: Provider, plaintext: bytes, *, user_id: str | None, passed: PassedCheck | None = None
    ) -> SetUp:
        """Encrypts and stores what `payloads` returned, and completes the tenant's dataset. Raises FailedPrecondition (DATASET_NOT_OURS);
        nothing is stored then. `passed`: None if they were not tried.
        """
        return await self._to_the_end(tenant_id, self._set(tenant_id, provider, plaintext, user_id, passed))

    async def delete(self, tenant_id: str, provider: Provider, *, user_id: str | None) -> None:
        """Deletes the credentials; the dataset stays. Raises NotFound (CREDENTIALS_NOT_FOUND)."""
        await self._to_the_end(tenant_id, self._delete(tenant_id, provider, user_id))

    async def destroy(self, tenant_id: str, *, with_dataset: bool) -> Destroyed:
        """Deletes all credentials of an offboarded tenant and, if asked, its dataset. Raises FailedPrecondition (DATASET_NOT_OURS) if there
        is another dataset of its name to delete; nothing is deleted then.
        """
        return await self._to_the_end(tenant_id, self._destroy(tenant_id, with_dataset=with_dataset))

    async def _destroy(self, tenant_id: str, *, with_dataset: bool) -> Destroyed:
        try:
            has_dataset = await self._datasets.is_there(tenant_id)
        except FailedPrecondition:
            if with_dataset:
                raise
            has_dataset = False
        providers = [credential.provider for credential in await self._store.list_all(tenant_id)]
        if providers:
            await self._store.destroy(tenant_id)
        for known in Provider:
            self._ids.drop((tenant_id, known))
        # After the credentials: a call that sets some at this moment makes the dataset first.
        if with_dataset:
            is_deleted = await self._datasets.drop(tenant_id)
            return Destroyed(providers=tuple(providers), dataset=DatasetFate.DELETED if is_deleted else DatasetFate.ABSENT)
        if has_dataset:
            for provider in providers:
                await self._record(Action.CREDENTIAL_DELETED, tenant_id, provider, user_id=None)
        return Destroyed(providers=tuple(providers), dataset=DatasetFate.KEPT if has_dataset else DatasetFate.ABSENT)

    async def _set(self, tenant_id: str, provider: Provider, plaintext: bytes, user_id: str | None, passed: PassedCheck | None) -> SetUp:
        missing = await self._datasets.look(tenant_id)
        # Without a dataset there usually are no credentials; if there are, `_write` finds them, and they have the derived id.
        known = None if missing.dataset else await self._known_id(tenant_id, provider)
        location = await self._datasets.location(tenant_id, missing)
        # Before anything is written: without KMS nothing changes.
        sealed = await self._seal(tenant_id, provider, known, plaintext, key=self._kms.key_in(location))
        # Before the credential: a tenant with credentials has the tables that its runs are written to. If the call breaks off here, the
        # dataset is empty and the next call finds it.
        await self._datasets.make(tenant_id, missing, location=location)
        created = await self._write(known, sealed, user_id, passed)
        if created is None:
            # The call began before the tenant was closed: take back what it has written.
            await self._store.destroy(tenant_id)
            if missing.dataset:
                await self._datasets.drop(tenant_id)
            raise FailedPrecondition("TENANT_OFFBOARDED", f"Tenant {tenant_id} was offboarded, which is final; nothing was stored.")
        self._ids.put((tenant_id, provider), sealed.credential_id)
        # If the call breaks off here, the credential is valid, and the next call reports UPDATED.
        action = Action.CREDENTIAL_ADDED if created else Action.CREDENTIAL_UPDATED
        row = audit_row(action, tenant_id=tenant_id, provider=provider, user_id=user_id, at=self._clock.now())
        await self._store.record(row, new_table=STEP_LOGS in missing.tables)
        return SetUp(created=created, dataset_status=missing.status, tables_created=missing.tables)

    async def _delete(self, tenant_id: str, provider: Provider, user_id: str | None) -> None:
        if await self._store.find(tenant_id, provider) is None:
            raise NotFound("CREDENTIALS_NOT_FOUND", f"Tenant {tenant_id} has no {provider} credentials.")
        await self._store.delete(tenant_id, provider)
        await self._record(Action.CREDENTIAL_DELETED, tenant_id, provider, user_id=user_id)

    async def _record(self, action: Action, tenant_id: str, provider: str, *, user_id: str | None) -> None:
        row = audit_row(action, tenant_id=tenant_id, provider=provider, user_id=user_id, at=self._clock.now())
        try:
            await self._store.record(row)
        except TableNotFound:
            # The tenant's dataset was dropped. Its owner must still be able to delete the secret.
            _log.warning("audit_row_has_no_table", tenant_id=tenant_id, action=row.action, provider=provider, user_id=user_id)

    async def _known_id(self, tenant_id: str, provider: Provider) -> str | None:
        """The id of the current, or recently cached, credentials; None: there are none."""
        if written := self._ids.get_cached((tenant_id, provider)):
            return written
        known = await self._store.find(tenant_id, provider)
        return known.credential_id if known else None

    async def _seal(self, tenant_id: str, provider: Provider, known: str | None, plaintext: bytes, *, key: str) -> SealedCredential:
        identity = known or new_credential_id(tenant_id=tenant_id, provider=provider)
        name = associated_data(tenant_id=tenant_id, provider=provider, credential_id=identity)
        sealed = await self._kms.encrypt(plaintext, name, key=key)
        return SealedCredential(
            credential_id=identity,
            tenant_id=tenant_id,
            provider=provider,
            encrypted_credentials=sealed.ciphertext,
            kms_key_version=sealed.key_version,
            token_audience=token_audience(provider, plaintext),
        )

    async def _write(
        self, known: str | None, sealed: SealedCredential, user_id: str | None, passed: PassedCheck | None = None
    ) -> bool | None:
        """True if the credential is new; None: the tenant is offboarded, and what was written must be deleted."""
        now = self._clock.now()
        # An update that finds no row was overtaken by a deletion; then these are the first credentials again.
        if known and await self._store.update(sealed, user_id=user_id, at=now, passed=passed):
            return False
        inserted = await self._store.insert(sealed, user_id=user_id, at=now, passed=passed)
        if inserted.is_offboarded:
            return None
        if inserted.is_new:
            return True
        # A row exists already: this call's, if the first response was lost, or another process's, which came first.
        there = await self._store.find(sealed.tenant_id, sealed.provider)
        if there and there.created_at == now:
            return True
        await self._store.update(sealed, user_id=user_id, at=now, passed=passed)
        return False

    async def _to_the_end[Answer](self, tenant_id: str, steps: Coroutine[None, None, Answer]) -> Answer:
        """Runs the steps when it is the tenant's turn, even if the caller is gone by then."""
        queue = self._queues.setdefault(tenant_id, asyncio.Lock())

        async def run() -> Answer:
            async with queue:
                return await steps

        task = asyncio.create_task(run())
        # The event loop keeps only weak references to tasks.
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(note_end)
        return await asyncio.shield(task)
