"""The text that `make up` prints: how to call the suite, in lines that can be pasted one after the other."""

from datetime import date, timedelta
from pathlib import Path
from string import Template

from localcloud.sample.aws.export import AWS_EXPORT
from localcloud.sample.azure.tenant import AZURE_EXPORT

_LINES = Template("""\
The suite is up. Paste these, one after the other:

source $env_file

# The subscription system provisions a tenant and issues its API key (shown once).
curl -sS -X PUT "$$GATEWAY_URL/api/v1/tenants/$tenant" \\
  -H "X-Admin-Key: $$ADMIN_API_KEY" -H 'Content-Type: application/json' \\
  -d '{"company_name": "Acme Corp", "admin_email": "ops@acme.example", "status": "ACTIVE", "plan_name": "PROFESSIONAL",
       "subscription_status": "ACTIVE", "daily_limit": 25, "monthly_limit": 500, "concurrent_limit": 5}' | python3 -m json.tool
export KEY=$$(curl -sS -X POST "$$GATEWAY_URL/api/v1/tenants/$tenant/api-keys" \\
  -H "X-Admin-Key: $$ADMIN_API_KEY" -H 'Content-Type: application/json' \\
  -d '{"scopes": ["audit:read", "costs:read", "credentials:write", "pipelines:run", "runs:read", "schedules:write"]}' \\
  | python3 -c 'import json, sys; a = json.load(sys.stdin); print(a.get("api_key") or sys.exit(a))')

# The tenant adds its cloud credentials and runs a pipeline.
curl -sS -X POST "$$GATEWAY_URL/api/v1/tenants/$tenant/credentials" \\
  -H "X-API-Key: $$KEY" -H 'X-User-ID: alice' -H 'Content-Type: application/json' -d @$credentials_file | python3 -m json.tool
export RUN=$$(curl -sS -X POST "$$GATEWAY_URL/api/v1/pipelines/run/$tenant/gcp/cost/billing" \\
  -H "X-API-Key: $$KEY" -H 'X-User-ID: alice' -H 'Content-Type: application/json' -d '{"date": "$day"}' \\
  | python3 -c 'import json, sys; a = json.load(sys.stdin); print(a.get("pipeline_logging_id") or sys.exit(a))')

# The run (repeat until its status is COMPLETED), and what is left of the tenant's quota.
curl -sS "$$GATEWAY_URL/api/v1/pipelines/runs/$tenant/$$RUN" -H "X-API-Key: $$KEY" | python3 -m json.tool
curl -sS "$$GATEWAY_URL/api/v1/tenants/$tenant/quota" -H "X-API-Key: $$KEY" | python3 -m json.tool

# Its bills of AWS and Azure: an export of each, of which the months that have changed are loaded.
for CLOUD in aws azure; do
  curl -sS -X POST "$$GATEWAY_URL/api/v1/tenants/$tenant/credentials" -H "X-API-Key: $$KEY" -H 'X-User-ID: alice' \\
    -H 'Content-Type: application/json' -d "@$sample_dir/$${CLOUD}_credentials.json" | python3 -m json.tool
done
curl -sS -X POST "$$GATEWAY_URL/api/v1/pipelines/run/$tenant/aws/cost/focus" -H "X-API-Key: $$KEY" -H 'X-User-ID: alice' \\
  -H 'Content-Type: application/json' -d '{"months": "open", "export": "$aws_export"}' | python3 -m json.tool
curl -sS -X POST "$$GATEWAY_URL/api/v1/pipelines/run/$tenant/azure/cost/focus" -H "X-API-Key: $$KEY" -H 'X-User-ID: alice' \\
  -H 'Content-Type: application/json' -d '{"months": "open", "export": "$azure_export"}' | python3 -m json.tool

# When both runs are COMPLETED: what they cost since $first, by provider and service.
curl -sS "$$GATEWAY_URL/api/v1/pipelines/runs/$tenant" -H "X-API-Key: $$KEY" | python3 -m json.tool
curl -sS -G "$$GATEWAY_URL/api/v1/tenants/$tenant/costs" -H "X-API-Key: $$KEY" \\
  -d start_date=$first -d end_date=$day -d group_by=provider,service -d top=10 | python3 -m json.tool

# A cloud corrects last month's bill (aws or azure). Run its pipeline again, and .../costs/changes says what has moved.
.venv/bin/python -m localcloud.sample restate aws

$jobs
Logs are in $logs_dir. Ctrl-C stops everything.
""")


_FIRING = """\
Cloud Scheduler's jobs fire as in production (LOCALCLOUD_SCHEDULER_EVERY=10: each every ten seconds); its log shows the responses."""
_SILENT = "Cloud Scheduler is switched off (LOCALCLOUD_CLOUD_SCHEDULER=false): schedules wait until you call its jobs."


def how_to_call(*, tenant: str, day: date, env_file: Path, credentials_file: Path, logs_dir: Path, jobs_fire: bool) -> str:
    """The text. `day` is one that the tenant's export has rows for. Beside `credentials_file` lie those for the other clouds."""
    here = Path.cwd()
    paths = {"env_file": env_file, "credentials_file": credentials_file, "logs_dir": logs_dir}
    shown = {name: path.relative_to(here) if path.is_relative_to(here) else path for name, path in paths.items()}
    return _LINES.substitute(
        tenant=tenant,
        first=(day.replace(day=1) - timedelta(days=1)).replace(day=1),
        day=day,
        sample_dir=shown["credentials_file"].parent,
        aws_export=AWS_EXPORT,
        azure_export=AZURE_EXPORT,
        jobs=_FIRING if jobs_fire else _SILENT,
        **shown,
    )
