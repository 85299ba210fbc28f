"""Replaces values that differ from one recording to the next: ids, times, keys, addresses."""

import json
import re
import uuid
from typing import Any, Final

from tests.support.api.recorder import Recorded

IDS: Final = uuid.UUID("6ba7b812-9dad-11d1-80b4-00c04fd430c8")
NOW, TODAY, MONTH = "2025-11-18T06:00:00Z", "2025-11-18", "2025-11"
KEYS: Final = {
    "api_key": "cvg_acme_corp_V1StGXR8Z5jdHi6BmyT4oQpLs2n",
    "session_token": "eyJhbGciOiJIUzI1NiJ9.eyJ0ZW5hbnRfaWQiOiJhY21lX2NvcnAifQ.3fYmM7vT0c1kqXo2",
    "next_page_token": "WyIyMDI1LTExLTE4VDA2OjAwOjAwWiJd",
    "page_token": "WyIyMDI1LTExLTE4VDA2OjAwOjAwWiJd",
    "service_account_json": '{"type": "service_account", "project_id": "acme-billing", "private_key": "..."}',
    "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc",
    "kid": "1",
    "entry_hash": "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8",
    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
}
"""Replacements for fields that are secret or new each time."""
MOST: Final = {"steps": 4, "dq_results": 2, "templates": 1, "commands": 2}
"""Elements that are kept of long lists, which are for programs to read."""
FRAMES: Final = 5
"""Events that are kept of a stream, beside the last."""
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_RULES: Final = (
    (re.compile(r"20(?:2[6-9]|[3-9]\d)-\d\d-\d\dT[\d:.]+(?:Z|\+00:00)"), NOW),
    (re.compile(r"20(?:2[6-9]|[3-9]\d)-\d\d-\d\dT[\d:.]+(?=[+-]\d\d:\d\d)"), NOW.removesuffix("Z")),
    (re.compile(r"\b20(?:2[6-9]|[3-9]\d)-\d\d-\d\d\b"), TODAY),
    (re.compile(r"\b20(?:2[6-9]|[3-9]\d)-\d\d\b"), MONTH),
    (re.compile(r"\b[0-9a-f]{64}\b"), KEYS["entry_hash"]),
    (re.compile(r"\b[0-9a-f]{32}\b"), KEYS["trace_id"]),
    (re.compile(r"admin-key:[0-9a-f]{8}"), "admin-key:5e884898"),
    (re.compile(r"(?:127\.0\.0\.1|localhost):\d+"), "127.0.0.1:8080"),
)


def normal(recorded: Recorded) -> tuple[dict[str, Any], dict[str, Any]]:
    """Calls by the RPC's name and errors by reason, as they are stored."""
    text = json.dumps(_without_keys({"calls": recorded.calls, "errors": recorded.errors}), sort_keys=False)
    for value, name in recorded.names.items():
        text = text.replace(value, name)
    ids = dict.fromkeys(_UUID.findall(text))
    numbered = {one: str(uuid.uuid5(IDS, str(number))) for number, one in enumerate(ids)}
    text = _UUID.sub(lambda found: numbered[found[0]], text)
    for pattern, value in _RULES:
        text = pattern.sub(value, text)
    found = json.loads(text)
    return found["calls"], found["errors"]


def _without_keys(value: Any) -> Any:
    """Without secrets, and with what is long cut short."""
    if isinstance(value, dict):
        return {name: _kept(name, inner) for name, inner in value.items()}
    return [_without_keys(one) for one in value] if isinstance(value, list) else value


def _kept(name: str, value: Any) -> Any:
    match value:
        case str() if name in KEYS and value:
            return KEYS[name]
        case str() if name == "answer":
            frames = value.strip().split("\n\n")
            return "\n\n".join([*frames[:FRAMES], *frames[FRAMES:][-1:]]) + "\n\n"
        case list() if name in MOST:
            return _without_keys(value[: MOST[name]])
        case _:
            return _without_keys(value)
