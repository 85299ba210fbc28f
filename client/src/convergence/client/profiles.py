"""Profiles: where an installation is, and the keys for it, in `~/.config/convergence/profiles.toml`. Only the command line writes them.

    default = "laptop"

    [profiles.laptop]
    url = "http://127.0.0.1:8080"
    tenant_id = "acme_corp"
    api_key = "..."

Its fields are those of Profile.
"""

import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from convergence.rpc.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """One installation as one caller sees it. An empty field is not given; secrets are in no repr."""

    url: str = ""
    tenant_id: str = ""
    user_id: str = ""
    ca_file: str = ""
    api_key: str = field(default="", repr=False)
    admin_key: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Profiles:
    """The content of the file."""

    default: str = ""
    """The profile that is taken where none is named; empty: none."""
    profiles: Mapping[str, Profile] = field(default_factory=dict)

    def named(self, name: str) -> Profile:
        """A profile. Raises ConfigurationError, naming those that there are."""
        if name not in self.profiles:
            known = ", ".join(sorted(self.profiles)) or "none"
            raise ConfigurationError(f"There is no profile {name!r}; there are: {known}. `convergence login` makes one.")
        return self.profiles[name]


def profiles_path(environment: Mapping[str, str]) -> Path:
    """Where the file is: in `$XDG_CONFIG_HOME`, else in `~/.config`."""
    folder = environment.get("XDG_CONFIG_HOME", "")
    home = Path(folder) if Path(folder).is_absolute() else Path(environment.get("HOME", "~")).expanduser() / ".config"
    return home / "convergence" / "profiles.toml"


def read_profiles(path: Path) -> Profiles:
    """All profiles; none if there is no file. Raises ConfigurationError if others may read the file or write its directory, if it is no
    regular file, or if it cannot be read.
    """
    try:
        _check_directory(path.parent)
        # Looks at what it has opened: another file may be there a moment later. A FIFO is not waited for.
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), encoding="utf-8") as file:
            _check_file(path, os.fstat(file.fileno()))
            parsed = tomllib.loads(file.read())
    except FileNotFoundError:
        return Profiles()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {type(error).__name__}.") from error
    except tomllib.TOMLDecodeError as error:
        # The error of the parser may quote a key.
        raise ConfigurationError(f"{path} is not valid TOML.") from None if str(error) else error
    return parsed_profiles(path, parsed)


def _check_directory(directory: Path) -> None:
    """Who may write it can put profiles of their own there. Sticky ones, such as volumes of Kubernetes, keep a file that is there."""
    mode = directory.stat().st_mode
    if os.name == "posix" and mode & 0o022 and not mode & stat.S_ISVTX:
        raise ConfigurationError(f"{directory} holds keys, and others than its owner may write it. Mend it: chmod 700 {directory}")


def _check_file(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ConfigurationError(f"{path} is no regular file.")
    if os.name != "posix":
        return
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise ConfigurationError(f"{path} holds keys, and others than its owner may read it. Mend it: chmod 600 {path}")
    if found.st_uid not in {0, os.geteuid()} and path.parent.stat().st_mode & 0o022:
        raise ConfigurationError(f"{path} is another user's, in a directory that others may write.")


def parsed_profiles(path: Path, parsed: Mapping[str, object]) -> Profiles:
    """From what the TOML says. Raises ConfigurationError, naming the place, never a value."""
    tables, default = parsed.get("profiles", {}), parsed.get("default", "")
    if not isinstance(tables, dict) or not isinstance(default, str):
        raise ConfigurationError(f"{path}: `default` takes the name of a profile, and each profile is a table [profiles.NAME].")
    known = {row.name for row in fields(Profile)}
    found = {}
    for name, table in tables.items():
        if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()) or table.keys() - known:
            raise ConfigurationError(f"{path}: [profiles.{name}] takes text in these fields, and no others: {', '.join(sorted(known))}.")
        found[name] = Profile(**table)
    return Profiles(default=default, profiles=found)
