"""The demo's second half: it adds AWS and Azure, one of them without a stored key, and shows one table with the costs of three clouds."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from google.cloud import bigquery

from localcloud.demo.narrator import Narrator
from localcloud.rest import Rest, until
from localcloud.sample.aws.export import AWS_EXPORT, restate
from localcloud.sample.aws.tenant import federated_credentials
from localcloud.sample.azure.tenant import AZURE_EXPORT, secret_credentials
from localcloud.settings import SAMPLE_TENANT

RUN_SECONDS = 90.0
TENANT: Final = f"/api/v1/tenants/{SAMPLE_TENANT}"
PROVIDERS: Final = {"AWS": "aws", "Microsoft": "azure", "Google Cloud": "gcp"}
"""ProviderName, as each cloud has it, to the provider in a pipeline's name."""
BY_PROVIDER = """
SELECT x_Provider AS provider, ProviderName AS name, BillingCurrency AS currency, COUNT(*) AS charges, SUM(BilledCost) AS billed
FROM focus_cost_daily WHERE x_UsageDate BETWEEN @first_day AND @last_day GROUP BY 1, 2, 3 ORDER BY 1, 3"""
TOP = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class CloudsFlow:
    """The demo's tenant, which has published Google Cloud's costs."""

    tenant: Rest
    """With the tenant's key."""
    warehouse: bigquery.Client
    dataset: str
    """The tenant's, `project.dataset`."""
    aws: str
    """Address of the local AWS, in which AWS itself restates a bill."""
    narrator: Narrator

    def run(self) -> None:
        """From the tenant's trust to the cost by provider. Raises Unexpected, naming the step that failed."""
        today = datetime.now(UTC).date()
        last_month = (today.replace(day=1) - timedelta(days=1)).replace(day=1)
        self._aws_without_a_key()
        self._azure_with_a_secret()
        aws = self._loads("aws", AWS_EXPORT)
        azure = self._loads("azure", AZURE_EXPORT)
        self._finds_nothing_new("aws", AWS_EXPORT)
        self._restated(last_month)
        self._costs(last_month, today, {"AWS": aws, "AZURE": azure})

    def _aws_without_a_key(self) -> None:
        self.narrator.tell("\nAWS lets us in without a key: its role trusts tokens of this installation that are about this tenant.")
        trust = self.narrator.call(self.tenant, "GET", f"{TENANT}/credentials/aws/trust").body
        self.narrator.tell(f"     issuer {trust['issuer']}, subject {trust['subject']}, audience {trust['audience']}")
        self.narrator.expect("subject", trust["subject"], SAMPLE_TENANT)
        self.narrator.call(self.tenant, "POST", f"{TENANT}/credentials", federated_credentials())
        self._works("aws", AWS_EXPORT)

    def _azure_with_a_secret(self) -> None:
        self.narrator.tell("\nAzure gets an application's secret, which is checked before it is stored.")
        self.narrator.call(self.tenant, "POST", f"{TENANT}/credentials", {**secret_credentials(), "validate": True})
        self._works("azure", AZURE_EXPORT)

    def _works(self, provider: str, export: str) -> None:
        report = self.narrator.call(self.tenant, "POST", f"{TENANT}/credentials/{provider}:check", {"export": export}).body
        for finding in report["findings"]:
            self.narrator.tell(f"     {finding['status']:<8} {finding['name']}")
        self.narrator.expect("verdict", report["verdict"], "WORKS")

    def _loads(self, provider: str, export: str) -> int:
        """The number of published rows."""
        self.narrator.tell(f"\nThe pipeline {provider}/cost/focus loads the months that the cloud may still change, each as a whole.")
        run = self._run(provider, export)
        rows = int(run["rows_processed"])
        self.narrator.tell(f"     {rows} rows of {export} in {int(run['duration_ms']) / 1000:.1f} s, {len(run['dq_results'])} checks")
        return rows

    def _finds_nothing_new(self, provider: str, export: str) -> None:
        self.narrator.tell("\nThe same again: the manifests have not changed, so nothing is read.")
        run = self._run(provider, export)
        self.narrator.expect("rows of a run that finds nothing new", run["rows_processed"], "0")

    def _restated(self, month: date) -> None:
        self.narrator.tell(f"\nAWS restates {month:%Y-%m}: a credit more, and one charge doubled. The next run replaces that month.")
        began = datetime.now(UTC)
        before = self._billed(month, "AWS")
        restate(self.aws, month)
        run = self._run("aws", AWS_EXPORT)
        moved = self._billed(month, "AWS") - before
        asked = f"start_date={month}&source=aws&changed_from={began:%Y-%m-%dT%H:%M:%SZ}"
        changes = self.narrator.call(self.tenant, "GET", f"{TENANT}/costs/changes?{asked}").body["changes"]
        for change in changes:
            delta = f"{Decimal(change['delta']):>+12.4f} {change['currency']}"
            self.narrator.tell(f"     {change['date']} {change['service']:<36} {delta}")
        self.narrator.expect("sum of the changes", sum((Decimal(change["delta"]) for change in changes), Decimal()), moved)
        self.narrator.tell(f"     {run['rows_processed']} rows replaced; the month has moved by {moved:+.4f}")

    def _costs(self, first: date, last: date, loaded: dict[str, int]) -> None:
        self.narrator.tell("\nOne table has the costs of all three clouds, by provider and service.")
        asked = f"start_date={first}&end_date={last}&group_by=provider&group_by=service&top={TOP}"
        answer = self.narrator.call(self.tenant, "GET", f"{TENANT}/costs?{asked}").body
        for one in answer["costs"]:
            name = f"{one['groups']} others" if one["is_rest"] else f"{one['group']['provider']:<14} {one['group']['service']}"
            self.narrator.tell(f"     {name:<52} {Decimal(one['cost']):>14.4f} {one['currency']}")
        rows = self._rows(BY_PROVIDER, first, last)
        sums = dict[str, Decimal]()
        for row in rows:
            sums[row["currency"]] = sums.get(row["currency"], Decimal()) + row["billed"]
        self.narrator.expect("providers", {row["name"] for row in rows}, set(PROVIDERS))
        for provider, count in loaded.items():
            published = sum(row["charges"] for row in rows if row["provider"] == provider)
            self.narrator.expect(f"rows of {provider} that are published", published >= count, True)  # noqa: FBT003 - the expected value
        billed = self.tenant.call("GET", f"{TENANT}/costs?start_date={first}&end_date={last}").body["totals"]
        self.narrator.expect("billed in all", {one["currency"]: Decimal(one["amount"]) for one in billed}, sums)

    def _billed(self, month: date, provider: str) -> Decimal:
        rows = self._rows(BY_PROVIDER, month, month + timedelta(days=31))
        return sum((row["billed"] for row in rows if row["provider"] == provider), Decimal())

    def _rows(self, sql: str, first: date, last: date) -> list[Any]:
        days = [bigquery.ScalarQueryParameter(name, "DATE", day) for name, day in (("first_day", first), ("last_day", last))]
        config = bigquery.QueryJobConfig(default_dataset=self.dataset, query_parameters=days)
        return list(self.warehouse.query_and_wait(sql, job_config=config))

    def _run(self, provider: str, export: str) -> dict[str, Any]:
        """Runs the pipeline for the open months, and returns the run when it has completed."""
        path, body = f"/api/v1/pipelines/run/{SAMPLE_TENANT}/{provider}/cost/focus", {"months": "open", "export": export}
        started = self.narrator.call(self.tenant, "POST", path, body).body

        def poll() -> dict[str, Any]:
            found: dict[str, Any] = self.tenant.call("GET", f"/api/v1/pipelines/runs/{SAMPLE_TENANT}/{started['pipeline_logging_id']}").body
            return found

        is_over: Callable[[dict[str, Any]], bool] = lambda run: run.get("status") != "RUNNING"  # noqa: E731 - named for `until`
        run = until(poll, is_over, seconds=RUN_SECONDS)
        self.narrator.expect("the run's status", (run["status"], run.get("error_message")), ("COMPLETED", None))
        return run
