"""Writes the file of profiles, which `convergence.client.profiles` reads."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from convergence.cli.options import UsageProblem
from convergence.cli.secret_file import write_secret
from convergence.client import Profile, Profiles, profiles_path, read_profiles

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileFile:
    """The file, whether it exists or not."""

    path: Path

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "ProfileFile":
        """The one that this user's clients read."""
        return cls(path=profiles_path(environment))

    def read(self) -> Profiles:
        """Raises ConfigurationError, as the client does."""
        return read_profiles(self.path)

    def write(self, known: Profiles) -> None:
        """Replaces the file; only its owner can read it. Raises UsageProblem if it cannot be written."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_secret(self.path, as_toml(known))
        except OSError as error:
            raise UsageProblem(f"{self.path} cannot be written: {error.strerror}.") from None

    def put(self, name: str, profile: Profile, *, is_default: bool) -> Profiles:
        """Stores a profile under `name`, and makes it the default if asked, or if there is none."""
        known = self.read()
        changed = Profiles(
            default=name if is_default or not known.default else known.default, profiles={**known.profiles, checked_name(name): profile}
        )
        self.write(changed)
        return changed

    def remove(self, name: str) -> None:
        """Forgets a profile and its keys. Raises ConfigurationError if there is none of this name."""
        known = self.read()
        known.named(name)
        left = {other: profile for other, profile in known.profiles.items() if other != name}
        self.write(Profiles(default="" if known.default == name else known.default, profiles=left))


def checked_name(name: str) -> str:
    """The name, if a profile may have it. Raises UsageProblem."""
    if not _NAME.fullmatch(name):
        raise UsageProblem(f"{name!r} is no name for a profile: letters, digits, dot, hyphen and underscore, at most 64.")
    return name


def as_toml(known: Profiles) -> str:
    """The file's text; what is empty is left out. Pure."""
    lines = ["# Written by `convergence login`. It holds keys: keep it to yourself."]
    lines += [f"default = {_quoted(known.default)}"] if known.default else []
    for name, profile in sorted(known.profiles.items()):
        lines += ["", f"[profiles.{_quoted(name)}]"]
        lines += [f"{one.name} = {_quoted(value)}" for one in fields(Profile) if (value := getattr(profile, one.name))]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """A basic string of TOML. JSON's are, but for one character that JSON leaves alone."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
