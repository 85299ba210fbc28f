"""A tenant's credentials from the first set-up to the last day: the steps, and what a broken call leaves.

Between processes the calls for one tenant may cross, and the statements are made for that (see `queries.sql`); within one they queue, so
that each hears what it did itself. A call whose caller hangs up is finished all the same: nobody escapes the audit by being quick.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from weakref import WeakValueDictionary

import structlog

from services.credentials.audit import Action, audit_row
from services.credentials.credential import SealedCredential, new_credential_id
from services.credentials.datasets import DatasetStatus, TenantDatasets
from services.credentials.providers import Provider
from services.credentials.store import STEP_LOGS, CredentialStore
from services.platform.bigquery.errors import NotFound as TableNotFound
from services.platform.cache import TtlCache
from services.platform.clock import Clock
from services.platform.errors import NotFound
from services.platform.kms.client import Kms
from services.platform.kms.credential_aad import associated_data

ID_KNOWN_SECONDS = 600.0
"""So long the audit row of a new dataset takes a job, which setting the credentials again then has to spare."""

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class SetUp:
    """What setting credentials did."""

    created: bool
    """False: they were there and have been replaced."""
    dataset_status: DatasetStatus
    tables_created: tuple[str, ...]


class CredentialChanges:
    """Sets and forgets credentials. Raises Unavailable if BigQuery or KMS does not answer; the same call may be made again."""

    def __init__(self, store: CredentialStore, datasets: TenantDatasets, kms: Kms, clock: Clock) -> None:
        self._store = store
        self._datasets = datasets
        self._kms = kms
        self._clock = clock
        self._ids: TtlCache[tuple[str, Provider], str] = TtlCache(seconds=ID_KNOWN_SECONDS, size=10_000)
        self._queues: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._running: set[asyncio.Task[object]] = set()

    async def set(self, tenant_id: str, provider: Provider, plaintext: bytes, *, user_id: str | None) -> SetUp:
        """Seals and stores what `payloads` made, and completes the tenant's dataset. Raises FailedPrecondition (DATASET_NOT_OURS), and
        then nothing was stored.
        """
        return await self._to_the_end(tenant_id, self._set(tenant_id, provider, plaintext, user_id))

    async def delete(self, tenant_id: str, provider: Provider, *, user_id: str | None) -> None:
        """Forgets the credentials; the dataset stays. Raises NotFound (CREDENTIALS_NOT_FOUND)."""
        await self._to_the_end(tenant_id, self._delete(tenant_id, provider, user_id))

    async def _set(self, tenant_id: str, provider: Provider, plaintext: bytes, user_id: str | None) -> SetUp:
        known, missing = await asyncio.gather(self._known_id(tenant_id, provider), self._datasets.look(tenant_id))
        # Before anything is written: without KMS nothing happens at all.
        sealed = await self._seal(tenant_id, provider, known, plaintext)
        # Before the credential: whoever has credentials has the tables that its runs are written to. If the call breaks off here, the
        # dataset is empty and the next call finds it.
        await self._datasets.make(tenant_id, missing)
        created = await self._write(known, sealed, user_id)
        self._ids.put((tenant_id, provider), sealed.credential_id)
        # If the call breaks off here, the credential is good, and the next call says UPDATED.
        action = Action.CREDENTIAL_ADDED if created else Action.CREDENTIAL_UPDATED
        row = audit_row(action, tenant_id=tenant_id, provider=provider, user_id=user_id, at=self._clock.now())
        await self._store.record(row, new_table=STEP_LOGS in missing.tables)
        return SetUp(created=created, dataset_status=missing.status, tables_created=missing.tables)

    async def _delete(self, tenant_id: str, provider: Provider, user_id: str | None) -> None:
        if await self._store.find(tenant_id, provider) is None:
            raise NotFound("CREDENTIALS_NOT_FOUND", f"Tenant {tenant_id} has no {provider} credentials.")
        await self._store.delete(tenant_id, provider)
        row = audit_row(Action.CREDENTIAL_DELETED, tenant_id=tenant_id, provider=provider, user_id=user_id, at=self._clock.now())
        try:
            await self._store.record(row)
        except TableNotFound:
            # Somebody has dropped the tenant's dataset. A secret must still go when its owner wants it gone.
            _log.warning("audit_row_has_no_table", tenant_id=tenant_id, action=row.action, provider=provider, user_id=user_id)

    async def _known_id(self, tenant_id: str, provider: Provider) -> str | None:
        """The id of the credentials that are there, or were a moment ago; None: there are none."""
        if written := self._ids.get_cached((tenant_id, provider)):
            return written
        known = await self._store.find(tenant_id, provider)
        return known.credential_id if known else None

    async def _seal(self, tenant_id: str, provider: Provider, known: str | None, plaintext: bytes) -> SealedCredential:
        identity = known or new_credential_id(tenant_id=tenant_id, provider=provider)
        sealed = await self._kms.encrypt(plaintext, associated_data(tenant_id=tenant_id, provider=provider, credential_id=identity))
        return SealedCredential(
            credential_id=identity,
            tenant_id=tenant_id,
            provider=provider,
            encrypted_credentials=sealed.ciphertext,
            kms_key_version=sealed.key_version,
        )

    async def _write(self, known: str | None, sealed: SealedCredential, user_id: str | None) -> bool:
        """True if the credential is new."""
        now = self._clock.now()
        # An update that finds no row was overtaken by a deletion; then these are the first credentials again.
        if known and await self._store.update(sealed, user_id=user_id, at=now):
            return False
        if await self._store.insert(sealed, user_id=user_id, at=now):
            return True
        # A row is there after all: ours, if the first reply was lost, or that of another process, which was first.
        there = await self._store.find(sealed.tenant_id, sealed.provider)
        if there and there.created_at == now:
            return True
        await self._store.update(sealed, user_id=user_id, at=now)
        return False

    async def _to_the_end[Answer](self, tenant_id: str, steps: Coroutine[None, None, Answer]) -> Answer:
        """Runs the steps when it is the tenant's turn, whether or not somebody still waits for the answer."""
        queue = self._queues.setdefault(tenant_id, asyncio.Lock())

        async def run() -> Answer:
            async with queue:
                return await steps

        task = asyncio.create_task(run())
        # The loop itself holds tasks only weakly.
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)
