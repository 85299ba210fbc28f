"""What may become part of a BigQuery name. Checked where a request enters; all else reaches SQL as a query parameter."""

import re
from collections.abc import Iterable

from services.platform.errors import InvalidArgument

TENANT_ID = re.compile(r"[a-z0-9][a-z0-9_]{2,63}")
"""Also a valid dataset id: letters, digits and underscores, up to 1,024 characters (BigQuery, "Name datasets")."""

ALWAYS_RESERVED = frozenset({"information_schema", "tenants"})


def check_tenant_id(tenant_id: str, reserved: Iterable[str]) -> None:
    """Raises InvalidArgument unless `tenant_id` can name a tenant and so its dataset."""
    if not TENANT_ID.fullmatch(tenant_id):
        raise InvalidArgument(
            "tenant_id", "use 3 to 64 characters: lower-case letters, digits and underscores, not starting with an underscore."
        )
    if tenant_id in ALWAYS_RESERVED or tenant_id in reserved:
        raise InvalidArgument("tenant_id", "this name is reserved; choose another one.")
