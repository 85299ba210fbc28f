"""A tenant's access to its cloud: what was stored for it, and how it is refused."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from services.clouds.own_resources import OwnResources
from services.platform.settings import ServiceSettings

type TokenOf = Callable[[str], str]
"""From an audience to a signed token that says which tenant is served (a JWT, RFC 7519; its subject is the tenant). Blocks. Raises
AccessRefused.
"""


class AccessRefused(Exception):
    """The cloud refuses the tenant's access, or it cannot be used. The message is for the tenant: what is missing, and what to do."""

    def __init__(self, message: str, *, is_retryable: bool = False, setting: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.is_retryable = is_retryable
        """True if the same call may succeed later without any change."""
        self.setting = setting
        """What is missing, by the cloud's own name, e.g. s3:GetObject; None: not known, or no permission or setting."""


def no_token(_: str) -> str:
    """`TokenOf` of an installation that issues no identity tokens."""
    raise AccessRefused("This installation issues no identity tokens. Store a key instead.")


@dataclass(frozen=True, kw_only=True, slots=True)
class CloudEndpoints:
    """Where the clouds' APIs are; None: the clouds' own addresses. Emulators have others. And what there is no tenant's."""

    aws: str | None = None
    """S3 and STS, e.g. http://127.0.0.1:9080."""
    azure: str | None = None
    """Blob Storage and the token endpoint, e.g. https://127.0.0.1:9090."""
    google_sts: str | None = None
    """Google's Security Token Service."""
    bigquery: str | None = None
    """BigQuery's REST API."""
    bigquery_storage: str | None = None
    """BigQuery's Storage API, over gRPC without TLS."""
    ca: Path | None = None
    """The certificate authority of emulators that speak TLS; None: the public ones."""
    own: OwnResources = field(default_factory=OwnResources)
    """What belongs to this installation."""

    @classmethod
    def of(cls, settings: ServiceSettings) -> Self:
        """From the settings."""
        return cls(
            aws=settings.aws_emulator_host,
            azure=settings.azure_emulator_host,
            google_sts=settings.google_sts_emulator_host,
            bigquery=settings.bigquery_emulator_host,
            bigquery_storage=settings.bigquery_storage_emulator_host,
            ca=settings.emulator_ca,
            own=OwnResources.of(settings),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class TenantAccess:
    """What is known to open one tenant's access to one cloud, for one run or check."""

    tenant_id: str
    provider: str
    """Upper-case: GCP, AWS or AZURE."""
    plaintext: bytes = field(repr=False)
    """The stored credentials, decrypted; see services/credentials/payloads."""
    session: str
    """A name for the cloud's own audit log: letters, digits and -, at most 64 characters; e.g. the run's id."""
    endpoints: CloudEndpoints
    token_of: TokenOf
    """For tenants that let us in by federation; no key of theirs is stored."""
    probes: Mapping[str, TokenOf] = field(default_factory=dict)
    """As `token_of`, by each of `probe_subjects`, which are no tenants: a check tries whether a cloud that should let in the tenant alone
    refuses them. Empty: not tried.
    """
    location: str | None = None
    """Where the tenant's data are, a location of BigQuery; None: not known."""
    call_seconds: float | None = None
    """For a check: how long a call may be without an answer; none is made twice. None: as is right for a run, which has more time."""
