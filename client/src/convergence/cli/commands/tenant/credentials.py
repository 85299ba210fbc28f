"""`convergence credentials`: what lets the suite into a tenant's clouds, and where its notifications go."""

import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from convergence.cli.exits import ExitCode
from convergence.cli.invocation import Invocation
from convergence.cli.noun import Noun
from convergence.cli.options import STDIN, Provider, UsageProblem, Yes, read_json_object
from convergence.cli.output.cells import moment as moment_of
from convergence.cli.output.cells import names, shown
from convergence.cli.output.own_commands import in_commands
from convergence.cli.output.table import column, number, sentence
from convergence.credentials.v1 import trust_service_pb2 as trust

noun = Noun("credentials", "Access to a tenant's clouds, and targets of its notifications.")
Export = Annotated[str, typer.Option("--export", help="Where the billing export lies, as templates take it.", show_default=False)]


@noun.command("set", example="convergence credentials set gcp --file credentials.json --check")
def set_credentials(
    cli: Invocation,
    provider: Provider,
    *,
    file: Annotated[str, typer.Option("--file", "-f", metavar="FILE", help="JSON with the credentials' fields; -: from stdin.")] = STDIN,
    check: Annotated[bool, typer.Option("--check", help="Try the credentials first; they are not stored if they do not work.")] = False,
    export: Export = "",
) -> None:
    """Store credentials, encrypted. They come from a file or stdin, never from the command line.

    The file has only the fields ({"project_id": ..., "service_account_json": ...}), or is a whole body of the REST call. A key file that
    Google's console gives is taken as it is.
    """
    if file == STDIN and sys.stdin.isatty():
        cli.printer.remark("Paste the JSON and end it with Ctrl-D. It is not shown to anyone and not kept in the shell's history.")
    fields = credentials_of(read_json_object(file))
    answer = cli.client.credentials.set(provider.upper(), fields, validate=check, export=export)
    shown_fields = (
        ("provider", answer.provider),
        ("action", answer.action),
        ("dataset", answer.dataset_status),
        ("tables created", names(answer.tables_created)),
        ("message", in_commands(answer.message)),
    )
    cli.printer.record(answer, shown_fields)


@noun.command("list", example="convergence credentials list")
def list_credentials(cli: Invocation) -> None:
    """List the stored credentials, without the secrets: whether they work, and what must be corrected."""
    rows = cli.client.credentials.list()
    columns = (
        column("PROVIDER", lambda row: row.provider),
        column("KIND", lambda row: shown(row.access)),
        column("STATUS", lambda row: row.access_status or row.delivery_status or "UNKNOWN"),
        column("CHECKED", lambda row: moment_of(row, "access_checked_at" if row.HasField("access_checked_at") else "delivered_at")),
        column("SET", lambda row: moment_of(row, "updated_at" if row.HasField("updated_at") else "created_at")),
        number("SEALED", lambda row: f"{row.sealed_days} d"),
        sentence("PROBLEM", lambda row: shown(row.access_problem or row.delivery_problem)),
    )
    cli.printer.rows(rows, columns, empty="None are stored. Set some: convergence credentials set gcp --file FILE")


@noun.command("check", example="convergence credentials check gcp --json")
def check_credentials(cli: Invocation, provider: Provider, *, export: Export = "") -> None:
    """Try what a run would do with stored credentials. Ends with 1 unless they WORK."""
    answer = cli.client.credentials.check(provider.upper(), export=export)
    columns = (
        column("WHAT", lambda row: row.name),
        column("STATUS", lambda row: row.status),
        sentence("WHAT TO DO", lambda row: in_commands(shown(row.message))),
    )
    cli.printer.record(answer, (("provider", answer.provider), ("verdict", answer.verdict)))
    if not cli.printer.is_json:
        cli.printer.table("Findings", answer.findings, columns)
    cli.end(ExitCode.OK if answer.verdict == "WORKS" else ExitCode.FAILED)


@noun.command("test", example="convergence credentials test webhook")
def try_notification(cli: Invocation, provider: Provider) -> None:
    """Send a test message to a stored target of notifications (slack, webhook). Ends with 1 unless it was DELIVERED."""
    answer = cli.client.notifications.test(provider.upper())
    fields = (
        ("status", answer.status),
        ("message", in_commands(shown(answer.message))),
        ("HTTP status", shown(answer.http_status or None)),
        ("took", f"{answer.duration_ms:,} ms"),
    )
    cli.printer.record(answer, fields)
    cli.end(ExitCode.OK if answer.status == "DELIVERED" else ExitCode.FAILED)


@noun.command("delete", example="convergence credentials delete webhook --yes")
def delete_credentials(cli: Invocation, provider: Provider, *, yes: Yes = False) -> None:
    """Delete one provider's credentials. The dataset stays."""
    cli.confirm(f"Delete the {provider.upper()} credentials of {cli.tenant}? Runs that need them fail.", yes=yes)
    answer = cli.client.credentials.delete(provider.upper())
    cli.printer.record(answer, (("provider", answer.provider), ("action", answer.action), ("message", answer.message)))


@noun.command(
    "trust",
    example="convergence credentials trust aws --export s3://bucket/prefix/name --set role_arn=arn:aws:iam::123456789012:role/billing",
)
def show_trust(
    cli: Invocation,
    provider: Provider,
    *,
    export: Export = "",
    values: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A value that you know already, e.g. role_arn=... or project_id=.... Repeatable."),
    ] = None,
) -> None:
    """Show what to set up in the tenant's cloud so that it lets the suite in without a key: files, commands, and the credentials to set."""
    answer = cli.client.credentials.trust(provider.upper(), export=export, **read_known(values or []))
    cli.printer.record(
        answer,
        (
            ("issuer", answer.issuer),
            ("subject", answer.subject),
            ("audience", answer.audience),
            ("still to be replaced", names(answer.placeholders)),
        ),
    )
    if not cli.printer.is_json:
        for one in answer.files:
            cli.printer.part(f"# write this to {one.name}", style="bold")
            cli.printer.text(one.text)
        for command in answer.commands:
            cli.printer.part(f"# {command.purpose}", style="bold")
            cli.printer.text(command.command)


def read_known(values: list[str]) -> dict[str, Any]:
    """Each `name=value` of `--set`. Raises UsageProblem. Pure."""
    known = dict.fromkeys(
        name for name in trust.GetTrustRequest.DESCRIPTOR.fields_by_name if name not in {"tenant_id", "provider", "export"}
    )
    found = {}
    for one in values:
        name, sign, value = one.partition("=")
        if not sign or name not in known:
            raise UsageProblem(f"--set {one}: write NAME=VALUE, of {', '.join(known)}.")
        found[name] = value
    return found


def credentials_of(body: Mapping[str, object]) -> Mapping[str, object]:
    """The fields of the credentials: of a whole REST body those within, of Google's key file itself that and its project. Pure."""
    inner = body.get("credentials")
    if isinstance(inner, dict):
        return inner
    if body.get("type") == "service_account":
        return {"project_id": body.get("project_id", ""), "service_account_json": body}
    return body
