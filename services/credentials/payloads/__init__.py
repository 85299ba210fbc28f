"""Checks and rebuilds the credentials that a tenant sends: from a JSON object to the bytes to encrypt. Pure.

The bytes are canonical JSON (sorted keys, no spaces). The executor decrypts exactly this:

    GCP    {"project_id": ..., "service_account": {... the key file, rebuilt ...}}
    AWS    {"access_key_id": ..., "secret_access_key": ..., and those of role_arn, external_id, region that were sent}
    AZURE  {"client_id": ..., "client_secret": ..., "directory_id": ..., "subscription_id": ...}
    SLACK  {"webhook_url": ...}
    WEBHOOK  {"signing_secret": ..., "url": ...}

and of a tenant whose cloud trusts our identity tokens, where nothing is secret:

    GCP    {"project_id": ..., "workload_identity_provider": "projects/...", and service_account_email if it was sent}
    AWS    {"role_arn": ..., and region if it was sent}
    AZURE  {"client_id": ..., "directory_id": ..., "subscription_id": ...}

Errors name the field as the caller wrote it and say what it accepts; they never contain a value.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from services.clouds.audiences import AWS, AZURE, gcp_audience
from services.clouds.own_resources import NOT_YOURS, OwnResources
from services.credentials.payloads.aws import read_aws
from services.credentials.payloads.azure import read_azure
from services.credentials.payloads.gcp import read_gcp
from services.credentials.payloads.target_rules import TargetRules, target_urls
from services.credentials.payloads.targets import read_slack, read_webhook
from services.credentials.providers import Provider
from services.platform.errors import InvalidArgument

MAX_BYTES = 64 * 1024
"""Maximum size of what a caller sends; KMS's limit is the same."""

_READERS: dict[Provider, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    Provider.GCP: read_gcp,
    Provider.AWS: read_aws,
    Provider.AZURE: read_azure,
    Provider.SLACK: read_slack,
    Provider.WEBHOOK: read_webhook,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class PayloadRules:
    """What this installation does not take from a tenant, though a provider may have issued it."""

    own: OwnResources = field(default_factory=OwnResources)
    targets: TargetRules = field(default_factory=TargetRules)

    def to_plaintext(self, provider: Provider, credentials: Mapping[str, Any]) -> bytes:
        """The bytes to encrypt. Raises InvalidArgument, naming the field, as `to_plaintext` does, and for what breaks these rules."""
        plaintext = to_plaintext(provider, credentials)
        if named := self.own.field_of(provider, plaintext):
            raise InvalidArgument(f"credentials.{named}", NOT_YOURS)
        for name, url in target_urls(provider, plaintext):
            self.targets.check(url, field=f"credentials.{name}")
        return plaintext


def to_plaintext(provider: Provider, credentials: Mapping[str, Any]) -> bytes:
    """The bytes to encrypt. Raises InvalidArgument, naming the field, for credentials that this provider cannot have issued."""
    return json.dumps(_READERS[provider](credentials), sort_keys=True, separators=(",", ":")).encode()


def token_audience(provider: Provider, plaintext: bytes) -> str | None:
    """The audience of the identity tokens that open the tenant's cloud with what `to_plaintext` returned; None: it holds a key or another
    secret.
    """
    stored = json.loads(plaintext)
    match provider:
        case Provider.AWS if "access_key_id" not in stored:
            return AWS
        case Provider.AZURE if "client_secret" not in stored:
            return AZURE
        case Provider.GCP if "workload_identity_provider" in stored:
            return gcp_audience(stored["workload_identity_provider"])
        case _:
            return None
