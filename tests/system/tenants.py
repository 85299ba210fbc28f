"""Tenants of the end-to-end tests: provisioned, with a key, on a running stack."""

import json
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

from google.cloud import bigquery
from prometheus_client.parser import text_string_to_metric_families

from localcloud import rest
from localcloud.demo.demo_flow import emulated_warehouse
from localcloud.rest import Answer, Rest
from localcloud.settings import LocalSettings
from tests.support.api.checked_rest import CheckedRest
from tests.support.credentials.samples import Rsa, key_file

RUN_SECONDS = 120.0
EVERY = 0.5
"""Seconds between two looks: each is a statement or three, and they take their time from what is waited for."""


def until[Value](poll: Callable[[], Value], done: Callable[[Value], bool], *, seconds: float, every: float = EVERY) -> Value:
    """`localcloud.rest.until`, without haste."""
    return rest.until(poll, done, seconds=seconds, every=every)


@dataclass(frozen=True, kw_only=True, slots=True)
class Suite:
    """A stack that is up."""

    local: LocalSettings
    env: Mapping[str, str]

    @property
    def anyone(self) -> Rest:
        return CheckedRest(url=self.env["GATEWAY_URL"], headers={})

    @property
    def admin(self) -> Rest:
        return self.anyone.but(X_Admin_Key=self.env["ADMIN_API_KEY"])

    @property
    def warehouse(self) -> bigquery.Client:
        return emulated_warehouse(self.env["BIGQUERY_EMULATOR_HOST"], self.local.project)

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Rows, asked without our own code; tables are named `dataset.table`."""
        with self.warehouse as client:
            return [dict(row.items()) for row in client.query_and_wait(sql)]

    def counter(self, service: str, name: str, **labels: str) -> float:
        """The sum of a service's counter over all samples with these labels."""
        url = f"http://{self.local.host}:{self.local.port(f'{service}_metrics')}/metrics"
        with urllib.request.urlopen(url, timeout=5) as page:
            text = page.read().decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == f"{name}_total" and labels.items() <= sample.labels.items()
        )

    def jobs(self, service: str, *statements: str) -> float:
        """Jobs for these statements, without those that were sent again: on a busy machine the emulator lets transactions conflict."""
        names = ("convergence_bigquery_jobs", "convergence_bigquery_retries")
        sent, again = (sum(self.counter(service, name, statement=statement) for statement in statements) for name in names)
        return sent - again

    def all_jobs(self, service: str) -> float:
        """All jobs of a service, counted as `jobs` does."""
        return self.counter(service, "convergence_bigquery_jobs") - self.counter(service, "convergence_bigquery_retries")

    def tenant(self, private_key: Rsa, *, project: str | None = None, **plan: Any) -> "Tenant":
        """A new tenant with a key of its own; `plan` as in PUT."""
        tenant_id = f"t_{uuid.uuid4().hex[:12]}"
        put = self.admin.call("PUT", f"/api/v1/tenants/{tenant_id}", {"company_name": "Acme", "admin_email": "a@acme.example", **plan})
        assert put.status == 200, put.body
        issued = self.admin.call("POST", f"/api/v1/tenants/{tenant_id}/api-keys", {})
        assert issued.status == 200, issued.body
        return Tenant(
            tenant_id=tenant_id,
            project=project or f"p-{tenant_id[2:]}",
            rest=self.anyone.but(X_API_Key=issued.body["api_key"], X_User_ID="alice_uuid"),
            suite=self,
            private_key=private_key,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Tenant:
    """A tenant and its Google Cloud project."""

    tenant_id: str
    project: str
    rest: Rest
    suite: Suite
    private_key: Rsa

    @property
    def api_key(self) -> str:
        return self.rest.headers["X-API-Key"]

    @property
    def credentials(self) -> dict[str, Any]:
        file = key_file(self.private_key, project_id=self.project, client_email=f"reader@{self.project}.iam.gserviceaccount.com")
        return {"provider": "GCP", "credentials": {"project_id": self.project, "service_account_json": json.dumps(file)}}

    def set_credentials(self) -> Answer:
        return self.rest.call("POST", f"/api/v1/tenants/{self.tenant_id}/credentials", self.credentials)

    def start(self, day: date | str, **parameters: str) -> Answer:
        path = f"/api/v1/pipelines/run/{self.tenant_id}/gcp/cost/billing"
        return self.rest.call("POST", path, {"date": str(day), **parameters})

    def finished(self, started: Answer, *, seconds: float = RUN_SECONDS) -> dict[str, Any]:
        """The run's record once it is over; meanwhile the executor may be away."""
        assert started.status == 200, started.body
        path = f"/api/v1/pipelines/runs/{self.tenant_id}/{started.body['pipeline_logging_id']}"

        def over(answer: Answer) -> bool:
            assert answer.status in {200, 503}, answer.body
            return answer.status == 200 and answer.body["status"] != "RUNNING"

        run: dict[str, Any] = until(partial(self.rest.call, "GET", path), over, seconds=seconds).body
        return run

    def quota_answer(self) -> Answer:
        return self.rest.call("GET", f"/api/v1/tenants/{self.tenant_id}/quota")

    def quota(self) -> dict[str, Any]:
        answer = self.quota_answer()
        assert answer.status == 200, answer.body
        body: dict[str, Any] = answer.body
        return body

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """A query in the tenant's dataset; `{}` stands for the dataset."""
        return self.suite.query(sql.format(self.tenant_id))
