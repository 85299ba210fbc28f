"""Azure: an application in the tenant's directory, its secret unless it trusts our identity tokens, and the subscription whose cost it
reads.
"""

import re
from collections.abc import Mapping
from typing import Any

from services.credentials.payloads.fields import Field, read_fields, refuse_unknown

_GUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"

FIELDS = {
    "directory_id": Field(pattern=re.compile(_GUID), takes="the directory's (tenant's) id, a GUID"),
    "client_id": Field(pattern=re.compile(_GUID), takes="the application's (client's) id, a GUID"),
    "client_secret": Field(
        # The portal shows the secret's id, a GUID, next to its value: people paste the id by mistake. No secret has quotes around it: they
        # were copied along.
        pattern=re.compile(rf"(?!{_GUID}\Z)(?![\"'`])[\x21-\x7e]{{8,256}}(?<![\"'`])"),
        takes="the client secret's value (not its id), 8 to 256 printable characters without spaces",
    ),
    "subscription_id": Field(pattern=re.compile(_GUID), takes="the subscription's id, a GUID"),
}

"""The fields of credentials with a secret."""

FEDERATED_FIELDS = {name: field for name, field in FIELDS.items() if name != "client_secret"}
"""The fields of credentials without a secret."""


def read_azure(credentials: Mapping[str, Any]) -> dict[str, Any]:
    """The fields to encrypt for Azure. A secret that is sent empty is one that was forgotten, not one that there is not. Raises
    InvalidArgument.
    """
    refuse_unknown(credentials, FIELDS, path="credentials")
    fields = FIELDS if "client_secret" in credentials or not credentials else FEDERATED_FIELDS
    return dict(read_fields(credentials, fields, path="credentials"))
