"""The subjects of identity tokens with which a check tries whether a tenant's cloud lets in others than the tenant. Pure."""

from typing import Final

NO_TENANT: Final = "convergence-probe"
"""Resembles no tenant. A name for people, who find it in their cloud's audit log."""
MAX_TENANT_ID: Final = 64
"""Characters of a tenant's id; see platform/identifiers."""
MAX_SUBJECT: Final = 127
"""Characters that every cloud accepts: Google's limit (IAM, "Workload Identity Federation", google.subject). AWS takes 255, Entra 600."""


def probe_subjects(tenant_id: str) -> tuple[str, ...]:
    """Subjects that resemble a tenant's id, and that no tenant can have: they contain a hyphen, or are longer than an id. Always as many, so
    that a place in the result, counted from 1, names one.

    One of them matches every pattern with `*` (any characters) or with `?` (one character) in the first or last place that matches the id and
    a tenant's other than it; also `startsWith`, `endsWith` and `contains`. Not found are `?` in other places only, a pattern that refuses
    hyphens and what is longer than an id, and a list of exact subjects.
    """
    return NO_TENANT, _between(tenant_id), f"-{tenant_id[1:]}", f"{tenant_id[:-1]}-"


def _between(tenant_id: str) -> str:
    """The id, something, and the id again, e.g. acme_corp___________convergence_probe____________acme_corp. A pattern A*B that matches the id
    matches A* at its beginning and B at its end, so it matches this, too. It has only characters that ids have: also a pattern that
    allows no others is found. Of an id that is nearly as long as an id can be, a character at either end may be left out.
    """
    half = (MAX_SUBJECT - 1) // 2
    begin, end = tenant_id[:half], tenant_id[-half:]
    shortest, longest = (limit - len(begin) - len(end) for limit in (MAX_TENANT_ID + 1, MAX_SUBJECT))
    name = f"_{NO_TENANT.replace('-', '_')}_"
    return begin + (name.center(shortest, "_") if len(name) <= longest else "_" * max(1, shortest)) + end
