"""Reads an issuer's public documents."""

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpcore

from services.platform.oidc.trusted_issuers import is_secure

SECONDS = 5.0
"""For all of one document."""
MAX_BYTES = 256 * 1024
OK = 200

type Fetch = Callable[[str], Awaitable[Mapping[str, Any]]]
"""The JSON object at a URL. Raises NotRead."""


class NotRead(Exception):
    """The document could not be read. The message is for the log."""


async def fetch_json(url: str) -> Mapping[str, Any]:
    """The JSON object at `url`, which is https or on loopback; redirects are not followed. Raises NotRead."""
    if not is_secure(url):
        raise NotRead("the address is not https")
    try:
        async with asyncio.timeout(SECONDS):
            found = json.loads(await _read(url))
    except (TimeoutError, httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
        raise NotRead(f"it does not answer ({type(error).__name__})") from error
    except (ValueError, RecursionError) as error:
        raise NotRead("it is no JSON") from error
    if not isinstance(found, dict):
        raise NotRead("it is no JSON object")
    return found


async def _read(url: str) -> bytes:
    # Reading the machine's certificates takes milliseconds of CPU, and is needed once in ten minutes.
    tls = await asyncio.to_thread(ssl.create_default_context) if url.startswith("https:") else None
    content = bytearray()
    async with (
        httpcore.AsyncConnectionPool(ssl_context=tls, max_connections=1) as pool,
        pool.stream("GET", url, headers={"accept": "application/json", "user-agent": "convergence"}) as answer,
    ):
        if answer.status != OK:
            raise NotRead(f"it answers {answer.status}")
        async for part in answer.aiter_stream():
            content += part
            if len(content) > MAX_BYTES:
                raise NotRead(f"it is larger than {MAX_BYTES} bytes")
    return bytes(content)
