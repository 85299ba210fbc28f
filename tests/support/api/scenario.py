"""Calls all public RPCs in a sensible order: a tenant is created, loads a day's costs, reads them, and is offboarded."""

from datetime import date
from functools import partial
from typing import Any

from localcloud.rest import Answer, Rest
from services.platform.access.scopes import SCOPES
from tests.support.api.recorder import Ask, Recorded
from tests.support.credentials.samples import Rsa
from tests.support.executor.billing_export import ACCOUNT, STANDARD, load, many
from tests.system.tenants import Suite, Tenant, until

DAY = date(2025, 11, 17)
RANGE = {"start_date": str(DAY), "end_date": str(DAY)}
BILLING = {"provider": "gcp", "domain": "cost", "template": "billing"}
SCHEDULE = {
    "provider": "gcp",
    "domain": "cost",
    "pipeline_template": "billing",
    "schedule_cron": "30 2 * * *",
    "timezone": "Europe/Berlin",
    "parameters": {"date": "yesterday"},
}


def record_calls(suite: Suite, private_key: Rsa, recorded: Recorded) -> Tenant:
    """Makes the calls, and returns the tenant, which has a run and credentials."""
    tenant = suite.tenant(private_key, company_name="Acme Corporation", admin_email="finops@acme.example", daily_limit=25)
    recorded.names |= {tenant.tenant_id: "acme_corp", tenant.project: "acme-billing"}
    admin, of = suite.admin, {"tenant_id": tenant.tenant_id}
    plan = {
        "company_name": "Acme Corporation",
        "admin_email": "finops@acme.example",
        "daily_limit": 25,
        "concurrent_limit": 2,
        "location": "US",
    }
    ask: Ask = recorded.call

    ask(admin, "PutTenant", body=plan, **of)
    ask(admin, "GetTenant", **of)
    ask(admin, "ListTenants", query={"search": tenant.tenant_id})
    made = ask(admin, "CreateApiKey", body={"scopes": SCOPES}, **of)
    mine = tenant.rest.but(X_API_Key=made.body["api_key"])
    ask(admin, "RotateApiKey", body={"overlap_seconds": 3600}, api_key_id=made.body["api_key_id"], **of)
    spare = admin.call("POST", f"/api/v1/tenants/{tenant.tenant_id}/api-keys", {}).body
    ask(admin, "RevokeApiKey", api_key_id=spare["api_key_id"], **of)
    ask(admin, "ListApiKeys", query={"page_size": "2"}, **of)
    ask(mine, "CreateSessionToken", body={"scopes": ["runs:read"], "lifetime_seconds": 900, "user_id": "jo@acme.example"}, **of)
    _set_up(tenant, mine, ask, of)
    _run(tenant, mine, ask, of)
    _look(tenant, mine, ask, of)
    _schedule(suite, mine, ask, of)
    _operate(suite, ask)
    # Entries are written in the background.
    until(partial(ask, mine, "ListAuditEntries", query={"page_size": "2"}, **of), _has("entries"), seconds=60)
    ask(admin, "ListAllAuditEntries", query={"chain": tenant.tenant_id, "page_size": "2"})
    return tenant


def record_end(suite: Suite, tenant: Tenant, recorded: Recorded) -> None:
    """Makes the calls that end a tenant."""
    of = {"tenant_id": tenant.tenant_id}
    ask: Ask = recorded.call
    ask(suite.admin, "SuspendTenant", **of)
    ask(suite.admin, "ResumeTenant", **of)
    ask(suite.admin, "OffboardTenant", body={"confirm": tenant.tenant_id, "dataset": "DELETE"}, **of)


def _set_up(tenant: Tenant, mine: Rest, ask: Ask, of: dict[str, str]) -> None:
    table = f"{tenant.project}.finance.gcp_billing_export_v1_{ACCOUNT}"
    load(tenant.suite.env["BIGQUERY_EMULATOR_HOST"], table, many(DAY, 20, seed=1), STANDARD)
    ask(mine, "GetTrust", provider="GCP", **of)
    ask(mine, "SetCredentials", body=tenant.credentials, **of)
    webhook = {"url": "https://hooks.acme.example/convergence", "signing_secret": "a-secret-of-the-tenant"}
    path = f"/api/v1/tenants/{tenant.tenant_id}/credentials"
    assert mine.call("POST", path, {"provider": "WEBHOOK", "credentials": webhook}).status == 200
    ask(mine, "CheckCredentials", provider="GCP", body={"export": table}, **of)
    ask(mine, "TestNotification", provider="WEBHOOK", **of)
    ask(mine, "ListCredentials", **of)
    ask(mine, "DeleteCredentials", provider="WEBHOOK", **of)


