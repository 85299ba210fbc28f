"""The forms for storing credentials: which fields each provider takes, and which of them are secrets. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class CredentialField:
    """One field of `credentials` in SetCredentials. A secret is never written into a page, not even after an error."""

    name: str
    label: str
    is_secret: bool = False
    is_long: bool = False
    is_required: bool = True


def _field(name: str, label: str, *, secret: bool = False, long: bool = False, required: bool = True) -> CredentialField:
    return CredentialField(name=name, label=label, is_secret=secret, is_long=long, is_required=required)


KEY, FEDERATION = "key", "federation"
CLOUDS: Final = ("GCP", "AWS", "AZURE")
TARGETS: Final = ("SLACK", "WEBHOOK")
FORMS: Final[Mapping[str, Mapping[str, tuple[CredentialField, ...]]]] = {
    "GCP": {
        KEY: (
            _field("project_id", "Project id"),
            _field("service_account_json", "Key file of the service account", secret=True, long=True),
        ),
        FEDERATION: (
            _field("project_id", "Project id"),
            _field("workload_identity_provider", "Workload identity provider"),
            _field("service_account_email", "Service account", required=False),
        ),
    },
    "AWS": {
        KEY: (
            _field("access_key_id", "Access key id"),
            _field("secret_access_key", "Secret access key", secret=True),
            _field("role_arn", "Role to assume (ARN)", required=False),
            _field("external_id", "External id", required=False),
            _field("region", "Region", required=False),
        ),
        FEDERATION: (_field("role_arn", "Role (ARN)"), _field("region", "Region", required=False)),
    },
    "AZURE": {
        KEY: (
            _field("directory_id", "Directory (tenant) id"),
            _field("client_id", "Application (client) id"),
            _field("client_secret", "Client secret", secret=True),
            _field("subscription_id", "Subscription id"),
        ),
        FEDERATION: (
            _field("directory_id", "Directory (tenant) id"),
            _field("client_id", "Application (client) id"),
            _field("subscription_id", "Subscription id"),
        ),
    },
    "SLACK": {KEY: (_field("webhook_url", "Webhook URL", secret=True),)},
    "WEBHOOK": {KEY: (_field("url", "URL"), _field("signing_secret", "Signing secret, at least 16 characters", secret=True))},
}
"""By provider and way. https only; what each field means is in the proto of SetCredentials."""


def fields_of(provider: str, way: str) -> tuple[CredentialField, ...] | None:
    """None: there is no such form."""
    return FORMS.get(provider, {}).get(way)


def credentials_of(fields: tuple[CredentialField, ...], form: Mapping[str, str]) -> dict[str, str]:
    """What is sent as `credentials`: the fields that were filled in."""
    return {one.name: form[one.name] for one in fields if form.get(one.name)}


def shown_again(fields: tuple[CredentialField, ...], form: Mapping[str, str]) -> dict[str, str]:
    """What a form shows again after an error: all but the secrets."""
    return {one.name: "" if one.is_secret else form.get(one.name, "") for one in fields}
