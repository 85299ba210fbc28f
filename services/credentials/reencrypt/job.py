"""Moves stored credentials to the primary version of the KMS key: decrypt, encrypt, and replace the ciphertext if it is still the same.

It may be stopped at any point, run twice, or run while tenants set their credentials: each row is either unchanged or re-encrypted, and
credentials that a tenant sets always win. Credentials that cannot be re-encrypted are reported and stay unchanged; the others do not wait
for them.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from services.credentials.reencrypt.store import MAX_PAGE, CiphertextMove, KeyVersionStore, OutdatedCredential
from services.platform.clock import Clock
from services.platform.errors import Internal, InvalidArgument
from services.platform.kms.client import Kms
from services.platform.kms.credential_aad import associated_data

AT_ONCE: Final = 8
"""Credentials at once, each with three calls to KMS one after the other: far below its quota of 60,000 a minute."""
_PROBE: Final = b"convergence"
_PROBE_NAME: Final = b"probe"

_log = structlog.get_logger()


class NewCiphertextBroken(Exception):
    """The new ciphertext did not decrypt to the same bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReencryptReport:
    """What one run of the job has done."""

    primaries: tuple[str, ...]
    """The full names of the versions that encrypt: of the installation's key, then of the keys of its tenants' locations."""
    examined: int
    """Rows that another version had encrypted."""
    moved: int
    overtaken: int
    """Rows that were set or deleted while the job had them: they are as their tenants want them."""
    failed: Mapping[str, int]
    """Rows that stay as they were, by the reason: SEAL_BROKEN (they open no more), KMS_KEY_UNUSABLE (their version is disabled or
    destroyed), BAD_FIELD (too large for an HSM key).
    """


class Reencryption:
    """The job."""

    def __init__(self, store: KeyVersionStore, kms: Kms, clock: Clock, *, page: int = MAX_PAGE) -> None:
        """`page`: credentials that are read, and written, with one statement. What one of the keys of `kms` has encrypted stays with it, in
        its location.
        """
        self._store, self._kms, self._clock, self._page = store, kms, clock, page
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> ReencryptReport:
        """Moves all there are. Raises Unavailable if BigQuery or KMS does not answer, Internal (KMS_KEY_UNUSABLE) if this account may not
        both encrypt and decrypt; what was moved until then stays moved.
        """
        primaries = [await self._primary(key) for key in self._kms.keys]
        examined = moved = overtaken = 0
        failed, after = Counter[str](), ("", "")
        while page := await self._store.list_outdated(primaries=primaries, after=after, limit=self._page):
            # A credential of which two rows are alike is one: BigQuery refuses two new values for a row.
            rows = Counter(page)
            outcomes = await self._try(list(rows))
            moves = {row: outcome for row, outcome in zip(rows, outcomes, strict=True) if isinstance(outcome, CiphertextMove)}
            changed = await self._store.replace(list(moves.values())) if moves else 0
            gone = sum(rows[row] for row in moves) - changed
            moved, overtaken, examined = moved + changed, overtaken + gone, examined + len(page)
            failed.update(_reason(outcome) for outcome in outcomes if isinstance(outcome, _OF_ONE_ROW))
            for outcome in outcomes:
                if isinstance(outcome, BaseException) and not isinstance(outcome, _OF_ONE_ROW):
                    raise outcome
            after = page[-1].tenant_id, page[-1].provider
            _log.info("credentials_reencrypted", moved=moved, overtaken=overtaken, failed=failed.total(), until_tenant=after[0])
        return ReencryptReport(
            primaries=tuple(primaries), examined=examined, moved=moved, overtaken=overtaken, failed=dict(sorted(failed.items()))
        )

    async def _primary(self, key: str) -> str:
        """Its primary version: found without the right to read the key's description; and both other rights are there."""
        probe = await self._kms.encrypt(_PROBE, _PROBE_NAME, key=key)
        await self._kms.decrypt(probe.ciphertext, _PROBE_NAME, key_version=probe.key_version)
        return probe.key_version

    async def _try(self, rows: Sequence[OutdatedCredential]) -> Sequence[CiphertextMove | BaseException]:
        return await asyncio.gather(*(self._move(row) for row in rows), return_exceptions=True)

    async def _move(self, row: OutdatedCredential) -> CiphertextMove:
        name = associated_data(tenant_id=row.tenant_id, provider=row.provider, credential_id=row.credential_id)
        async with self._slots:
            try:
                plaintext = await self._kms.decrypt(row.encrypted_credentials, name, key_version=row.kms_key_version)
                sealed = await self._kms.encrypt(plaintext, name, key=self._kms.key_of(row.kms_key_version))
                # The old ciphertext is gone afterwards.
                if await self._kms.decrypt(sealed.ciphertext, name, key_version=sealed.key_version) != plaintext:
                    raise NewCiphertextBroken
            except _OF_ONE_ROW as error:
                _log.warning(
                    "credential_not_reencrypted",
                    tenant_id=row.tenant_id,
                    provider=row.provider,
                    kms_key_version=row.kms_key_version,
                    reason=_reason(error),
                )
                raise
        return CiphertextMove(
            credential_id=row.credential_id,
            tenant_id=row.tenant_id,
            provider=row.provider,
            old_ciphertext=row.encrypted_credentials,
            new_ciphertext=sealed.ciphertext,
            kms_key_version=sealed.key_version,
            moved_at=self._clock.now(),
        )


_OF_ONE_ROW = (Internal, InvalidArgument, NewCiphertextBroken)


def _reason(error: object) -> str:
    return error.reason if isinstance(error, (Internal, InvalidArgument)) else "NEW_CIPHERTEXT_BROKEN"
