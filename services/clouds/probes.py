"""The subjects of identity tokens with which a check tries whether a tenant's cloud lets in others than the tenant. Pure."""

from typing import Final

NO_TENANT: Final = "convergence-probe"
"""Resembles no tenant. A name for people, who find it in their cloud's audit log."""
MAX_TENANT_ID: Final = 64
"""Characters of a tenant's id; see platform/identifiers."""
MAX_SUBJECT: Final = 127
"""Characters that every cloud accepts: Google's limit (IAM, "Workload Identity Federation", google.subject). AWS takes 255, Entra 600."""


def probe_subjects(tenant_id: str) -> tuple[str, ...]:
    """Subjects that resemble a tenant's id, and that no tenant can have: they contain a hyphen, or are longer than an id. There are always
    as many, so that a place in the result names one.

    A pattern that matches the id and other tenants' ids matches one of them if it has `*` (any characters), or `?` (one character) in the
    first or the last place; likewise `startsWith`, `endsWith` and `contains`. Not found are a pattern with `?` in inner places only, one
    that allows neither hyphens nor more characters than an id has, and a list of exact subjects.
    """
    return NO_TENANT, _between(tenant_id), f"-{tenant_id[1:]}", f"{tenant_id[:-1]}-"


def _between(tenant_id: str) -> str:
    """The id, something, and the id again, e.g. acme_corp_______________convergence_probe_______________acme_corp.

    Where a pattern A*B matches the id, A* matches its beginning and B its end, so the pattern matches this, too. It has only characters
    that ids have, so a pattern that allows no others is found. Of an id of 64 characters one is left out on either side, for MAX_SUBJECT:
    a pattern with 64 characters besides `*` can match no other id.
    """
    half = (MAX_SUBJECT - 1) // 2
    begin, end = tenant_id[:half], tenant_id[-half:]
    shortest, longest = (limit - len(begin) - len(end) for limit in (MAX_TENANT_ID + 1, MAX_SUBJECT))
    name = f"_{NO_TENANT.replace('-', '_')}_"
    return begin + (name.center(shortest, "_") if len(name) <= longest else "_") + end
