"""What belongs to this installation and is therefore no tenant's: neither as the place of an export, nor as an identity to read it with.

Everything that has a name outside: projects, accounts, buckets. The tenants' rights end where their clouds say; this holds also where an
identity of the installation's own could be reached, and on a laptop, whose emulators know no rights.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from services.platform.identifiers import TABLE
from services.platform.settings import ServiceSettings

_ACCOUNT: Final = re.compile(r"[^@]+@(?P<project>[a-z0-9-]+)(?:\.(?P<domain>[a-z0-9.-]+))?\.iam\.gserviceaccount\.com", re.IGNORECASE)
"""A service account's e-mail address. A domain-scoped project, `domain:project`, has its domain behind it."""
_DEFAULT_ACCOUNT: Final = re.compile(r"(?:(?P<number>[0-9]+)-compute@developer|(?P<project>[a-z0-9-]+)@appspot)\.gserviceaccount\.com")
"""Compute Engine's and App Engine's."""
_ARN: Final = re.compile(r"arn:[^:]*:[^:]*:[^:]*:(?P<account>[0-9]{12}):.*")
_KEY: Final = re.compile(r"projects/(?P<project>[^/]+)/.*")

NOT_YOURS: Final = "is this installation's own, where no tenant's export or identity lies. Name what is yours."
"""The end of a sentence about a field."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnResources:
    """Their names, in lower case: GCP project ids and numbers, AWS account ids and buckets, Azure directories, subscriptions and storage
    accounts. One set is enough: a name that is a bucket here and a project elsewhere is refused as both.
    """

    names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, settings: ServiceSettings) -> Self:
        """The platform's projects, as far as the settings name them, and what the operator has added."""
        keys = filter(None, map(_KEY.fullmatch, settings.kms_keys))
        names = {settings.project, settings.datasets_project, *settings.own_resources, *(key["project"] for key in keys)}
        return cls(names=frozenset(name.lower() for name in names))

    def field_of(self, provider: str, plaintext: bytes) -> str | None:
        """The field of stored credentials (upper-case provider; see services/credentials/payloads) that names one of these; None: none
        does.
        """
        try:
            stored: Any = json.loads(plaintext)
        except ValueError:
            return None
        named = _NAMES.get(provider, _nothing)(stored) if isinstance(stored, Mapping) else ()
        return next((field for field, name in named if name.lower() in self.names), None)

    def has_export(self, provider: str, export: str) -> bool:
        """True if an export, written as templates take it, lies in one of these. A table without a project lies in the credentials' own."""
        if provider == "GCP":
            table = TABLE.fullmatch(export)
            place = (table["project"] or "") if table else ""
        else:
            place = export.removeprefix("s3://").strip("/").partition("/")[0]
        return place.lower() in self.names


def project_of_account(email: str) -> str:
    """The project id, or the number, in a service account's e-mail address; empty if it is in none."""
    if own := _ACCOUNT.fullmatch(email):
        return f"{own['domain']}:{own['project']}" if own["domain"] else own["project"]
    default = _DEFAULT_ACCOUNT.fullmatch(email.lower())
    return (default["number"] or default["project"]) if default else ""


def _nothing(_: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from ()


def _of_gcp(stored: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "project_id", str(stored.get("project_id", ""))
    account = stored.get("service_account")
    if isinstance(account, Mapping):
        yield "service_account_json.project_id", str(account.get("project_id", ""))
        yield "service_account_json.client_email", project_of_account(str(account.get("client_email", "")))
    yield "service_account_email", project_of_account(str(stored.get("service_account_email", "")))
    yield "workload_identity_provider", str(stored.get("workload_identity_provider", "")).removeprefix("projects/").partition("/")[0]


def _of_aws(stored: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    role = _ARN.fullmatch(str(stored.get("role_arn", "")))
    yield "role_arn", role["account"] if role else ""


def _of_azure(stored: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "subscription_id", str(stored.get("subscription_id", ""))
    yield "directory_id", str(stored.get("directory_id", ""))


_NAMES: Final = {"GCP": _of_gcp, "AWS": _of_aws, "AZURE": _of_azure}
