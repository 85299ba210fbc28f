"""Flows 1 and 2 of the demo, step by step. Every line shows a call and its result."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from localcloud.demo.narrator import Narrator
from localcloud.rest import Rest, until
from localcloud.sample.tenant import DATASET as EXPORT
from localcloud.sample.tenant import PROJECT, TABLE
from localcloud.settings import SAMPLE_TENANT

RUN_SECONDS = 60.0
TABLES = ["x_meta_pipeline_runs", "x_meta_step_logs", "x_meta_dq_results"]
COST_BY_SERVICE = """
SELECT service_description AS service, COUNT(*) AS entries, SUM(cost) AS cost, SUM(credits_total) AS discounts
FROM billing_cost_daily WHERE usage_date = @day GROUP BY service"""
SOURCE_BY_SERVICE = f"""
SELECT service.description AS service, COUNT(*) AS entries, SUM(cost) AS cost,
  SUM((SELECT IFNULL(SUM(credit.amount), 0) FROM UNNEST(credits) AS credit)) AS discounts
FROM {TABLE} WHERE DATE(usage_start_time) = @day GROUP BY service"""  # noqa: S608 - the table's name is ours
SCOPES = ["audit:read", "credentials:write", "pipelines:run", "runs:read", "schedules:write", "costs:read"]
TOP = 3
DIGITS = 6  # the sums are of doubles, in no particular order


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoFlow:
    """The demo's tenant, and the address of the suite."""

    admin: Rest
    tenant: Rest
    warehouse: bigquery.Client
    credentials_file: Path
    project: str
    narrator: Narrator

    def run(self) -> Rest:
        """Flows 1 and 2, from provisioning to the cost by service; returns the tenant's client. Raises Unexpected, naming the step that
        failed.
        """
        yesterday = datetime.now(UTC).date() - timedelta(days=1)
        tenant = self._tenant_with_key()
        self._credentials(tenant)
        first = self._pipeline(tenant, yesterday)
        self._cost_by_service(yesterday, first)
        again = self._pipeline(tenant, yesterday)
        self.narrator.expect("rows after the same day ran again", self._cost_by_service(yesterday, again), first["rows_processed"])
        self._costs(tenant, yesterday)
        quota = self.narrator.call(tenant, "GET", f"/api/v1/tenants/{SAMPLE_TENANT}/quota").body
        self.narrator.expect("runs counted today", (quota["pipelines_run_today"], quota["pipelines_succeeded_today"]), (2, 2))
        used, limit, running = (quota[name] for name in ("pipelines_run_today", "daily_limit", "concurrent_pipelines_running"))
        self.narrator.tell(f"     {used} of {limit} runs used today, {running} running")
        self.narrator.expect("slots held now", quota["concurrent_pipelines_running"], 0)
        refused = self.narrator.call(tenant, "GET", "/api/v1/tenants/somebody_else/quota", status=403)
        self.narrator.tell(f"     refused with {refused.reason}")
        return tenant

    def _tenant_with_key(self) -> Rest:
        self.narrator.tell("\nThe subscription system provisions a tenant and issues its API key.")
        plan = {"company_name": "Acme Corp", "admin_email": "ops@acme.example", "daily_limit": 25, "concurrent_limit": 5}
        put = self.narrator.call(self.admin, "PUT", f"/api/v1/tenants/{SAMPLE_TENANT}", plan)
        self.narrator.expect("action", put.body["action"], "CREATED")
        issued = self.narrator.call(self.admin, "POST", f"/api/v1/tenants/{SAMPLE_TENANT}/api-keys", {"scopes": SCOPES})
        key: str = issued.body["api_key"]
        self.narrator.tell(f"     api_key {key[: len(SAMPLE_TENANT) + 8]}... (shown once)")
        return self.tenant.but(X_API_Key=key, X_User_ID="alice")

    def _credentials(self, tenant: Rest) -> None:
        self.narrator.tell(
            "\nThe tenant stores its Google Cloud credentials: KMS encrypts them, and its dataset is created. Then once more."
        )
        body, path = json.loads(self.credentials_file.read_text()), f"/api/v1/tenants/{SAMPLE_TENANT}/credentials"
        for action, dataset, tables in (("CREATED", "CREATED", TABLES), ("UPDATED", "ALREADY_EXISTS", [])):
            answer = self.narrator.call(tenant, "POST", path, body).body
            self.narrator.expect("action", answer["action"], action)
            self.narrator.expect("dataset_status", answer["dataset_status"], dataset)
            self.narrator.expect("tables_created", answer["tables_created"], tables)
            self.narrator.tell(f"     credentials {action}, dataset {dataset}, tables created: {', '.join(tables) or 'none'}")

    def _pipeline(self, tenant: Rest, day: date) -> dict[str, Any]:
        self.narrator.tell(f"\nThe pipeline gcp/cost/billing runs for {day}: the tenant's own identity reads its billing export.")
        started = self.narrator.call(
            tenant, "POST", f"/api/v1/pipelines/run/{SAMPLE_TENANT}/gcp/cost/billing", {"date": day.isoformat()}
        ).body
        self.narrator.expect("status", started["status"], "RUNNING")
        shown = 0

        def poll() -> dict[str, Any]:
            nonlocal shown
            run: dict[str, Any] = tenant.call("GET", f"/api/v1/pipelines/runs/{SAMPLE_TENANT}/{started['pipeline_logging_id']}").body
            for step in run.get("steps", [])[shown:]:
                detail = f"{step['rows_processed']} rows" if "rows_processed" in step else step.get("error_message", "")
                self.narrator.tell(f"     {step['timestamp'][11:23]}  {step['step_id']:<8} {step['action']:<15} {detail}")
            shown = len(run.get("steps", []))
            return run

        run = until(poll, lambda run: run.get("status") != "RUNNING", seconds=RUN_SECONDS)
        self.narrator.expect("the run's status", (run["status"], run.get("error_message")), ("COMPLETED", None))
        warned = [check["check_name"] for check in run["dq_results"] if check["status"] != "PASSED"]
        verdict = f"{len(run['dq_results'])} checks, {f'warned by {", ".join(warned)}' if warned else 'all passed'}"
        self.narrator.tell(f"     {run['rows_processed']} rows in {int(run['duration_ms']) / 1000:.1f} s; {verdict}")
        return run

    def _cost_by_service(self, day: date, run: dict[str, Any]) -> str:
        """Compares the rows in the tenant's dataset with the run's count."""
        self.narrator.tell("\nThe cost by service, read back from the tenant's own dataset and compared with the export.")
        loaded = self._by_service(COST_BY_SERVICE, f"{self.project}.{SAMPLE_TENANT}", day)
        source = self._by_service(SOURCE_BY_SERVICE, f"{PROJECT}.{EXPORT}", day)
        for service, (entries, cost, discounts) in sorted(loaded.items(), key=lambda entry: -entry[1][1]):
            self.narrator.tell(f"     {service:<28} {entries:>6} rows {cost:>12.4f} {discounts:>12.4f} credits")
        self.narrator.expect("rows, cost and credits by service", loaded, source)
        rows = str(sum(entries for entries, _, _ in loaded.values()))
        self.narrator.expect("rows", rows, run["rows_processed"])
        return rows

    def _costs(self, tenant: Rest, day: date) -> None:
        """Asks for the greatest costs, which must add up to what was published."""
        self.narrator.tell("\nThe same over the API: the day's costs in FOCUS's columns, the greatest ones and the rest.")
        asked = f"start_date={day}&end_date={day}&group_by=service&top={TOP}"
        answer = self.narrator.call(tenant, "GET", f"/api/v1/tenants/{SAMPLE_TENANT}/costs?{asked}").body
        for one in answer["costs"]:
            name = f"{one['groups']} others" if one["is_rest"] else one["group"]["service"]
            self.narrator.tell(f"     {name:<28} {Decimal(one['cost']):>12.4f} {one['currency']}")
        sums = {
            one["currency"]: sum((Decimal(row["cost"]) for row in answer["costs"] if row["currency"] == one["currency"]), Decimal())
            for one in answer["totals"]
        }
        self.narrator.expect("sum of the rows", sums, {one["currency"]: Decimal(one["amount"]) for one in answer["totals"]})
        days = answer["days"]
        self.narrator.tell(f"     {days['open']} day open, {days['settling']} settling, {days['final']} final")
        self.narrator.expect("days behind in FOCUS's columns", days["behind"], 0)

    def _by_service(self, sql: str, dataset: str, day: date) -> dict[str, tuple[int, float, float]]:
        day_of = bigquery.ScalarQueryParameter("day", "DATE", day)
        rows = self.warehouse.query_and_wait(sql, job_config=bigquery.QueryJobConfig(default_dataset=dataset, query_parameters=[day_of]))
        return {row["service"]: (row["entries"], round(row["cost"], DIGITS), round(row["discounts"], DIGITS)) for row in rows}


def emulated_warehouse(host: str, project: str) -> bigquery.Client:
    """BigQuery's own client on the emulator at `host`."""
    credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
    return bigquery.Client(project=project, credentials=credentials, client_options={"api_endpoint": host})
