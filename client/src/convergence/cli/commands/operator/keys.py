"""`convergence keys`: tenants' API keys."""

import os
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

import typer
from convergence.auth.v1 import api_key_pb2
from convergence.auth.v1 import api_key_service_pb2 as messages
from convergence.cli.invocation import Invocation, page_of
from convergence.cli.noun import Noun
from convergence.cli.options import Limit, UsageProblem, Yes, read_moment
from convergence.cli.output.cells import ago, moment, names, time_of
from convergence.cli.output.dialect import as_dict
from convergence.cli.output.table import column, number
from convergence.cli.profile_file import ProfileFile
from convergence.cli.secret_file import check_new, write_secret

noun = Noun("keys", "Tenants' API keys (operator).")
KeyId = Annotated[str, typer.Argument(metavar="KEY_ID", help="The key's id, never the key.")]
Expires = Annotated[str, typer.Option("--expires", metavar="TIME", help="E.g. 90d, or 2026-12-31; default: never.", show_default=False)]
Save = Annotated[bool, typer.Option("--save", help="Store the key in the profile in use instead of printing it.")]
Out = Annotated[
    str, typer.Option("--out", metavar="FILE", help="Write the key there (mode 0600) instead of printing it.", show_default=False)
]

Force = Annotated[bool, typer.Option("--force", help="Replace the file of --out if it exists: the key in it is lost.")]


@noun.command("create", example="convergence keys create --tenant acme_corp --scope runs:read --expires 90d")
def create_key(
    cli: Invocation,
    *,
    scope: Annotated[
        list[str] | None, typer.Option("--scope", help="What the key may do, e.g. runs:read. Repeatable; default: the flows' four scopes.")
    ] = None,
    expires: Expires = "",
    out: Out = "",
    force: Force = False,
    save: Save = False,
) -> None:
    """Issue a key. It is shown once and cannot be recovered."""
    _check(cli, out, force=force, save=save)
    _show_new(cli, cli.client.keys.create(scopes=scope, expires_at=_expires(expires)), out, save=save)


@noun.command("list", example="convergence keys list --tenant acme_corp")
def list_keys(cli: Invocation, *, limit: Limit = 100) -> None:
    """List a tenant's keys, newest first, revoked ones included."""
    now = datetime.now(UTC)
    rows = cli.some(cli.client.keys.list(page_size=page_of(limit)), limit)
    columns = (
        column("KEY ID", lambda row: row.api_key_id),
        column("STATE", lambda row: state_of(row, now)),
        column("SCOPES", lambda row: names(row.scopes) if row.scopes else "default"),
        column("CREATED", lambda row: moment(row, "created_at")),
        number("AGE", lambda row: ago(time_of(row, "created_at"), now)),
        column("EXPIRES", lambda row: moment(row, "expires_at")),
        column("LAST USED", lambda row: moment(row, "last_used_at")),
    )
    cli.printer.rows(rows, columns, empty="No keys. Issue one: convergence keys create")


@noun.command("rotate", example="convergence keys rotate KEY_ID --tenant acme_corp --overlap 3600")
def rotate_key(
    cli: Invocation,
    key_id: KeyId,
    *,
    overlap: Annotated[int, typer.Option("--overlap", min=0, help="Seconds that the old key keeps working.")] = 86_400,
    expires: Expires = "",
    out: Out = "",
    force: Force = False,
    save: Save = False,
) -> None:
    """Issue a key with the scopes of an old key. The old key keeps working for a while."""
    _check(cli, out, force=force, save=save)
    _show_new(cli, cli.client.keys.rotate(key_id, overlap_seconds=overlap, expires_at=_expires(expires)), out, save=save)


@noun.command("revoke", example="convergence keys revoke KEY_ID --tenant acme_corp --yes")
def revoke_key(cli: Invocation, key_id: KeyId, *, yes: Yes = False) -> None:
    """Revoke a key: every service refuses it within 5 seconds."""
    cli.confirm(f"Revoke key {key_id} of {cli.tenant}? What uses it stops working.", yes=yes)
    answer = cli.client.keys.revoke(key_id)
    cli.printer.record(answer, (("key id", answer.api_key.api_key_id), ("state", state_of(answer.api_key, datetime.now(UTC)))))


def state_of(key: api_key_pb2.ApiKey, now: datetime) -> str:
    """ACTIVE, EXPIRED or REVOKED at `now`. Pure."""
    if not key.is_active:
        return "REVOKED"
    ends = time_of(key, "expires_at")
    return "EXPIRED" if ends and ends <= now else "ACTIVE"


def _expires(text: str) -> datetime | None:
    return read_moment(text, datetime.now(UTC)) if text else None


def _check(cli: Invocation, out: str, *, force: bool, save: bool) -> None:
    """Before a key is issued: where it goes must exist, or it would be lost."""
    if out and save:
        raise UsageProblem("Give --out or --save, not both.")
    if save and not cli.client.connection.profile:
        raise UsageProblem("--save needs a profile to store the key in: make one with `convergence login`; no key was issued.")
    if out:
        try:
            check_new(out, replace=force)
        except FileExistsError:
            raise UsageProblem(f"{out} exists, and may hold a key: --force replaces it. No key was issued.") from None
        except OSError as error:
            raise UsageProblem(f"{out} cannot be written ({error.strerror}); no key was issued.") from None


def _show_new(cli: Invocation, answer: messages.CreateApiKeyResponse | messages.RotateApiKeyResponse, out: str, *, save: bool) -> None:
    where = _store(cli, answer, out, save=save)
    if cli.printer.is_json and where:
        cli.printer.json({**as_dict(answer), "api_key": None, "written_to": where})
        return
    fields = [
        ("key id", answer.api_key_id),
        ("tenant", answer.tenant_id),
        ("scopes", names(answer.scopes) if answer.scopes else "default"),
        ("expires at", moment(answer, "expires_at")),
        ("key", f"stored in {where}" if where else answer.api_key),
    ]
    cli.printer.record(answer, fields)
    if not where:
        cli.printer.remark("The key is shown this once.")


def _store(cli: Invocation, answer: messages.CreateApiKeyResponse | messages.RotateApiKeyResponse, out: str, *, save: bool) -> str:
    """Where the key was stored; empty: nowhere, so it is printed."""
    if out:
        write_secret(out, answer.api_key)
    elif save:
        file, name = ProfileFile.of(os.environ), cli.client.connection.profile
        profile = replace(file.read().named(name), api_key=answer.api_key, tenant_id=answer.tenant_id)
        file.put(name, profile, is_default=False)
        return f"profile {name}"
    return out