def _run(tenant: Tenant, mine: Rest, ask: Ask, of: dict[str, str]) -> None:
    ask(mine, "ListTemplates")
    ask(mine, "ValidatePipeline", body={"date": str(DAY)}, **of, **BILLING)
    key = {"Idempotency-Key": "3f6d2f0e-7a0c-4c8e-9d43-0d6c1d8f5a11"}
    started = ask(mine, "RunPipeline", headers=key, body={"date": str(DAY)}, **of, **BILLING)
    run = tenant.finished(started)
    assert run["status"] == "COMPLETED", run
    this = {**of, "pipeline_logging_id": run["pipeline_logging_id"]}
    ask(mine, "GetRun", **this)
    ask(mine, "WatchRun", **this)
    ask(mine, "ListRuns", query={"status": "COMPLETED", "page_size": "2"}, **of)
    ask(mine, "ListQualityResults", query={"page_size": "2"}, **of)
    later = ask(mine, "RunPipeline", body={"date": str(DAY)}, **of, **BILLING)
    ask(mine, "CancelRun", **of, pipeline_logging_id=later.body["pipeline_logging_id"])
    assert tenant.finished(later)["status"] == "CANCELLED"


def _look(tenant: Tenant, mine: Rest, ask: Ask, of: dict[str, str]) -> None:
    ask(mine, "GetQuota", **of)
    ask(tenant.suite.admin, "GetTenantQuota", **of)
    until(partial(ask, mine, "GetUsage", **of), _has("days"), seconds=60)
    ask(mine, "GetCosts", query={**RANGE, "group_by": "service", "granularity": "day", "top": "2"}, **of)
    ask(mine, "ListCostDays", query=RANGE, **of)
    ask(mine, "ListCostChanges", query={"page_size": "2"}, **of)
    invoice = {"billing_account_id": ACCOUNT.replace("_", "-"), "currency": "USD", "amount": "12.50"}
    ask(mine, "PutInvoiceAmount", body=invoice, invoice_month="2025-11", **of)
    ask(mine, "ListInvoices", query={"start_month": "2025-11", "end_month": "2025-11"}, **of)
    which = {name: invoice[name] for name in ("billing_account_id", "currency")}
    ask(mine, "DeleteInvoiceAmount", query=which, invoice_month="2025-11", **of)


def _schedule(suite: Suite, mine: Rest, ask: Ask, of: dict[str, str]) -> None:
    key = {"Idempotency-Key": "8b0f4f0e-5f0c-4c0e-9d43-0d6c1d8f5a22"}
    config = {"config_id": ask(mine, "CreateSchedule", headers=key, body=SCHEDULE, **of).body["config_id"]}
    ask(mine, "GetSchedule", **of, **config)
    ask(mine, "ListSchedules", query={"page_size": "2"}, **of)
    ask(mine, "UpdateSchedule", body={"schedule_cron": "45 2 * * *", "is_active": False}, **of, **config)
    ask(mine, "BackfillSchedule", body={"start_date": "2025-11-15", "end_date": str(DAY)}, **of, **config)
    queued = ask(mine, "ListScheduledRuns", query={"page_size": "2"}, **of).body["scheduled_runs"]
    # All three that are queued: which of those that were added together is first, is chance.
    ask(suite.admin, "ListQueue", query={"page_size": "3", **of})
    ask(mine, "GetScheduledRun", run_id=queued[0]["run_id"], **of)
    ask(mine, "DeleteSchedule", **of, **config)
    until(partial(ask, mine, "ListScheduledRuns", query={"state": "FAILED"}, **of), _has("scheduled_runs"), seconds=60)
    ask(mine, "RetryScheduledRun", run_id=queued[0]["run_id"], **of)


def _operate(suite: Suite, ask: Ask) -> None:
    ask(suite.anyone, "GetOpenIdConfiguration")
    ask(suite.anyone, "GetJsonWebKeySet")
    for name in ("CheckStoredCredentials", "TriggerDuePipelines", "ResetDailyQuotas"):
        ask(suite.admin, name)
    ask(suite.admin, "ProcessQueue", body={"max_runs": 1})
    ask(suite.admin, "GetSchedulerStatus")
    # When a job last succeeded is written in the background.
    until(partial(ask, suite.admin, "GetFleet"), _every_job_succeeded, seconds=60)
    ask(suite.admin, "ListAllRuns", query={"status": "COMPLETED", "page_size": "2"})
    ask(suite.admin, "ListUsage", query={"page_size": "2"})


def _every_job_succeeded(fleet: Answer) -> bool:
    return all("last_success_at" in job for job in fleet.body["jobs"])


def _has(field: str) -> Any:
    def found(answer: Answer) -> bool:
        assert answer.status == 200, answer.body
        return bool(answer.body[field])

    return found
