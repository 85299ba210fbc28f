"""`convergence login` and `logout`."""

import os
import sys
from contextlib import suppress
from dataclasses import replace
from getpass import getpass
from pathlib import Path
from typing import Annotated

import typer
from convergence.cli.invocation import Invocation
from convergence.cli.laptop import laptop_environment
from convergence.cli.noun import declare
from convergence.cli.options import UsageProblem, read_text
from convergence.cli.profile_file import ProfileFile, checked_name
from convergence.client import Client, Profile, errors

_DEFAULT, _LAPTOP = "default", "laptop"
_TRY_SECONDS = 15.0


def add_to(app: typer.Typer) -> None:
    """Adds the commands."""
    declare(app, "login", path="login", example="convergence login --url https://convergence.example.com --tenant acme_corp")(login)
    declare(app, "logout", path="logout", example="convergence logout --profile laptop")(logout)


def login(
    cli: Invocation,
    *,
    key_file: Annotated[
        str, typer.Option("--key-file", metavar="FILE", help="The API key; -: from stdin. Without it you are asked.", show_default=False)
    ] = "",
    admin_key_file: Annotated[
        str, typer.Option("--admin-key-file", metavar="FILE", help="The admin key; -: from stdin.", show_default=False)
    ] = "",
    admin: Annotated[bool, typer.Option("--admin", help="Ask for an admin key instead of an API key.")] = False,
    laptop: Annotated[bool, typer.Option("--laptop", help="Use URL and admin key of the suite that `make up` started here.")] = False,
    ca_file: Annotated[
        str, typer.Option("--ca-file", metavar="FILE", help="Trust these certificates, not the system's.", show_default=False)
    ] = "",
    user_id: Annotated[str, typer.Option("--user-id", help="The user for whom you call, for the records.", show_default=False)] = "",
    check: Annotated[bool, typer.Option("--check/--no-check", help="Try the keys before they are stored.")] = True,
) -> None:
    """Store where an installation is, and a key for it, as a profile, and use that from now on where none is named.

    Keys come from a prompt, a file or stdin, never from an argument.
    """
    file = ProfileFile.of(os.environ)
    known = file.read()
    name = checked_name(cli.shared.profile or (_LAPTOP if laptop else _DEFAULT))
    profile = known.profiles.get(name, Profile())
    given = {
        "url": cli.shared.url,
        "tenant_id": cli.shared.tenant,
        "ca_file": str(Path(ca_file).resolve()) if ca_file else "",
        "user_id": user_id,
    }
    if laptop:
        here = laptop_environment()
        given = {"url": here["GATEWAY_URL"], "admin_key": here["ADMIN_API_KEY"], **{key: value for key, value in given.items() if value}}
    if key_file:
        given["api_key"] = read_key(key_file)
    if admin_key_file:
        given["admin_key"] = read_key(admin_key_file)
    if given["url"] and given["url"] != profile.url:
        profile = Profile()  # keys of one installation are never sent to another
    profile = replace(profile, **{key: value for key, value in given.items() if value})
    if not profile.url:
        profile = replace(profile, url=cli.ask("URL of the gateway, e.g. https://convergence.example.com", "--url"))
    if not (key_file or admin_key_file or laptop):
        secret = _asked("Admin key" if admin else "API key", "--admin-key-file" if admin else "--key-file")
        profile = replace(profile, **{"admin_key" if admin else "api_key": secret})
    if check:
        _try(profile)
    file.put(name, profile, is_default=True)
    cli.printer.remark(f"Stored in {file.path}. {default_now(known.default, name)}")
    fields = (("profile", name), ("url", profile.url), ("tenant", profile.tenant_id or "none: give --tenant with each call"))
    defaults = {"is_default": True, "default_before": known.default}
    if cli.printer.is_json:
        cli.printer.json(
            {"profile": name, "url": profile.url, "tenant_id": profile.tenant_id, "file": str(file.path), "checked": check, **defaults}
        )
    else:
        cli.printer.fields(fields)


def default_now(before: str, name: str) -> str:
    """What a login has changed for commands that name no profile, in a sentence. Pure."""
    if before in {"", name}:
        return f"{name} is the profile that is used where none is named."
    return f"{name} is the profile that is used from now on where none is named, not {before}. Back: convergence profiles use {before}"


def logout(cli: Invocation) -> None:
    """Forget a profile and its keys: --profile, or the one in use. The keys themselves keep working until they are revoked."""
    file = ProfileFile.of(os.environ)
    name = cli.shared.profile or file.read().default
    if not name:
        raise UsageProblem("There is no profile to forget. `convergence profiles list` shows those that there are.")
    file.remove(name)
    if cli.printer.is_json:
        cli.printer.json({"profile": name, "action": "FORGOTTEN"})
    else:
        cli.printer.text(f"Forgot profile {name}.")
    left = file.read()
    if left.profiles and not left.default:
        cli.printer.remark("No profile is used now where none is named. Choose one: convergence profiles use NAME")


def read_key(source: str) -> str:
    """A key from a file or stdin. Raises UsageProblem, without quoting it."""
    key = read_text(source).strip()
    if not key or any(character.isspace() for character in key) or not key.isascii():
        raise UsageProblem("There is no key in it: one word of ASCII characters was expected. It is not quoted here, for it may be secret.")
    return key


def _asked(what: str, option: str) -> str:
    if not sys.stdin.isatty():
        raise UsageProblem(f"There is no terminal to ask for the key on: give {option} FILE, or {option} - to read it from stdin.")
    key = getpass(f"{what} (not shown): ").strip()
    if not key:
        raise UsageProblem("No key was given; nothing was stored.")
    return key


def _try(profile: Profile) -> None:
    """Raises ConvergenceError if a key does not work."""
    with Client(
        profile.url,
        api_key=profile.api_key or None,
        admin_key=profile.admin_key or None,
        tenant_id=profile.tenant_id or None,
        ca_file=profile.ca_file or None,
        timeout=_TRY_SECONDS,
    ) as client:
        if profile.api_key and profile.tenant_id:
            client.quota.get()
        elif profile.api_key:
            client.pipelines.templates().first_page()
        if profile.admin_key:
            with suppress(errors.PermissionDenied):  # a key that is known, of the other role
                client.jobs.status()
