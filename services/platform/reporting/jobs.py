"""Records when the calls of Cloud Scheduler's jobs end well."""

from collections.abc import Iterable
from typing import Any

from google.api import annotations_pb2
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import Default

from services.platform.metrics.process import job_succeeded
from services.platform.reporting.events import EventKind, RecordEvent
from services.platform.rpc.calls import Call, Interceptor, Rpc, Step
from services.platform.rpc.rules import rule_of

ROLE = "scheduler"


def job_of(method: MethodDescriptor) -> str | None:
    """The name of the job that calls this RPC: the last part of its path, e.g. `process-queue`. The jobs' RPCs are those for admins of role
    `scheduler` that change something. None for any other RPC.
    """
    rule, binding = rule_of(method), method.GetOptions().Extensions[annotations_pb2.http]
    if rule is None or rule.admin.role != ROLE or not binding.post:
        return None
    path: str = binding.post
    return path.rpartition("/")[2]


def jobs_of(services: Iterable[str]) -> list[str]:
    """The jobs that call these proto services, by full name."""
    methods = (method for name in services for method in Default().FindServiceByName(name).methods)
    return [job for method in methods if (job := job_of(method)) is not None]


def jobs_recorded(record: RecordEvent) -> Interceptor:
    """The interceptor, inside of all others: a call that was refused has not ended well."""

    def around(rpc: Rpc, proceed: Step) -> Step:
        job = job_of(rpc.method) if rpc.method is not None else None
        if job is None:
            return proceed

        async def recorded(call: Call) -> Any:
            answer = await proceed(call)
            record(EventKind.JOB_SUCCEEDED, job)
            job_succeeded(job)
            return answer

        return recorded

    return around
