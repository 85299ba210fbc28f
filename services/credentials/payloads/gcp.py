"""GCP: the project whose billing export is read, and a service account's key file; or the provider of a workload identity pool that trusts
our identity tokens.

The key file is rebuilt from the allowed fields, never stored as sent: a forged file could name a `token_uri` of its own, to which the
executor would then send a signed token.
"""

import re
from collections.abc import Mapping
from typing import Any

from services.clouds.audiences import GCP_PROVIDER
from services.credentials.payloads.fields import Field, read_fields, refuse_unknown
from services.credentials.payloads.key_file import KEY_FILE, parse_key_file
from services.credentials.payloads.pasted import trim
from services.credentials.payloads.private_key import read_private_key
from services.platform.errors import InvalidArgument

_PROJECT = Field(
    # "Creating and managing projects": 6 to 30 characters; older ones may have their domain in front.
    pattern=re.compile(r"(?:(?:[a-z0-9-]{1,63}\.)+[a-z]{2,63}:)?[a-z][a-z0-9-]{4,28}[a-z0-9]"),
    takes="a project id, 6 to 30 lower-case letters, digits and hyphens, starting with a letter and not ending with a hyphen",
)
KEY_FIELD = "service_account_json"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")

FIELDS = {"project_id": _PROJECT}

FEDERATED_FIELDS = {
    "project_id": _PROJECT,
    "workload_identity_provider": Field(
        pattern=re.compile(rf"(?:(?:https:)?//iam\.googleapis\.com/)?(?:{GCP_PROVIDER.pattern})"),
        takes="a provider's resource name, projects/<project number>/locations/global/workloadIdentityPools/<pool>/providers/<provider>",
    ),
    "service_account_email": Field(
        pattern=re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]@(?:[a-z0-9-]{1,63}\.){1,8}iam\.gserviceaccount\.com"),
        takes="a service account's e-mail address, <name>@<project>.iam.gserviceaccount.com",
        optional=True,
    ),
}
"""The fields of credentials without a key."""

KEY_FILE_FIELDS = {
    "type": Field(pattern=re.compile("service_account"), takes="service_account; other kinds of credentials are not taken"),
    "project_id": _PROJECT,
    "client_email": Field(
        # <name>@<project>.iam..., also with the domain of a domain-scoped project (two labels or more), and Google's own (developer,
        # appspot, ...). Another universe has its one-label prefix after the project: <name>@<project>.s3ns.iam...
        pattern=re.compile(
            r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,127}@(?:(?:[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){2,7}|[A-Za-z0-9-]{1,63})\.iam\.|[a-z]{1,63}\.)"
            r"gserviceaccount\.com"
        ),
        takes="a service account's e-mail address in googleapis.com, <name>@<project>.iam.gserviceaccount.com; no other universe is served",
    ),
    "private_key_id": Field(pattern=_NAME, takes="the private key's id", optional=True),
    "client_id": Field(pattern=_NAME, takes="the service account's numeric id, as text", optional=True),
    "private_key": Field(pattern=re.compile(r"(?s).+"), takes="the key file's RSA private key in PEM; this file has none"),
}

GOOGLES_OWN = {
    "auth_uri": "https://accounts.google.com/o/oauth2/auth",
    "token_uri": "https://oauth2.googleapis.com/token",
    "universe_domain": "googleapis.com",
}
"""Fields of a key file about Google, with the values that we store."""

_GOOGLE_URI = re.compile(r"https://(?:[a-z0-9-]+\.)*(?:google|googleapis)\.com/[\x21-\x7e]*")
_LEAVE = "leave the key file as Google issued it"

GOOGLES_FIELDS = {
    "universe_domain": Field(
        pattern=re.compile(r"googleapis\.com", re.IGNORECASE),
        takes="googleapis.com: only googleapis.com is served, Google's public cloud. Create the key of a service account there",
        optional=True,
    ),
    "token_uri": Field(pattern=_GOOGLE_URI, takes=f"Google's own, {GOOGLES_OWN['token_uri']}; {_LEAVE}", optional=True),
    "auth_uri": Field(pattern=_GOOGLE_URI, takes=f"Google's own, {GOOGLES_OWN['auth_uri']}; {_LEAVE}", optional=True),
}
"""Accepted values of these fields in a key file: they are replaced, so only values that mean the same are accepted."""

_NEXT = "Create a key of a service account (gcloud iam service-accounts keys create) and send that file, whose type is service_account."
_OTHER_KINDS = {
    "authorized_user": f"is a person's login, which gcloud keeps. {_NEXT}",
    "external_account": "is a configuration of workload identity federation, which holds no key. Leave service_account_json out and send "
    "the provider in its audience as workload_identity_provider; GET .../credentials/gcp/trust says what to set up first.",
    "external_account_authorized_user": f"is a login of workforce identity federation, which holds no key. {_NEXT}",
    "impersonated_service_account": f"borrows another identity, and holds no key of the service account. {_NEXT}",
    "gdch_service_account": f"is of Google Distributed Cloud; only Google's public cloud is served. {_NEXT}",
}


def read_gcp(credentials: Mapping[str, Any]) -> dict[str, Any]:
    """The fields to encrypt for GCP. Raises InvalidArgument."""
    refuse_unknown(credentials, [*FEDERATED_FIELDS, KEY_FIELD], path="credentials")
    if credentials.get("workload_identity_provider") or credentials.get("service_account_email"):
        return _read_federated(credentials)
    project = read_fields(credentials, FIELDS, path="credentials")
    key_file = parse_key_file(credentials.get(KEY_FIELD))
    _check_kind(key_file)
    # Checked first: another universe's key would fail the other checks, too.
    read_fields(key_file, GOOGLES_FIELDS, path=KEY_FILE)
    account = read_fields(key_file, KEY_FILE_FIELDS, path=KEY_FILE)
    account["private_key"] = read_private_key(account["private_key"], field=f"{KEY_FILE}.private_key")
    return {"project_id": project["project_id"], "service_account": {**account, **GOOGLES_OWN}}


def _read_federated(credentials: Mapping[str, Any]) -> dict[str, Any]:
    if KEY_FIELD in credentials:
        raise InvalidArgument(
            "credentials.workload_identity_provider"
            if credentials.get("workload_identity_provider")
            else "credentials.service_account_email",
            f"is for access without a key, but {KEY_FIELD} is sent, too. Send one or the other.",
        )
    read = read_fields(credentials, FEDERATED_FIELDS, path="credentials")
    return {**read, "workload_identity_provider": read["workload_identity_provider"].rpartition("iam.googleapis.com/")[2]}


def _check_kind(key_file: Mapping[str, Any]) -> None:
    """Raises InvalidArgument, naming the kind of credentials, if this is no service account's key file, and says what to do."""
    kind = key_file.get("type")
    if isinstance(kind, str) and trim(kind) in _OTHER_KINDS:
        raise InvalidArgument(f"{KEY_FILE}.type", _OTHER_KINDS[trim(kind)])
    if kind is None and ("installed" in key_file or "web" in key_file):
        raise InvalidArgument(f"{KEY_FILE}.type", f"is required: this is an OAuth client's file, not a service account's. {_NEXT}")
