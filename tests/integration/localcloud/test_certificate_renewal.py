"""Certificates are renewed under two processes of the suite, one of which calls the other: no call fails, nothing is restarted."""

import asyncio
import shutil
import time
from pathlib import Path

import grpc
import pytest
from convergence.credentials.v1 import credential_service_pb2, credential_service_pb2_grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from localcloud.certs import renew
from localcloud.settings import LocalSettings
from localcloud.stack import Stack
from services.platform.settings import ServiceSettings
from tests.conftest import CACHE, channel_as

# There is no BigQuery: auth says so, once credentials has reached it.
FROM_AUTH = ("UNAVAILABLE", "BIGQUERY_UNAVAILABLE")
ENVIRONMENT = {"CONVERGENCE_TLS_RELOAD_SECONDS": "0.2", "CONVERGENCE_BIGQUERY_DEADLINE_SECONDS": "0.1"}
WATCHES = {"auth": 1, "credentials": 2}
"""Who follows the files: each server, and the channel from credentials to auth."""


async def answer(certs: Path, address: str) -> tuple[str, str]:
    """Code and reason of a call of the gateway's at credentials, which asks auth about the key."""
    async with channel_as(ServiceSettings(tls_dir=certs), caller="gateway", peer="credentials", address=address) as channel:
        call = credential_service_pb2_grpc.CredentialServiceStub(channel).ListCredentials
        request = credential_service_pb2.ListCredentialsRequest(tenant_id="acme_corp")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(request, metadata=[("x-api-key", "any")], timeout=20)
    status, info = rpc_status.from_call(refused.value), error_details_pb2.ErrorInfo()
    if status is not None:
        status.details[0].Unpack(info)
    return refused.value.code().name, info.reason


def wait_until_read(settings: LocalSettings, times: int) -> None:
    """Until both processes have logged that they use the files `times` times."""
    until = time.monotonic() + 30
    for name, watches in WATCHES.items():
        while (settings.logs_dir / f"{name}.log").read_text().count("certificates_renewed") < times * watches:
            assert time.monotonic() < until, f"{name} does not read its files"
            time.sleep(0.05)


async def test_certificates_are_renewed_under_running_services(tmp_path: Path) -> None:
    settings = LocalSettings.on_free_ports(tmp_path / "state", cache_dir=CACHE)
    address, certs, old = settings.address("credentials"), settings.certs_dir, tmp_path / "old"
    with Stack(settings, only=WATCHES, extra=dict.fromkeys(WATCHES, ENVIRONMENT), auto_restart=False) as stack:
        pids = [stack.pid(name) for name in WATCHES]
        answers = [await answer(certs, address)]
        shutil.copytree(certs, old)

        def step() -> None:
            wait_until_read(settings, len(answers))
            answers.append(asyncio.run(answer(certs, address)))

        await asyncio.to_thread(renew, certs, pause=step)
        await asyncio.to_thread(step)
        shutil.copy(certs / "ca.pem", old / "ca.pem")
        with_old_certificate = await answer(old, address)
        assert pids == [stack.pid(name) for name in WATCHES]
    assert answers == [FROM_AUTH] * 4
    assert with_old_certificate == ("UNAVAILABLE", "")
