"""A run's trace, as a collector gets it: every hop, every job, and the way to the call that has started it."""

import json
import uuid
from collections import Counter
from datetime import date

import pytest
from google.cloud import bigquery

from tests.support.collector import Collector, Received
from tests.support.credentials.samples import Rsa
from tests.support.executor.billing_export import ACCOUNT, STANDARD, load, many
from tests.system.tenants import Suite, Tenant

DAY = date(2025, 11, 17)
PACKAGE = "convergence."
CALL = {
    "gateway SERVER executor.v1.PipelineService/RunPipeline",
    "executor SERVER executor.v1.PipelineService/RunPipeline",
    "auth SERVER auth.v1.LedgerService/Reserve",
    "auth CLIENT bigquery reserve",
    # Looked up beside the reservation, and used by the run.
    "credentials SERVER credentials.v1.SealedCredentialService/GetSealedCredential",
    "executor CLIENT bigquery insert_run",
}
RUN = {
    "executor INTERNAL run gcp-cost-billing",
    "executor INTERNAL step gcp.bigquery_extract",
    "executor CLIENT google.cloud.kms.v1.KeyManagementService/Decrypt",
    "executor CLIENT bigquery create_read_session",
    "executor CLIENT bigquery read_rows",
    "executor CLIENT bigquery load_staging",
    "auth SERVER auth.v1.LedgerService/Settle",
    "auth CLIENT bigquery settle",
}
"""Service, kind and name of spans in the two traces."""


@pytest.fixture(scope="module")
def tenant(running: Suite, private_key: Rsa) -> Tenant:
    tenant = running.tenant(private_key)
    load(running.env["BIGQUERY_EMULATOR_HOST"], f"{tenant.project}.exports.gcp_billing_export_v1_{ACCOUNT}", many(DAY, 20), STANDARD)
    assert tenant.set_credentials().status == 200
    return tenant


def traced(tenant: Tenant) -> tuple[Tenant, str, str]:
    """The tenant, as a caller that records a trace; with the ids of that trace and of the caller's span."""
    trace_id, span_id = uuid.uuid4().hex, uuid.uuid4().hex[:16]
    rest = tenant.rest.but(traceparent=f"00-{trace_id}-{span_id}-01")
    caller = Tenant(tenant_id=tenant.tenant_id, project=tenant.project, rest=rest, suite=tenant.suite, private_key=tenant.private_key)
    return caller, trace_id, span_id


def one(spans: list[Received], **facts: str) -> Received:
    """The only span of which all of this is true."""
    [found] = [span for span in spans if all(getattr(span, name) == value for name, value in facts.items())]
    return found


def test_a_runs_trace_holds_every_hop_and_job_and_leads_to_its_call(running: Suite, tenant: Tenant, collector: Collector) -> None:
    caller, call_id, caller_span = traced(tenant)
    started = caller.start(DAY)
    run = tenant.finished(started)
    assert run["status"] == "COMPLETED"
    listed = tenant.rest.call("GET", f"/api/v1/pipelines/runs/{tenant.tenant_id}").body["runs"]
    assert [one["trace_id"] for one in listed] == [run["trace_id"]]
    run_id = run["trace_id"]
    jobs = _jobs(running, tenant, run["pipeline_logging_id"])

    # The gateway sends its spans after a second, the services theirs after two.
    collector.until(lambda _: _hops(collector, call_id) >= CALL and _hops(collector, run_id) >= RUN)
    collector.until(lambda _: jobs.keys() <= _job_ids(collector.trace(run_id)))
    collector.until(lambda _: _parents(collector.trace(run_id)) <= {"", *(span.span_id for span in collector.trace(run_id))})
    call, spans = collector.trace(call_id), collector.trace(run_id)

    gateway = one(call, service="gateway")
    served = one(call, service="executor", kind="SERVER")
    asked = one(call, service="executor", name="convergence.auth.v1.LedgerService/Reserve", kind="CLIENT")
    reserved = one(call, service="auth", name="convergence.auth.v1.LedgerService/Reserve")
    assert gateway.name == served.name == "convergence.executor.v1.PipelineService/RunPipeline"
    assert [gateway.parent, served.parent, reserved.parent] == [caller_span, gateway.span_id, asked.span_id]

    root = one(spans, parent="")
    assert (root.name, root.links) == ("run gcp-cost-billing", ((call_id, served.span_id),))
    assert root.attributes["convergence.pipeline_logging_id"] == run["pipeline_logging_id"]
    assert root.attributes["convergence.status"] == "COMPLETED"
    assert {labels["trace_id"] for labels in jobs.values()} == {run_id}
    assert str(DAY) not in "".join(str(span.raw) for span in (*call, *spans)), "a parameter of the run"


