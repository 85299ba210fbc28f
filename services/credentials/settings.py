"""The settings of credentials, in addition to those of all services."""

from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, model_validator

from services.platform.environment.values import KeyName, matching
from services.platform.settings import ServiceSettings

Account = Annotated[str, matching(r"[^@\s:]+@[^@\s:]+", "give the address of a service account, e.g. executor@P.iam.gserviceaccount.com")]
type IssuerUrl = Annotated[
    str,
    matching(
        r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*",
        "give the gateway's public URL without a slash at its end, e.g. https://api.example.com",
    ),
]


class CredentialsSettings(ServiceSettings):
    """Lists are JSON, e.g. `["executor@p.iam.gserviceaccount.com"]`."""

    dataset_writers: tuple[Account, ...] = ()
    """Service accounts that get WRITER in each tenant's dataset: the executor's. A new dataset is open to its creator only."""
    dataset_owners: tuple[Account, ...] = ()
    """Service accounts that get OWNER there: this service's own, and its successor's before a change of accounts."""

    min_key_version: int = Field(default=0, ge=0)
    """The number of the oldest version of the KMS key that may have encrypted credentials. Older ones still open; they are counted and
    logged. 0: any version.
    """
    key_survey_seconds: float = Field(default=21_600.0, ge=0)
    """How often the versions in use are counted, with one statement; 0: never."""

    issuer_url: IssuerUrl | None = None
    """The public URL of the gateway, without a slash at its end: the issuer of identity tokens. Clouds read `/.well-known/` below it and
    demand https. None: tenants cannot let this installation in by federation. It never changes: tenants' clouds trust this text.
    """
    token_signing_key: KeyName | None = None
    """Full name of the KMS key that signs identity tokens: purpose ASYMMETRIC_SIGN, algorithm RSA_SIGN_PKCS1_2048_SHA256 (or 3072, 4096).
    Set both or neither.
    """
    token_key_overlap_seconds: float = Field(default=3600.0, ge=0)
    """How long a new version of that key is published before it signs: longer than verifiers keep the keys."""

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.issuer_url is None) != (self.token_signing_key is None):
            raise ValueError("CONVERGENCE_ISSUER_URL and CONVERGENCE_TOKEN_SIGNING_KEY: set both or neither")
        return self

    @property
    def token_key_overlap(self) -> timedelta:
        """`token_key_overlap_seconds`."""
        return timedelta(seconds=self.token_key_overlap_seconds)
