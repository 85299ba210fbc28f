"""Where a client connects and as whom: arguments, else the environment, else a profile.

A profile is read where nothing else gives a URL, so that its keys are sent to its own URL only. With `profile=` the environment is not
looked at: who names a profile means it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from convergence.client.profiles import Profile, profiles_path, read_profiles
from convergence.rpc.credentials import AsyncToken, Credentials
from convergence.rpc.errors import ConfigurationError

ENVIRONMENT = {
    "url": "CONVERGENCE_URL",
    "tenant_id": "CONVERGENCE_TENANT_ID",
    "user_id": "CONVERGENCE_USER_ID",
    "ca_file": "CONVERGENCE_CA_FILE",
    "api_key": "CONVERGENCE_API_KEY",
    "admin_key": "CONVERGENCE_ADMIN_KEY",
    "token": "CONVERGENCE_TOKEN",
}
PROFILE = "CONVERGENCE_PROFILE"
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """All that a client needs to know before its first call."""

    url: str
    tenant_id: str
    user_id: str
    ca_file: str
    credentials: Credentials = field(default_factory=Credentials)
    profile: str = ""
    """The profile that it was taken from; empty: from none."""

    @property
    def target(self) -> str:
        """`host:port`, as gRPC takes it."""
        parts = urlsplit(self.url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{host}:{parts.port or PORTS[parts.scheme]}"

    @property
    def tls(self) -> bool:
        """Whether it is encrypted."""
        return urlsplit(self.url).scheme == "https"

    def roots(self) -> bytes | None:
        """The certificates that are trusted, PEM; None: the system's. Raises ConfigurationError."""
        if not self.ca_file:
            return None
        try:
            return Path(self.ca_file).read_bytes()
        except OSError as error:
            raise ConfigurationError(f"The file of the certificate authority, {self.ca_file}, cannot be read: {error.strerror}.") from error


def resolve(given: Profile, *, token: AsyncToken | None, profile: str | None, environment: Mapping[str, str]) -> Connection:
    """The connection for arguments (`given`, a field that is empty was not passed). Raises ConfigurationError, saying what to give."""
    if profile and given.url:
        raise ConfigurationError("Give either a profile or a URL: the keys of a profile are for its own URL only.")
    surroundings = Profile(**{field: environment.get(variable, "").strip() for field, variable in ENVIRONMENT.items()})
    layers = [given] if profile else [given, surroundings]
    name = ""
    if not any(layer.url for layer in layers):
        profiles = read_profiles(profiles_path(environment))
        name = profile or environment.get(PROFILE, "") or profiles.default
        layers += [profiles.named(name)] if name else []
    chosen = Profile(**{field: next(filter(None, (getattr(layer, field) for layer in layers)), "") for field in ENVIRONMENT})
    return Connection(
        url=checked_url(chosen.url),
        tenant_id=chosen.tenant_id,
        user_id=chosen.user_id,
        ca_file=chosen.ca_file,
        credentials=Credentials(api_key=chosen.api_key, admin_key=chosen.admin_key, token=token or chosen.token),
        profile=name,
    )


def checked_url(url: str) -> str:
    """Raises ConfigurationError for what is no address of a gateway, or has a password in it."""
    if not url:
        raise ConfigurationError(
            "Where is the gateway? Give the client `url=`, set CONVERGENCE_URL, or make a profile: `convergence login`."
        )
    try:
        parts = urlsplit(url)
        good = parts.scheme in PORTS and parts.hostname and not parts.username and parts.path in {"", "/"} and (parts.port or 1) > 0
        good = good and url.isprintable() and not set(url) & set(" ?#\\")  # urlsplit lets line breaks and empty queries pass
    except ValueError:
        good = False
    if not good:
        raise ConfigurationError("The URL of the gateway takes the form https://host or http://host:port, without a path or a password.")
    return url.rstrip("/")
