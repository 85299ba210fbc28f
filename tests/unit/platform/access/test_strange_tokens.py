"""How fast session tokens that are new to a process are sent to auth."""

import asyncio
from types import SimpleNamespace
from typing import Any

from convergence.auth.v1 import authentication_service_pb2 as messages

from services.platform.access.authenticator import MAX_STRANGE_TOKENS, STRANGERS_SECONDS, RemoteAuthenticator
from services.platform.errors import Unauthenticated

BATCHES = 5


class Auth:
    """A stub of auth; knows the token `good`."""

    def __init__(self) -> None:
        self.asked = list[tuple[float, str]]()

    async def AuthenticateSessionToken(
        self, request: messages.AuthenticateSessionTokenRequest
    ) -> messages.AuthenticateSessionTokenResponse:
        self.asked.append((asyncio.get_running_loop().time(), request.session_token))
        if request.session_token != "good":
            raise Unauthenticated("TOKEN_INVALID", "No.")
        return messages.AuthenticateSessionTokenResponse(session_token_id="s-1")


async def test_invented_tokens_are_asked_about_at_a_bounded_rate_and_hold_up_none_that_was_good() -> None:
    auth = Auth()
    stub: Any = auth
    channel: Any = SimpleNamespace(unary_unary=lambda *_, **__: None, unary_stream=lambda *_, **__: None)
    remote = RemoteAuthenticator(channel)
    remote._stub = stub
    assert (await remote.authenticate_session("good")).session_token_id == "s-1"
    auth.asked.clear()

    began = asyncio.get_running_loop().time()
    flood = [asyncio.create_task(remote.authenticate_session(f"bad {n}")) for n in range(BATCHES * MAX_STRANGE_TOKENS)]
    await asyncio.sleep(0)
    assert (await remote.authenticate_session("good")).session_token_id == "s-1"
    assert len(auth.asked) <= MAX_STRANGE_TOKENS + 1
    answers = await asyncio.gather(*flood, return_exceptions=True)
    assert all(isinstance(answer, Unauthenticated) for answer in answers)

    times = sorted(time for time, token in auth.asked if token != "good")
    assert len(times) == BATCHES * MAX_STRANGE_TOKENS
    # Later is allowed, also for the first; earlier is not. A timer may fire a clock's tick before its time.
    early = [n for n, time in enumerate(times) if time - began < (n // MAX_STRANGE_TOKENS) * STRANGERS_SECONDS * 0.9]
    assert early == []
