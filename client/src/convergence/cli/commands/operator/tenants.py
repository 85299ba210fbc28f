"""`convergence tenants`: customers and their limits."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from convergence.auth.v1 import tenant_pb2
from convergence.auth.v1 import tenant_service_pb2 as messages
from convergence.cli.invocation import Invocation, page_of
from convergence.cli.noun import Noun
from convergence.cli.options import BodyFile, Limit, UsageProblem, read_json_object
from convergence.cli.output.cells import NONE, ago, dollars, given, moment, shown, time_of
from convergence.cli.output.dialect import as_dict
from convergence.cli.output.table import column, number, sentence
from convergence.client import errors
from google.protobuf.json_format import ParseDict, ParseError

noun = Noun("tenants", "Customers, their plans and limits (operator).")
TenantId = Annotated[str, typer.Argument(metavar="TENANT", help="The tenant's id.")]
LIMITS = (
    *("daily_limit", "monthly_limit", "concurrent_limit", "monthly_cost_limit_usd"),
    *("max_priority", "max_schedules", "max_queued_runs", "max_watchers", "requests_per_minute", "max_export_bytes"),
)
_UNLIMITED = frozenset(LIMITS[:4])
_READ_ONLY = ("tenant_id", "created_at", "updated_at")


@noun.command("list", example="convergence tenants list --status ACTIVE")
def list_tenants(
    cli: Invocation,
    *,
    status: Annotated[str, typer.Option(help="ACTIVE, INACTIVE, SUSPENDED or OFFBOARDED.")] = "",
    search: Annotated[str, typer.Option(help="Only tenants with this text in their id or company name.")] = "",
    limit: Limit = 100,
) -> None:
    """List tenants with what an operator looks at first: freshness, last failure, usage, cost, age of keys."""
    now = datetime.now(UTC)
    rows = cli.some(cli.client.tenants.list(status=status.upper(), search=search, page_size=page_of(limit)), limit)
    columns = (
        column("TENANT", lambda row: row.tenant.tenant_id),
        column("COMPANY", lambda row: shown(row.tenant.company_name)),
        column("STATUS", lambda row: row.tenant.status),
        column("PLAN", lambda row: shown(row.tenant.plan_name)),
        column("LOCATION", lambda row: shown(row.tenant.location)),
        number("TODAY", lambda row: f"{row.runs_today:,}/{given(row.tenant, 'daily_limit', 'any')}"),
        number("MONTH", lambda row: f"{row.runs_month:,}/{given(row.tenant, 'monthly_limit', 'any')}"),
        number("COST", lambda row: dollars(row.cost_month_usd)),
        number("COMPLETED", lambda row: ago(time_of(row, "last_completed_at"), now)),
        number("FAILED", lambda row: ago(time_of(row, "last_failed_at"), now)),
        number("KEYS", lambda row: shown(row.active_keys)),
        number("OLDEST KEY", lambda row: ago(time_of(row, "oldest_key_created_at"), now)),
        sentence("LAST FAILURE", lambda row: shown(row.last_failure)),
    )
    cli.printer.rows(rows, columns, empty="No tenants.")


@noun.command("get", example="convergence tenants get acme_corp --json")
def get_tenant(cli: Invocation, tenant_id: TenantId) -> None:
    """Show a tenant as it is stored."""
    _show(cli, cli.client.tenants.get(tenant_id))


@noun.command("put", example="convergence tenants put acme_corp --company 'Acme Corp' --email ops@acme.example --limit daily_limit=25")
def put_tenant(
    cli: Invocation,
    tenant_id: TenantId,
    *,
    company: Annotated[str, typer.Option("--company", help="The name on the invoice.")] = "",
    email: Annotated[str, typer.Option("--email", help="The contact's address.")] = "",
    plan: Annotated[str, typer.Option("--plan", help="The plan's name.")] = "",
    location: Annotated[str, typer.Option("--location", help="Where its data are, e.g. EU. Fixed by its first credentials.")] = "",
    limits: Annotated[
        list[str] | None,
        typer.Option("--limit", metavar="NAME=NUMBER", help=f"A limit; NAME=none removes it. Repeatable. Names: {', '.join(LIMITS)}."),
    ] = None,
    body: BodyFile = "",
) -> None:
    """Create a tenant, or change the given fields of a tenant. Other fields stay unchanged; for a new tenant they get their defaults.

    With --body the file is the whole tenant, as in the REST call: fields that it leaves out get their defaults, or are unlimited.
    """
    wanted = read_json_object(body) if body else _stored(cli, tenant_id)
    words = {"company_name": company, "admin_email": email, "plan_name": plan, "location": location}
    wanted |= {name: value for name, value in words.items() if value}
    for name, value in read_limits(limits or []).items():
        if value is None:
            wanted.pop(name, None)
        else:
            wanted[name] = value
    for name in _READ_ONLY:
        wanted.pop(name, None)
    try:
        # Through the message, which knows every field and its type; the client's method takes them by name.
        request = ParseDict(wanted, messages.PutTenantRequest())
    except ParseError as error:
        raise UsageProblem(f"This is no tenant: {error}.") from None
    answer = cli.client.tenants.put(tenant_id, **{field.name: value for field, value in request.ListFields()})
    cli.printer.remark(f"{answer.action}.")
    _show(cli, answer.tenant, whole=answer)


@noun.command("suspend", example="convergence tenants suspend acme_corp")
def suspend_tenant(cli: Invocation, tenant_id: TenantId) -> None:
    """Refuse a tenant's calls and start none of its runs, until it is resumed. Nothing is deleted."""
    _show(cli, cli.client.tenants.suspend(tenant_id))