def _jobs(running: Suite, tenant: Tenant, run: str) -> dict[str, dict[str, str]]:
    """The labels of the run's jobs, by their ids, as BigQuery lists them."""
    with running.warehouse as client:
        found = [
            *client.list_jobs(project=running.local.project, all_users=True),
            *client.list_jobs(project=tenant.project, all_users=True),
        ]
    jobs = {job.job_id: job.labels for job in found if job.labels.get("run") == run}
    assert Counter(type(job) for job in found if job.job_id in jobs)[bigquery.LoadJob] == 1
    assert len(jobs) >= 3
    return jobs


def _hops(collector: Collector, trace_id: str) -> set[str]:
    return {f"{span.service} {span.kind} {span.name.removeprefix(PACKAGE)}" for span in collector.trace(trace_id)}


def _parents(spans: list[Received]) -> set[str]:
    return {span.parent for span in spans}


def _job_ids(spans: list[Received]) -> set[str]:
    return {span.attributes["bigquery.job_id"] for span in spans if "bigquery.job_id" in span.attributes}


def test_a_refused_call_has_its_code_and_reason(tenant: Tenant, collector: Collector) -> None:
    caller, call_id, _ = traced(tenant)
    answer = caller.rest.call("GET", f"/api/v1/pipelines/runs/{tenant.tenant_id}/s3cret-run")
    assert answer.status == 404
    collector.until(lambda spans: any(span.trace_id == call_id and span.service == "executor" and span.kind == "SERVER" for span in spans))
    refused = one(collector.trace(call_id), service="executor", kind="SERVER")
    assert refused.attributes["rpc.response.status_code"] == "NOT_FOUND"
    assert refused.attributes["convergence.reason"] == "RUN_NOT_FOUND"
    assert refused.attributes["convergence.tenant_id"] == tenant.tenant_id
    assert refused.status == "UNSET"


def test_logs_name_the_trace_as_google_cloud_reads_it(running: Suite, tenant: Tenant) -> None:
    caller, call_id, _ = traced(tenant)
    assert caller.quota_answer().status == 200
    text = (running.local.logs_dir / "auth.log").read_text()
    lines = [json.loads(line) for line in text.splitlines() if call_id in line]
    [line] = [line for line in lines if line["event"] == "rpc"]
    assert line["logging.googleapis.com/trace"] == f"projects/{running.local.project}/traces/{call_id}"
    assert (line["severity"], line["logging.googleapis.com/trace_sampled"]) == ("INFO", True)
    assert line["time"].endswith("Z")
    assert len(line["logging.googleapis.com/spanId"]) == 16


def test_no_span_holds_a_secret_or_what_is_no_ones_call(tenant: Tenant, collector: Collector, running: Suite) -> None:
    """Of all the suite's spans so far."""
    sent = "".join(str(span.raw) for span in list(collector.spans))
    assert sent
    for secret in (tenant.api_key, running.env["ADMIN_API_KEY"], "PRIVATE KEY"):
        assert secret not in sent
    names = {span.name for span in list(collector.spans)}
    assert not [name for name in names if "Health" in name or "WatchKeyChanges" in name or "healthz" in name]
    assert len(names) < 500
