"""The four services as real processes behind their gateway, a crowd of tenants, and the sum of all counters."""

import asyncio
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from convergence.executor.v1 import pipeline_service_pb2 as messages
from convergence.executor.v1.pipeline_service_pb2_grpc import PipelineServiceStub
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.counts import statements_of
from benchmarks.crowd import Member
from localcloud.demo.demo_flow import emulated_warehouse
from localcloud.ports import free_ports
from localcloud.processes.environment import emulator_environment
from localcloud.processes.suite import service
from localcloud.rest import Rest, until
from localcloud.settings import SERVICES, LocalSettings
from localcloud.stack import Stack
from services.platform.settings import REPOSITORY, ServiceSettings

PARTS = ("bigquery", "kms", "bootstrap", *SERVICES, "gateway")
ANSWER_SECONDS = 300.0
DRAIN_SECONDS = 3000.0
STATUS_SECONDS = 0.5
MAX_RUNS = 50
OK = 200
PATIENT = {
    "CONVERGENCE_BIGQUERY_DEADLINE_SECONDS": "120",
    "CONVERGENCE_BIGQUERY_SCRIPT_SECONDS": "120",
    "CONVERGENCE_PEER_DEADLINE_SECONDS": "240",
    "CONVERGENCE_LEASE_SECONDS": "240",
    "CONVERGENCE_BIGQUERY_THREADS": "24",
}
"""A small machine is slow, which must not end in 503. And while BigQuery runs all statements at once, the emulator has two cores for them:
the ledger's few statements must not wait behind hundreds of others.
"""
SHARED_TABLES = ("tenant_usage_quotas", "pipeline_execution_queue", "scheduled_pipeline_runs", "tenant_pipeline_configs", "tenant_api_keys")


@dataclass(frozen=True, kw_only=True, slots=True)
class CallResult:
    """The response to a caller of RunPipeline."""

    member: Member
    code: str
    """OK, or the gRPC code."""
    message: str = ""
    pipeline_logging_id: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class WholeStack:
    """A running stack; its templates are those in `benchmarks/templates`."""

    stack: Stack
    metrics_ports: Sequence[int]

    @property
    def local(self) -> LocalSettings:
        """Its addresses."""
        return self.stack.settings

    @property
    def settings(self) -> ServiceSettings:
        """Settings for a client that writes into its BigQuery and KMS."""
        return ServiceSettings.model_validate(
            {name.lower(): value for name, value in emulator_environment(self.local).items()}
            | {"project": self.local.project, "control_dataset": self.local.control_dataset, "kms_key": self.local.kms_key}
        )

    @property
    def admin(self) -> Rest:
        """A client with the admin key, at the gateway."""
        return Rest(url=self.stack.env["GATEWAY_URL"], headers={"X-Admin-Key": self.stack.env["ADMIN_API_KEY"]})

    def counted(self) -> Counter[tuple[str, ...]]:
        """What all service processes have sent to BigQuery, see `counts.statements_of`."""
        return sum((statements_of(text_string_to_metric_families(self._page(port))) for port in self.metrics_ports), Counter())

    def _page(self, port: int) -> str:
        with urllib.request.urlopen(f"http://{self.local.host}:{port}/metrics", timeout=60) as page:
            text: str = page.read().decode()
        return text

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Rows, queried without our own code and without any proxy; tables are named `dataset.table`."""
        with emulated_warehouse(emulator_environment(self.local)["BIGQUERY_EMULATOR_HOST"], self.local.project) as client:
            return [dict(row.items()) for row in client.query_and_wait(sql)]

    def gateway_channel(self) -> grpc.aio.Channel:
        """A client's channel."""
        return grpc.aio.insecure_channel(self.local.address("gateway"))


