"""Which of the ciphertexts that were looked up a run works with: one that was asked for after the run was, by any caller."""

import asyncio
import time
from typing import Any

import grpc
import pytest
from convergence.credentials.v1 import sealed_credential_service_pb2 as messages

from services.executor.sources.credentials import SealedCredentials
from services.platform.errors import FailedPrecondition

KEY = ("shop", "GCP")


class Service:
    """The credentials service. Its answer is what the tenant had set when it was asked."""

    def __init__(self) -> None:
        self.stored: bytes | None = b"first"
        self.asked = 0
        self.answers = asyncio.Event()
        self.answers.set()

    async def __call__(self, request: messages.GetSealedCredentialRequest) -> messages.GetSealedCredentialResponse:
        self.asked += 1
        stored = self.stored
        await self.answers.wait()
        if stored is None:
            raise FailedPrecondition("CREDENTIALS_MISSING", "Set the GCP credentials first.")
        return messages.GetSealedCredentialResponse(tenant_id=request.tenant_id, provider=request.provider, encrypted_credentials=stored)


@pytest.fixture
async def service() -> Service:
    return Service()


@pytest.fixture
async def sealed(service: Service) -> SealedCredentials:
    return client(service)


def client(service: Service, *, cache_seconds: float = 60.0) -> SealedCredentials:
    sealed = SealedCredentials(grpc.aio.insecure_channel("127.0.0.1:1"), cache_seconds=cache_seconds, cache_size=10)
    stub: Any = sealed._stub
    stub.GetSealedCredential = service
    return sealed


async def test_a_run_works_with_what_its_start_has_looked_up(service: Service, sealed: SealedCredentials) -> None:
    requested = time.monotonic()
    await sealed.require(*KEY)
    assert (await sealed.get(*KEY, since=requested)).ciphertext == b"first"
    assert service.asked == 1


async def test_a_run_that_was_requested_after_the_look_up_asks_again(service: Service, sealed: SealedCredentials) -> None:
    """Its tenant may have corrected them in between. The cache only says that there are some."""
    await sealed.require(*KEY)
    service.stored = b"corrected"
    requested = time.monotonic()
    await sealed.require(*KEY)
    assert service.asked == 1
    assert (await sealed.get(*KEY, since=requested)).ciphertext == b"corrected"
    assert (await sealed.get(*KEY, since=requested)).ciphertext == b"corrected"
    assert service.asked == 2


async def test_what_is_prefetched_is_there_when_the_run_needs_it(service: Service, sealed: SealedCredentials) -> None:
    """Nothing is asked where the start of the run has asked itself."""
    await sealed.require(*KEY)
    requested = time.monotonic()
    service.stored = b"corrected"
    for _ in range(2):
        sealed.prefetch(*KEY, since=requested)
    while service.asked < 2:
        await asyncio.sleep(0)
    assert (await sealed.get(*KEY, since=requested)).ciphertext == b"corrected"
    assert service.asked == 2


async def test_a_look_up_that_was_under_way_is_not_the_run_s_own(service: Service, sealed: SealedCredentials) -> None:
    """It may have read what was there before."""
    service.answers.clear()
    earlier = asyncio.create_task(sealed.require(*KEY))
    while not service.asked:
        await asyncio.sleep(0)
    service.stored = b"corrected"
    requested = time.monotonic()
    opened = [asyncio.create_task(sealed.get(*KEY, since=requested)) for _ in range(3)]
    await asyncio.sleep(0)
    service.answers.set()
    await earlier
    assert {(await one).ciphertext for one in opened} == {b"corrected"}
    assert service.asked == 2


@pytest.mark.parametrize("cache_seconds", [0.0, 60.0])
async def test_without_a_moment_they_are_always_those_of_now(service: Service, cache_seconds: float) -> None:
    sealed = client(service, cache_seconds=cache_seconds)
    await sealed.require(*KEY)
    assert (await sealed.get(*KEY)).ciphertext == b"first"
    service.stored = None
    with pytest.raises(FailedPrecondition):
        await sealed.get(*KEY)
    with pytest.raises(FailedPrecondition):
        await sealed.require(*KEY)


async def test_no_text_has_the_ciphertext(sealed: SealedCredentials) -> None:
    await sealed.require(*KEY)
    assert "first" not in repr(sealed._known._kept)
