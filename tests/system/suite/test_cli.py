"""Every command against a running suite: `--json` is what REST answers, lists are arrays, and the exit status tells how it went."""

import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.support.cli import CommandLine
from tests.support.credentials.samples import Rsa
from tests.support.executor.billing_export import ACCOUNT, STANDARD, load, many
from tests.system.tenants import Suite, Tenant, until

DAY = date(2025, 11, 17)
SCOPES = ("audit:read", "costs:read", "costs:write", "credentials:write", "pipelines:run", "runs:read", "schedules:write")


@pytest.fixture(scope="module")
def tenant(running: Suite, private_key: Rsa) -> Tenant:
    tenant = running.tenant(private_key, daily_limit=2)
    table = f"{tenant.project}.billing.gcp_billing_export_v1_{ACCOUNT}"
    load(running.env["BIGQUERY_EMULATOR_HOST"], table, many(DAY, 30, seed=1), STANDARD)
    return tenant


@pytest.fixture(scope="module")
def operator(running: Suite, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    home = str(tmp_path_factory.mktemp("operator"))
    keys = {"CONVERGENCE_URL": running.env["GATEWAY_URL"], "CONVERGENCE_ADMIN_KEY": running.env["ADMIN_API_KEY"]}
    return CommandLine(environment={**keys, "XDG_CONFIG_HOME": home})


@pytest.fixture(scope="module")
def caller(running: Suite, tenant: Tenant, operator: CommandLine, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """Logged in, with a key that never was on a screen."""
    home = tmp_path_factory.mktemp("caller")
    scopes = [word for scope in SCOPES for word in ("--scope", scope)]
    created = operator.good("keys", "create", "--tenant", tenant.tenant_id, *scopes, "--expires", "90d", "--out", str(home / "key"))
    assert created["api_key"] is None
    command_line = CommandLine(environment={"XDG_CONFIG_HOME": str(home)})
    login = ("login", "--url", running.env["GATEWAY_URL"], "--tenant", tenant.tenant_id, "--key-file", str(home / "key"))
    assert command_line.good(*login)["checked"]
    return command_line


@pytest.fixture(scope="module")
def run(tenant: Tenant, caller: CommandLine) -> str:
    """The id of a run that has COMPLETED, followed from its start."""
    stored = caller.run("credentials", "set", "gcp", "--file", "-", "--json", stdin=json.dumps(tenant.credentials))
    assert (stored.code, stored.json["action"]) == (0, "CREATED"), stored.err
    watched = caller.run("run", "start", "gcp/cost/billing", "-p", f"date={DAY}", "--watch", "--json", "--idempotency-key", "k-1")
    assert watched.code == 0, watched.err
    events = watched.lines
    assert (events[0]["event"], events[0]["run"]["status"], events[-1]["run"]["status"]) == ("RUN", "RUNNING", "COMPLETED")
    assert {"STEP", "QUALITY"} <= {event["event"] for event in events}
    run_id: str = events[0]["run"]["pipeline_logging_id"]
    return run_id


def test_a_run_is_shown_as_rest_shows_it(tenant: Tenant, caller: CommandLine, run: str) -> None:
    assert caller.good("run", "show", run) == tenant.rest.call("GET", f"/api/v1/pipelines/runs/{tenant.tenant_id}/{run}").body
    assert caller.good("run", "list") == tenant.rest.call("GET", f"/api/v1/pipelines/runs/{tenant.tenant_id}").body["runs"]
    assert caller.good("run", "list", "--status", "failed") == []
    cost = caller.good("run", "cost", run)
    assert {step["step_id"] for step in cost["steps"]} >= {"extract", "publish"}
    again = caller.run("run", "watch", run, "--json")
    assert (again.code, again.lines[-1]["run"]["status"]) == (0, "COMPLETED")
    for verb in ("show", "cost"):
        assert "extract" in caller.run("run", verb, run).out
    assert run in caller.run("run", "list").out


def test_the_same_idempotency_key_starts_one_run(caller: CommandLine, run: str) -> None:
    again = caller.good("run", "start", "gcp/cost/billing", "-p", f"date={DAY}", "--wait", "--idempotency-key", "k-1")
    assert (again["pipeline_logging_id"], again["status"]) == (run, "COMPLETED")


def test_what_a_tenant_reads_is_an_array_or_an_object(tenant: Tenant, caller: CommandLine, run: str) -> None:
    rest, days = tenant.rest, ("--from", str(DAY), "--to", str(DAY))
    assert caller.good("quota")["pipelines_run_today"] == tenant.quota()["pipelines_run_today"]
    assert [one["usage_date"] for one in caller.good("usage")]
    assert [one["provider"] for one in caller.good("credentials", "list")] == ["GCP"]
    assert caller.good("credentials", "check", "gcp")["verdict"] == "WORKS"
    assert caller.good("credentials", "trust", "gcp", "--set", f"project_id={tenant.project}")["provider"] == "GCP"
    assert caller.good("validate", "gcp/cost/billing", "-p", f"date={DAY}")["valid"]
    templates = caller.good("templates", "list")
    assert templates == rest.call("GET", "/api/v1/pipelines/templates").body["templates"]
    assert caller.good("templates", "show", "gcp/cost/billing") in templates
    costs = caller.good("costs", "query", *days, "--by", "service", "--per", "day")
    assert {cost["period"] for cost in costs} == {str(DAY)}
    assert [day["date"] for day in caller.good("costs", "days", *days)] == [str(DAY)]
    assert all(change["is_first_load"] for change in caller.good("costs", "changes", "--limit", "0"))
    assert [one["invoice_month"] for one in caller.good("costs", "invoices", "--from", "2025-11", "--to", "2025-11")] == ["2025-11"]
    assert {one["pipeline_logging_id"] for one in caller.good("quality", "--limit", "0")} == {run}
    until(lambda: {entry["action"] for entry in caller.good("audit")}, lambda actions: "RunPipeline" in actions, seconds=60)
    assert caller.good("queue", "list") == []
    plotted = caller.run("costs", "query", *days, "--by", "service", "--plot")
    assert (plotted.code, "█" in plotted.out) == (0, True)


def test_schedules_from_creation_to_a_queued_run(tenant: Tenant, caller: CommandLine, operator: CommandLine, run: str) -> None:
    create = ("schedules", "create", "gcp/cost/billing", "--cron", "30 2 * * *", "--timezone", "Europe/Berlin", "-p", "date=yesterday")
    schedule = caller.good(*create)
    config_id = schedule["config_id"]
    assert len(schedule["next_fire_times"]) == 5
    assert [one["config_id"] for one in caller.good("schedules", "list")] == [config_id]
    assert caller.good("schedules", "update", config_id, "--pause", "--attempts", "1")["is_active"] is False
    assert caller.good("schedules", "show", config_id)["max_retries"] == 1
    assert "Europe/Berlin" in caller.run("schedules", "show", config_id).out
    day = str(DAY - timedelta(days=1))
    assert caller.good("schedules", "backfill", config_id, "--from", day, "--to", day)["enqueued_count"] == 1
    [queued] = caller.good("queue", "list", "--state", "pending", "--schedule", config_id)
    why = caller.good("queue", "show", queued["run_id"])
    assert why["waiting_for"] == "SCHEDULE_PAUSED"
    assert why["waiting_message"] in caller.run("queue", "show", queued["run_id"]).out
    assert caller.run("queue", "retry", queued["run_id"]).code == 6
    assert caller.good("schedules", "delete", config_id, "--yes")["action"] == "DELETED"
    assert caller.good("schedules", "list") == []


def test_an_operator_s_commands(tenant: Tenant, caller: CommandLine, operator: CommandLine, run: str) -> None:
    of_tenant = ("--tenant", tenant.tenant_id)
    assert operator.good("jobs", "trigger")["next_trigger_time"]
    assert operator.good("jobs", "process-queue", "--max-runs", "1")["status"] in {"IDLE", "PROCESSING"}
    assert operator.good("jobs", "reset")["status"] == "success"
    assert operator.good("jobs", "check")["checked_count"] >= 0
    assert operator.good("jobs", "status")["processing_count"] >= 0
    assert {job["job"] for job in operator.good("fleet")["jobs"]} == {"trigger", "process-queue", "reset-daily-quotas", "check-credentials"}
    assert tenant.tenant_id in {one["tenant_id"] for one in operator.good("usage", "--tenants")}
    # Entries are written together, some seconds after what they are about.
    entries = until(lambda: operator.good("audit", "--chain", tenant.tenant_id), bool, seconds=60)
    assert {entry["chain"] for entry in entries} == {tenant.tenant_id}
    assert {one["tenant_id"] for one in operator.good("runs", "all", *of_tenant)} <= {tenant.tenant_id}
    made = operator.good("keys", "create", *of_tenant, "--scope", "runs:read")
    rotated = operator.good("keys", "rotate", made["api_key_id"], *of_tenant, "--overlap", "0")
    assert rotated["api_key"] != made["api_key"]
    assert operator.good("keys", "revoke", rotated["api_key_id"], *of_tenant, "--yes")["api_key"]["is_active"] is False
    listed = operator.run("keys", "list", *of_tenant)
    assert ("REVOKED" in listed.out, made["api_key"] in listed.out) == (True, False)


def test_a_tenant_from_its_first_day_to_its_last(operator: CommandLine, tenant: Tenant) -> None:
    name = f"{tenant.tenant_id}_b"
    put = operator.good("tenants", "put", name, "--company", "Beta", "--email", "b@beta.example", "--limit", "daily_limit=5")
    assert (put["action"], put["tenant"]["daily_limit"]) == ("CREATED", 5)
    changed = operator.good("tenants", "put", name, "--limit", "monthly_limit=50", "--limit", "max_schedules=3")["tenant"]
    assert (changed["company_name"], changed["daily_limit"], changed["monthly_limit"]) == ("Beta", 5, 50), "what is not given stays"
    assert "daily_limit" not in operator.good("tenants", "put", name, "--limit", "daily_limit=none")["tenant"]
    whole = operator.run("tenants", "put", name, "--body", "-", "--json", stdin='{"company_name": "Beta 2"}').json["tenant"]
    assert (whole["company_name"], whole.get("monthly_limit")) == ("Beta 2", None), "a body is the whole tenant"
    assert operator.good("tenants", "get", name)["company_name"] == "Beta 2"
    assert [one["tenant"]["tenant_id"] for one in operator.good("tenants", "list", "--search", "beta 2")] == [name]
    assert name in operator.run("tenants", "list", "--search", name).out
    assert operator.good("tenants", "suspend", name)["status"] == "SUSPENDED"
    assert operator.good("tenants", "resume", name)["status"] == "ACTIVE"
    refused = operator.run("tenants", "put", name, "--body", "-", stdin='{"company": "x"}')
    assert (refused.code, "company" in refused.err) == (2, True)
    assert operator.good("tenants", "offboard", name, "--dataset", "keep", "--confirm", name)["dataset"] in {"KEPT", "ABSENT"}
    assert operator.good("tenants", "get", name)["status"] == "OFFBOARDED"


def test_raw_calls_have_the_profile_s_key(tenant: Tenant, caller: CommandLine, operator: CommandLine, run: str) -> None:
    path = "/api/v1/pipelines/runs/{tenant_id}"
    assert caller.run("api", "GET", path, "-q", "page_size=1").json["runs"][0]["tenant_id"] == tenant.tenant_id
    watched = caller.run("api", "get", f"{path}/{run}:watch").lines
    assert watched[-1]["run"]["status"] == "COMPLETED"
    missing = caller.run("api", "GET", f"{path}/none")
    assert (missing.code, missing.json["code"]) == (6, 5)
    status = operator.run("api", "GET", "/api/v1/scheduler/status", "--admin")
    assert (status.code, "queued_count" in status.json) == (0, True)
    put = operator.run("api", "PUT", f"/api/v1/tenants/{tenant.tenant_id}", "--admin", "--body", "-", stdin="{}")
    assert (put.code, put.json["details"][0]["reason"]) == (2, "BAD_FIELD")
    assert caller.run("openapi").json["openapi"].startswith("3.")


@pytest.mark.parametrize(
    ("line", "code", "reason"),
    [
        ("run show 00000000-0000-0000-0000-000000000000", 6, "RUN_NOT_FOUND"),
        ("run start gcp/cost/none", 6, "TEMPLATE_NOT_FOUND"),
        ("run start gcp/cost/billing -p date=never", 2, "BAD_FIELD"),
        ("run start aws/cost/focus -p months=open -p export=s3://bucket/prefix/name", 6, "CREDENTIALS_MISSING"),
        ("schedules show none", 6, "SCHEDULE_NOT_FOUND"),
        ("credentials delete slack --yes", 6, "CREDENTIALS_NOT_FOUND"),
        ("quota --tenant someone_else", 4, "TENANT_MISMATCH"),
        ("jobs status", 4, ""),
    ],
)
def test_errors_have_their_exit_status_reason_and_request_id(caller: CommandLine, run: str, line: str, code: int, reason: str) -> None:
    ended = caller.run(*line.split(), "--json")
    assert (ended.code, ended.out) == (code, ""), ended.err
    error = json.loads(ended.err)["error"]
    assert (error["reason"], error["exit_code"], bool(error["request_id"])) == (reason, code, bool(reason))
    shown = caller.run(*line.split())
    assert shown.code == code
    assert shown.err.startswith("Error: ")
    assert reason in shown.err


def test_a_limit_ends_with_3_and_a_failed_run_with_1(running: Suite, private_key: Rsa, operator: CommandLine, tmp_path: Path) -> None:
    tenant = running.tenant(private_key, daily_limit=1)
    assert tenant.set_credentials().status == 200
    operator.good("keys", "create", "--tenant", tenant.tenant_id, "--out", str(tmp_path / "key"))
    keys = {"CONVERGENCE_URL": running.env["GATEWAY_URL"], "CONVERGENCE_TENANT_ID": tenant.tenant_id, "XDG_CONFIG_HOME": str(tmp_path)}
    caller = CommandLine(environment={**keys, "CONVERGENCE_API_KEY": (tmp_path / "key").read_text().strip()})

    failed = caller.run("run", "start", "gcp/cost/billing", "-p", f"date={DAY}", "--wait", "--json")
    assert (failed.code, failed.json["status"]) == (1, "FAILED")
    refused = caller.run("run", "start", "gcp/cost/billing", "-p", f"date={DAY}")
    assert (refused.code, refused.out) == (3, "")
    assert "DAILY_LIMIT_REACHED" in refused.err
    assert "Try again in" in refused.err
    assert caller.run("validate", "gcp/cost/billing", "-p", f"date={DAY}").code == 1
    assert caller.run("run", "cancel", failed.json["pipeline_logging_id"]).code == 6
    assert caller.run("costs", "query").code == 4, "the key was made without costs:read"