@noun.command("resume", example="convergence tenants resume acme_corp")
def resume_tenant(cli: Invocation, tenant_id: TenantId) -> None:
    """Make a suspended tenant ACTIVE again."""
    _show(cli, cli.client.tenants.resume(tenant_id))


@noun.command("offboard", example="convergence tenants offboard acme_corp --dataset KEEP --confirm acme_corp")
def offboard_tenant(
    cli: Invocation,
    tenant_id: TenantId,
    *,
    dataset: Annotated[str, typer.Option("--dataset", help="KEEP or DELETE the tenant's dataset.")],
    confirm: Annotated[
        str, typer.Option("--confirm", help="The tenant's id once more; without it you are asked.", show_default=False)
    ] = "",
    export_uri: Annotated[
        str, typer.Option("--export-uri", help="First export all tables to this folder: gs://bucket/folder.", show_default=False)
    ] = "",
) -> None:
    """End a tenant finally: its keys stop working, its schedules end, its credentials are destroyed."""
    typed = confirm or cli.ask(f"This cannot be undone. Type the tenant's id to offboard it ({dataset.upper()} its dataset)", "--confirm")
    if typed != tenant_id:
        raise UsageProblem(f"{typed!r} is not {tenant_id!r}: nothing was changed.")
    answer = cli.client.tenants.offboard(tenant_id, confirm=typed, dataset=dataset.upper(), export_uri=export_uri)
    fields = (
        ("tenant", answer.tenant_id),
        ("offboarded at", moment(answer, "offboarded_at")),
        ("keys revoked", shown(answer.keys_revoked)),
        ("schedules stopped", shown(answer.schedules_stopped)),
        ("runs dropped", shown(answer.runs_dropped)),
        ("credentials destroyed", ", ".join(answer.credentials_destroyed) or NONE),
        ("dataset", answer.dataset),
        ("exported", ", ".join(f"{one.table_name} ({one.row_count:,} rows)" for one in answer.exported) or NONE),
    )
    cli.printer.record(answer, fields)


def read_limits(given_limits: list[str]) -> dict[str, float | int | None]:
    """Each `name=number`, or `name=none`. Raises UsageProblem for another name or no number. Pure."""
    found: dict[str, float | int | None] = {}
    for one in given_limits:
        name, _, text = one.partition("=")
        if name not in LIMITS:
            raise UsageProblem(f"{name!r} is no limit. There are {', '.join(LIMITS)}.")
        try:
            found[name] = None if text == "none" else float(text) if name.endswith("_usd") else int(text.replace("_", ""))
        except ValueError:
            raise UsageProblem(f"{one!r}: write {name}=NUMBER, or {name}=none.") from None
    return found


def _stored(cli: Invocation, tenant_id: str) -> dict[str, Any]:
    """The tenant as it is; empty if there is none yet."""
    try:
        return as_dict(cli.client.tenants.get(tenant_id))
    except errors.NotFound:
        return {}


def _show(cli: Invocation, tenant: tenant_pb2.Tenant, *, whole: Any = None) -> None:
    fields = [
        ("tenant", tenant.tenant_id),
        ("company", shown(tenant.company_name)),
        ("email", shown(tenant.admin_email)),
        ("status", tenant.status),
        ("plan", shown(tenant.plan_name)),
        ("subscription", tenant.subscription_status),
        ("location", tenant.location),
        *((name.replace("_", " "), given(tenant, name, "unlimited" if name in _UNLIMITED else "default")) for name in LIMITS),
        ("created at", moment(tenant, "created_at")),
        ("updated at", moment(tenant, "updated_at")),
    ]
    cli.printer.record(whole or tenant, fields)