@contextmanager
def whole_stack(
    state: Path,
    *,
    auths: int = 1,
    extra: Mapping[str, str] | None = None,
    own: Mapping[str, Mapping[str, str]] | None = None,
    settings: LocalSettings | None = None,
    parts: Sequence[str] = PARTS,
) -> Iterator[WholeStack]:
    """Starts everything below `state`; with two `auths` the other services distribute their calls over both. `extra` is added to the
    services' environment, `own` to that of one, by its name. Without "bigquery" and "kms" among the `parts`, those already run at the
    addresses in `settings`.
    """
    local = settings or LocalSettings.on_free_ports(state / "state", cache_dir=REPOSITORY / ".cache", cloud_scheduler=False)
    port, metrics_port = free_ports(2)
    addresses = [local.address("auth"), f"{local.host}:{port}"][:auths]
    common = {"CONVERGENCE_AUTH_ADDRESS": f"ipv4:{','.join(addresses)}", "CONVERGENCE_CONFIGS_DIR": str(_configs(state)), **(extra or {})}
    environment = {name: {**common, **(own or {}).get(name, {})} for name in SERVICES} | {
        "gateway": {"GATEWAY_TIMEOUT_SECONDS": f"{ANSWER_SECONDS:g}"}
    }
    with Stack(local, only=parts, auto_restart=False, extra=environment) as stack:
        metrics = [local.port(f"{name}_metrics") for name in SERVICES]
        if auths > 1:
            key = stack.env["ADMIN_API_KEY"]
            stack.add(service(local, "auth", admin_key=key, replica=1, port=port, metrics_port=metrics_port, extra=common))
            metrics.append(metrics_port)
        yield WholeStack(stack=stack, metrics_ports=metrics)


async def run_all(channel: grpc.aio.Channel, calls: Sequence[Member]) -> list[CallResult]:
    """Makes all these RunPipeline calls at once; returns the responses in the same order."""
    stub = PipelineServiceStub(channel)

    async def run(member: Member) -> CallResult:
        request = messages.RunPipelineRequest(tenant_id=member.tenant_id, provider="gcp", domain="cost", template="tiny")
        try:
            answer = await stub.RunPipeline(request, metadata=[("x-api-key", member.api_key)], timeout=ANSWER_SECONDS)
        except grpc.aio.AioRpcError as refused:
            return CallResult(member=member, code=refused.code().name, message=refused.details() or "")
        return CallResult(member=member, code="OK", pipeline_logging_id=answer.pipeline_logging_id)

    return list(await asyncio.gather(*map(run, calls)))


def drain(whole: WholeStack, runs: int) -> None:
    """Triggers what is due, and processes the queue, `MAX_RUNS` at a time, until none of these runs is left.

    Raises TimeoutError if that takes too long, RuntimeError if not all were queued.
    """
    triggered = whole.admin.call("POST", "/api/v1/scheduler/trigger", {})
    # The queue is asked, not the trigger: if BigQuery's response was lost, the repeated statement finds nothing left to queue.
    if (queued := _left(whole).queued) != runs:
        raise RuntimeError(f"{runs} runs were due, {queued} are queued: {triggered.body}")
    deadline = time.monotonic() + DRAIN_SECONDS
    while (left := _left(whole)).queued or left.processing:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the queue is not empty after {DRAIN_SECONDS:g} s: {left}")
        # A call that has nothing to claim costs a statement all the same.
        if left.queued and left.processing < MAX_RUNS:
            whole.admin.call("POST", "/api/v1/scheduler/process-queue", {"max_runs": MAX_RUNS})
        # Runs that were refused are not ready for a while.
        time.sleep(STATUS_SECONDS)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Left:
    queued: int
    processing: int


def _left(whole: WholeStack) -> _Left:
    found = until(lambda: whole.admin.call("GET", "/api/v1/scheduler/status"), lambda answer: answer.status == OK, seconds=ANSWER_SECONDS)
    return _Left(queued=found.body["queued_count"], processing=found.body["processing_count"])


def _configs(state: Path) -> Path:
    """The repository's DDL and templates, with the benchmarks' own templates beside them."""
    folder = state / "configs"
    templates = folder / "gcp" / "cost"
    templates.mkdir(parents=True, exist_ok=True)
    (folder / "bigquery").symlink_to(REPOSITORY / "configs" / "bigquery")
    for source in (REPOSITORY / "configs", Path(__file__).parent / "templates"):
        for file in (source / "gcp" / "cost").iterdir():
            (templates / file.name).symlink_to(file)
    return folder
