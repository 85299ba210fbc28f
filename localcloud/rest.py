"""A client of the gateway, used by the demo and the end-to-end tests."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import requests

SECONDS = 35.0  # a little more than the gateway itself allows


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A response."""

    status: int
    body: Any
    """Parsed JSON; the text itself if it is no JSON."""
    headers: Mapping[str, str]

    @property
    def reason(self) -> str:
        """The error's reason; empty if there is none."""
        details = self.body.get("details", []) if isinstance(self.body, dict) else []
        return next((detail["reason"] for detail in details if "reason" in detail), "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Rest:
    """Calls the gateway at `url` with the given headers on every request."""

    url: str
    headers: Mapping[str, str]

    def but(self, **headers: str) -> Self:
        """The same client with other headers; underscores become hyphens."""
        return replace(self, headers={**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}})

    def call(self, method: str, path: str, body: object | None = None, *, data: bytes | None = None) -> Answer:
        """Makes one request; `body` is sent as JSON, `data` unchanged. Raises requests' errors if there is no response."""
        sent = json.dumps(body).encode() if data is None and body is not None else data
        headers = {"Content-Type": "application/json", **self.headers}
        response = requests.request(method, self.url + path, data=sent, headers=headers, timeout=SECONDS)
        try:
            parsed = response.json()
        except requests.JSONDecodeError:
            parsed = response.text
        return Answer(status=response.status_code, body=parsed, headers=response.headers)


def until[Value](poll: Callable[[], Value], done: Callable[[Value], bool], *, seconds: float, every: float = 0.1) -> Value:
    """Polls until `done` and returns the last value. Raises TimeoutError, with that value, after `seconds`."""
    deadline = time.monotonic() + seconds
    while not done(value := poll()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not done after {seconds:g} s: {value}")
        time.sleep(every)
    return value
