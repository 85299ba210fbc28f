"""What a tenant sends as its credentials, checked and rebuilt: from a JSON object to the bytes that are sealed. No I/O.

The bytes are canonical JSON (sorted keys, no spaces). The executor opens exactly this:

    GCP    {"project_id": ..., "service_account": {... the key file, rebuilt ...}}
    AWS    {"access_key_id": ..., "secret_access_key": ..., and of role_arn, external_id, region what was sent}
    AZURE  {"client_id": ..., "client_secret": ..., "directory_id": ..., "subscription_id": ...}
    SLACK  {"webhook_url": ...}
    WEBHOOK  {"signing_secret": ..., "url": ...}

Errors name the field as the caller wrote it and say what it takes; they never hold a value.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from services.credentials.payloads.aws import read_aws
from services.credentials.payloads.azure import read_azure
from services.credentials.payloads.gcp import read_gcp
from services.credentials.payloads.targets import read_slack, read_webhook
from services.credentials.providers import Provider

MAX_BYTES = 64 * 1024
"""Of what a caller sends; KMS takes no more at once either."""

_READERS: dict[Provider, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    Provider.GCP: read_gcp,
    Provider.AWS: read_aws,
    Provider.AZURE: read_azure,
    Provider.SLACK: read_slack,
    Provider.WEBHOOK: read_webhook,
}


def to_plaintext(provider: Provider, credentials: Mapping[str, Any]) -> bytes:
    """The bytes to seal. Raises InvalidArgument, naming the field, for credentials that this provider could not have issued."""
    return json.dumps(_READERS[provider](credentials), sort_keys=True, separators=(",", ":")).encode()
