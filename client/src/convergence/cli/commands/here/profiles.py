"""`convergence profiles`: the installations that this machine knows."""

import os
from typing import Annotated

import typer
from convergence.cli.invocation import Invocation
from convergence.cli.noun import Noun
from convergence.cli.output.cells import shown
from convergence.cli.output.table import column
from convergence.cli.profile_file import ProfileFile
from convergence.client import Profile, Profiles

noun = Noun("profiles", "Installations and keys that this machine knows; `convergence login` makes them.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="The profile.")]


@noun.command("list", example="convergence profiles list")
def list_profiles(cli: Invocation) -> None:
    """List the profiles; * marks the one that is used unless --profile or CONVERGENCE_PROFILE names another."""
    known = ProfileFile.of(os.environ).read()
    rows = sorted(known.profiles)
    columns = (
        column(" ", lambda name: "*" if name == known.default else ""),
        column("PROFILE", str),
        column("URL", lambda name: shown(known.profiles[name].url)),
        column("TENANT", lambda name: shown(known.profiles[name].tenant_id)),
        column("API KEY", lambda name: shown(bool(known.profiles[name].api_key))),
        column("ADMIN KEY", lambda name: shown(bool(known.profiles[name].admin_key))),
    )
    cli.printer.rows(rows, columns, empty="No profiles. Make one: convergence login", shown=lambda name: described(known, name))


@noun.command("use", example="convergence profiles use laptop")
def use_profile(cli: Invocation, name: Name) -> None:
    """Use a profile from now on."""
    file = ProfileFile.of(os.environ)
    known = file.read()
    known.named(name)
    known = Profiles(default=name, profiles=known.profiles)
    file.write(known)
    _show(cli, known, name)


@noun.command("show", example="convergence profiles show --json")
def show_profile(
    cli: Invocation, name: Annotated[str, typer.Argument(metavar="NAME", help="The profile; default: the one in use.")] = ""
) -> None:
    """Show a profile, without its keys."""
    known = ProfileFile.of(os.environ).read()
    _show(cli, known, name or cli.shared.profile or os.environ.get("CONVERGENCE_PROFILE", "") or known.default)


def described(known: Profiles, name: str) -> dict[str, object]:
    """A profile as JSON: no key, only whether there is one. Pure."""
    profile: Profile = known.named(name)
    return {
        "profile": name,
        "is_default": name == known.default,
        "url": profile.url,
        "tenant_id": profile.tenant_id,
        "user_id": profile.user_id,
        "ca_file": profile.ca_file,
        "has_api_key": bool(profile.api_key),
        "has_admin_key": bool(profile.admin_key),
        "has_token": bool(profile.token),
    }


def _show(cli: Invocation, known: Profiles, name: str) -> None:
    found = described(known, name)
    if cli.printer.is_json:
        cli.printer.json(found)
    else:
        cli.printer.fields([(key.replace("_", " "), shown(value)) for key, value in found.items()])
