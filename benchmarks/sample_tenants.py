"""Tenants that share the sample tenant's project and billing export, provisioned through the gateway."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any, Final

from benchmarks.whole_stack import OK, WholeStack
from localcloud.processes.environment import emulator_environment
from localcloud.rest import Rest, until
from localcloud.sample.tenant import Sample, load, write_credentials

ROWS_A_DAY: Final = 200
RUN_SECONDS: Final = 300.0
POLL_SECONDS: Final = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleTenant:
    """A tenant with a key and credentials."""

    tenant_id: str
    rest: Rest
    whole: WholeStack

    def start(self, **parameters: str) -> str:
        """RunPipeline of gcp/cost/billing; the run's id. Raises RuntimeError if it is refused."""
        answer = self.rest.call("POST", f"/api/v1/pipelines/run/{self.tenant_id}/gcp/cost/billing", parameters)
        if answer.status != OK:
            raise RuntimeError(f"RunPipeline was answered {answer.status} {answer.body}")
        run: str = answer.body["pipeline_logging_id"]
        return run

    def finished(self, run: str, *, every: float = POLL_SECONDS) -> dict[str, Any]:
        """GetRun until the run has ended. Raises RuntimeError unless it COMPLETED."""
        path = f"/api/v1/pipelines/runs/{self.tenant_id}/{run}"
        body: dict[str, Any] = until(
            lambda: self.rest.call("GET", path).body, lambda found: found.get("status") != "RUNNING", seconds=RUN_SECONDS, every=every
        )
        return _completed(body)

    def finished_unseen(self, run: str, *, every: float = POLL_SECONDS) -> dict[str, Any]:
        """The run's row when it has ended, read without the suite. Raises RuntimeError unless it COMPLETED."""
        sql = f"SELECT status, error_message FROM {self.tenant_id}.x_meta_pipeline_runs WHERE pipeline_logging_id = '{run}'"  # noqa: S608
        [row] = until(partial(self.whole.query, sql), lambda rows: bool(rows[0]["status"] != "RUNNING"), seconds=RUN_SECONDS, every=every)
        return _completed(row)

    def with_new_key(self) -> "SampleTenant":
        """The same with a key that was not used yet."""
        return SampleTenant(tenant_id=self.tenant_id, rest=_keyed(self.whole, self.tenant_id), whole=self.whole)


def load_export(whole: WholeStack, *, rows_a_day: int = ROWS_A_DAY) -> Sample:
    """The sample project's billing export, which the tenants read. Slow for many rows: two thousand take some seconds."""
    return load(emulator_environment(whole.local)["BIGQUERY_EMULATOR_HOST"], rows_per_day=rows_a_day)


def new_tenants(whole: WholeStack, names: Sequence[str]) -> list[SampleTenant]:
    """Provisions tenants of these ids, each with a key and the sample project's credentials. Raises RuntimeError if a call is refused."""
    write_credentials(whole.local.sample_credentials)
    body = json.loads(whole.local.sample_credentials.read_text())
    plan = {"company_name": "Sample", "admin_email": "ops@sample.example", "requests_per_minute": 1_000_000}
    tenants = []
    for name in names:
        _ok(whole.admin.call("PUT", f"/api/v1/tenants/{name}", plan).status, "PUT tenant")
        tenant = SampleTenant(tenant_id=name, rest=_keyed(whole, name), whole=whole)
        _ok(tenant.rest.call("POST", f"/api/v1/tenants/{name}/credentials", body).status, "SetCredentials")
        tenants.append(tenant)
    return tenants


def full_days(sample: Sample, count: int) -> list[date]:
    """The last `count` days that have rows. Raises ValueError if there are fewer."""
    days = [day for day in sample.days if day != sample.empty_day][-count:]
    if len(days) < count:
        raise ValueError(f"the sample has {len(days)} days with rows, fewer than {count}")
    return days


def _keyed(whole: WholeStack, tenant_id: str) -> Rest:
    issued = whole.admin.call("POST", f"/api/v1/tenants/{tenant_id}/api-keys", {})
    _ok(issued.status, "CreateApiKey")
    return Rest(url=whole.stack.env["GATEWAY_URL"], headers={"X-API-Key": issued.body["api_key"]})


def _completed(run: dict[str, Any]) -> dict[str, Any]:
    if run["status"] != "COMPLETED":
        raise RuntimeError(f"the run ended {run['status']}: {run.get('error_message')}")
    return run


def _ok(status: int, what: str) -> None:
    if status != OK:
        raise RuntimeError(f"{what} was answered with {status}")
