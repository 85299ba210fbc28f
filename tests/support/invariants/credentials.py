"""Credentials: one a tenant and provider, audited, opened by its own name only, and what the tenant sent."""

from collections import Counter
from collections.abc import Callable, Iterator

from services.platform.kms.credential_aad import associated_data
from tests.support.invariants.observed import Observed
from tests.support.invariants.offboarded import offboarded
from tests.support.invariants.tables import Row, Tables
from tests.support.invariants.violation import Violation

STORED = {"CREDENTIAL_ADDED", "CREDENTIAL_UPDATED"}
type Decrypt = Callable[[bytes, bytes], bytes]
"""Ciphertext and associated data to plaintext."""


def credential_violations(tables: Tables, observed: Observed, decrypt: Decrypt | None) -> Iterator[Violation]:
    """Checks all tenants. Without `decrypt` no credentials are decrypted."""
    rows = {(row["tenant_id"], row["provider"]): row for row in tables.credentials}
    for (tenant_id, provider), count in Counter((row["tenant_id"], row["provider"]) for row in tables.credentials).items():
        if count > 1:
            yield Violation(invariant="credentials.one", where=f"{tenant_id} {provider}", what=f"there are {count} rows")
    gone = offboarded(tables)
    for (tenant_id, provider), sealed in observed.credentials.items():
        if tenant_id in gone:
            continue
        where, row = f"{tenant_id} {provider}", rows.get((tenant_id, provider))
        if row is None:
            if sealed.acknowledged:
                yield Violation(invariant="credentials.none_lost", where=where, what="they were stored with 200, and there are none")
            continue
        written = _audited(tables, tenant_id, provider)
        if written < len(sealed.acknowledged):
            what = f"{len(sealed.acknowledged)} calls were answered with 200, {written} are in the audit log"
            yield Violation(invariant="credentials.audited", where=where, what=what)
        if decrypt is not None:
            # A tenant's calls were made one after the other. So the row is from the last answered call, or from any call without an answer.
            yield from _opened(row, [*sealed.acknowledged[-1:], *sealed.unanswered], decrypt, rows)


def _audited(tables: Tables, tenant_id: str, provider: str) -> int:
    lines = tables.tenants[tenant_id].step_logs if tenant_id in tables.tenants else ()
    return len({line["log_id"] for line in lines if line["action"] in STORED and line["provider"] == provider})


def _opened(row: Row, sent: list[bytes], decrypt: Decrypt, rows: dict[tuple[str, str], Row]) -> Iterator[Violation]:
    where = f"{row['tenant_id']} {row['provider']}"
    try:
        plaintext = decrypt(row["encrypted_credentials"], _name(row))
    except Exception as error:  # noqa: BLE001 - whatever KMS says, it is not readable
        yield Violation(invariant="credentials.readable", where=where, what=f"KMS does not open them: {type(error).__name__}")
        return
    if not any(secret in plaintext for secret in sent):
        yield Violation(invariant="credentials.as_sent", where=where, what="what is stored is none of what may have been stored last")
    other = next((one for (tenant_id, _), one in rows.items() if tenant_id != row["tenant_id"]), None)
    if other is not None:
        try:
            decrypt(row["encrypted_credentials"], _name(other))
        except Exception:  # noqa: BLE001 - as it must be
            return
        yield Violation(invariant="credentials.bound_to_their_row", where=where, what=f"they open under the name of {other['tenant_id']}")


def _name(row: Row) -> bytes:
    return associated_data(tenant_id=row["tenant_id"], provider=row["provider"], credential_id=row["credential_id"])
