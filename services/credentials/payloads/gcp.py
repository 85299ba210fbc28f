"""GCP: the project whose billing export is read, and a service account's key file.

The key file is rebuilt from the fields that we allow, never stored as it came: a file of the caller's making could otherwise name a
`token_uri` of its own and have the executor send a signed token there.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from services.credentials.payloads.fields import Field, read_fields, refuse_unknown
from services.credentials.payloads.private_key import is_rsa_private_key
from services.platform.errors import InvalidArgument

KEY_FILE = "credentials.service_account_json"

_PROJECT = Field(
    # "Creating and managing projects": 6 to 30 characters; older ones may carry their domain in front.
    pattern=re.compile(r"(?:(?:[a-z0-9-]{1,63}\.)+[a-z]{2,63}:)?[a-z][a-z0-9-]{4,28}[a-z0-9]"),
    takes="a project id, 6 to 30 lower-case letters, digits and hyphens, starting with a letter and not ending with a hyphen",
)
_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")

FIELDS = {"project_id": _PROJECT}

KEY_FILE_FIELDS = {
    "type": Field(pattern=re.compile("service_account"), takes="service_account; other kinds of credentials are not taken"),
    "project_id": _PROJECT,
    "client_email": Field(
        # Not only ...gserviceaccount.com: Google's sovereign clouds have domains of their own.
        pattern=re.compile(r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,127}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,63}"),
        takes="the service account's e-mail address",
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
"""What a key file says about Google, said by us."""


def read_gcp(credentials: Mapping[str, Any]) -> dict[str, Any]:
    """What is sealed for GCP. Raises InvalidArgument."""
    refuse_unknown(credentials, [*FIELDS, "service_account_json"], path="credentials")
    project = read_fields(credentials, FIELDS, path="credentials")
    key_file = _parse(credentials.get("service_account_json"))
    account = read_fields(key_file, KEY_FILE_FIELDS, path=KEY_FILE)
    if not is_rsa_private_key(account["private_key"]):
        raise InvalidArgument(f"{KEY_FILE}.private_key", "must be an RSA private key in PEM, without a password, as Google issued it.")
    return {"project_id": project["project_id"], "service_account": {**account, **GOOGLES_OWN}}


def _parse(value: object) -> Mapping[str, Any]:
    """The key file as an object. What went wrong in a parser is not kept: its exception holds the text."""
    if value is None or value == "":
        raise InvalidArgument(KEY_FILE, "is required: the service account's key file, as JSON.")
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = None
    if not isinstance(value, Mapping):
        raise InvalidArgument(KEY_FILE, "must be the key file's JSON object, as it is or as a string.")
    return value
