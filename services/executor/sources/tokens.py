"""Identity tokens from the credentials service, for worker threads that open a tenant's cloud without a key."""

import asyncio
from concurrent.futures import Future
from typing import Final

import grpc
from convergence.credentials.v1 import token_service_pb2 as messages
from convergence.credentials.v1.token_service_pb2_grpc import TokenServiceStub

from services.clouds.access import AccessRefused, TokenOf
from services.clouds.probes import probe_subjects
from services.platform.errors import ConvergenceError, FailedPrecondition, Internal

SECONDS: Final = 20.0
"""Deadline of one call: credentials reads a row and asks KMS for one signature."""
_MARGIN: Final = 5.0


class IdentityTokens:
    """A client of credentials' TokenService. Tokens are kept nowhere: each is made when a cloud's own credentials are opened or renewed."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = TokenServiceStub(channel)

    def token_of(self, tenant_id: str, provider: str) -> TokenOf:
        """Makes tokens for what the tenant has stored for `provider` (upper-case). Call this on the event loop, and what it returns in
        worker threads: it blocks for at most some SECONDS.
        """
        return self._token_of(messages.MintTokenRequest(tenant_id=tenant_id, provider=provider))

    def probes(self, tenant_id: str, provider: str) -> dict[str, TokenOf]:
        """As `token_of`, by each of `probe_subjects`, about which they are instead of the tenant."""
        return {
            subject: self._token_of(messages.MintTokenRequest(tenant_id=tenant_id, provider=provider, probe=number))
            for number, subject in enumerate(probe_subjects(tenant_id), start=1)
        }

    def _token_of(self, request: messages.MintTokenRequest) -> TokenOf:
        loop = asyncio.get_running_loop()

        def token_of(audience: str) -> str:
            if _on_an_event_loop():
                raise RuntimeError("an identity token is waited for on an event loop, which would stop it: use a worker thread")
            answer = _wait_for(asyncio.run_coroutine_threadsafe(self._mint(request), loop))
            if answer.audience != audience:
                raise AccessRefused(f"The {request.provider} credentials were changed meanwhile. Run it again.", is_retryable=True)
            return answer.token

        return token_of

    async def _mint(self, request: messages.MintTokenRequest) -> messages.MintTokenResponse:
        answer: messages.MintTokenResponse = await self._stub.MintToken(request, timeout=SECONDS)
        return answer


def _wait_for(answer: Future[messages.MintTokenResponse]) -> messages.MintTokenResponse:
    try:
        return answer.result(SECONDS + _MARGIN)
    except TimeoutError:
        answer.cancel()
        raise AccessRefused("No identity token was issued in time. Run it again in a moment.", is_retryable=True) from None
    except FailedPrecondition as error:
        raise AccessRefused(error.message) from None
    except ConvergenceError as error:
        is_retryable = not isinstance(error, Internal) or error.reason == "KMS_KEY_UNUSABLE"
        raise AccessRefused(f"No identity token was issued: {error.message}", is_retryable=is_retryable) from None


def _on_an_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
