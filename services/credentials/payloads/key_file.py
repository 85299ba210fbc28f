"""Extracts a service account's key file from what a caller sends: as it is, or wrapped once or more by tools."""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any

from services.credentials.payloads.fields import PLAIN_NAME
from services.credentials.payloads.pasted import trim, unquote
from services.platform.errors import InvalidArgument

KEY_FILE = "credentials.service_account_json"

_LAYERS = 4
"""How many wrappings are removed: a JSON string in a JSON string, in Base64, in quotes."""
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{100,}={0,2}")
_FENCE = re.compile(r"(`{3,}|~{3,})(?:[\w.+-]{0,20}\s)?")
"""The beginning of a Markdown code block, with or without a language."""
_ASSIGNMENT = re.compile(r"(?s)(?:(?:export|set)\s+|\$env:)?[A-Za-z_]\w{0,127}\s{0,8}=\s{0,8}(?P<value>[^\s=].*)", re.ASCII)
"""A line of a .env file or of a shell."""
_GENERAL = "must be the key file's JSON object, as it is or as a string."
_CAUSES = (
    (re.compile("-----BEGIN "), "is a private key alone. Send the whole key file, the JSON that Google issued with it."),
    (re.compile(r"[^{}\"\n]{1,512}\.(?i:json|p12|pem|key)\Z"), "is the name of a file. Send the content of that file."),
    (re.compile(r"\{\s*'"), "has single quotes, as Python prints an object; JSON has double ones. Send the key file as Google issued it."),
    (re.compile(r"\{\s*[\u201c-\u201f]"), "has typographic quotes; JSON has plain ones. Send the key file as Google issued it."),
    (
        re.compile(r"(?s)[^\x00]{0,4}\x00|\u00ff\u00fe|\u00fe\u00ff|\ufffd\ufffd|[\u227b\u7b22\u0a7b\u7b0a\u0d7b\u7b0d]"),
        "is UTF-16 that was read as another encoding, as of a file that PowerShell wrote with `>`. Save it as UTF-8, and send that.",
    ),
    (re.compile(r"\{[^{}]*\}\s*+,?+\s*+\{"), "holds more than one JSON object. Send one key file alone."),
    (
        re.compile(r"(?s)[\[{].*,\s*[\]}]\s*\Z|\{[^{}]*\}\s*,\s*\Z"),
        "has a comma at its end, after its last field or its closing brace; JSON has none there. Send the key file as Google issued it.",
    ),
    (re.compile(r"\{[^{}]*\}\s*[^\s}]"), "has more text after its closing brace. Send the key file's JSON object alone."),
    (re.compile(r"(?s)\{.*[^}]\Z"), "breaks off before its closing brace. Copy the whole key file."),
    (re.compile(r"[A-Za-z0-9+/_\s-]{100,}=*\Z"), "is Base64, but of no key file. Send the key file in JSON; P12 keys are not taken."),
)
"""Patterns of texts that are no JSON, and what each is."""


class _GivenTwice(Exception):
    """A key occurs twice in an object."""


def parse_key_file(value: object) -> Mapping[str, Any]:
    """The key file's object. Raises InvalidArgument naming the problem; the parser's message is dropped, because it contains the text."""
    if value is None or (isinstance(value, str) and not trim(value)):
        raise InvalidArgument(KEY_FILE, "is required: the service account's key file, as JSON.")
    for _ in range(_LAYERS):
        if isinstance(value, str):
            value = _unwrap(trim(value))
        elif isinstance(value, list) and len(value) == 1:
            value = value[0]
    if isinstance(value, list) and len(value) > 1:
        raise InvalidArgument(KEY_FILE, "is a list of more than one. Send one key file alone.")
    if not isinstance(value, Mapping):
        raise InvalidArgument(KEY_FILE, _GENERAL)
    if "privateKeyData" in value:
        raise InvalidArgument(KEY_FILE, "is the answer of Google's API to a new key. Send what its privateKeyData holds.")
    return value


def _unwrap(text: str) -> object:
    """The content of the text: a JSON value, or a text with one wrapping less. Raises InvalidArgument if it is neither."""
    holds = _from_json(text)
    if holds is None and (fence := _FENCE.match(text)):
        return text[fence.end() :].removesuffix(fence[1])
    if holds is None and (inner := unquote(text)) != text:
        return inner
    if holds is None and '\\"' in text:
        # The content of a JSON string without its quotes.
        holds = _from_json(f'"{text}"')
    if holds is None:
        holds = _from_base64(text.rpartition(";base64,")[2] if text.startswith("data:") else text)
    if holds is None and (assigned := _ASSIGNMENT.fullmatch(text)):
        return assigned["value"]
    if holds is None:
        raise InvalidArgument(KEY_FILE, _cause(text))
    return holds


def _from_json(text: str) -> object:
    """None if it is no JSON. Line breaks in strings are accepted: shells expand those of the private key."""
    twice = ""
    try:
        return json.loads(text, strict=False, object_pairs_hook=_each_once)
    except _GivenTwice as found:
        twice = str(found)
    except (ValueError, RecursionError):
        return None
    field = f"{KEY_FILE}.{twice}" if PLAIN_NAME.fullmatch(twice) else KEY_FILE
    raise InvalidArgument(field, "occurs twice in the key file. Send the file as Google issued it.")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    once: dict[str, Any] = {}
    for name, value in pairs:
        if name in once:
            raise _GivenTwice(name)
        once[name] = value
    return once


def _from_base64(text: str) -> str | None:
    """The text in Base64 of either alphabet, as Terraform and Kubernetes pass key files; in UTF-8, or in UTF-16 as PowerShell writes it.
    None if it is no Base64.
    """
    packed = "".join(text.split())
    if not _BASE64.fullmatch(packed):
        return None
    plain = packed.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        content = base64.b64decode(plain + "=" * (-len(plain) % 4))
        return content.decode(json.detect_encoding(content))
    except (binascii.Error, UnicodeError):
        return None


def _cause(text: str) -> str:
    return next((cause for pattern, cause in _CAUSES if pattern.match(text)), _GENERAL)
