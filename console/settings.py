"""What the console is set up with."""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from services.platform.environment.reading import EnvironmentSettings
from services.platform.environment.values import Host, Port

_URL = re.compile(r"https?://[^/\s:]+(:[0-9]{1,5})?(/\S*)?")
ROOT = Path(__file__).resolve().parents[1]


class ConsoleSettings(EnvironmentSettings):
    """Read from the environment with the prefix `CONSOLE_`, e.g. `CONSOLE_GATEWAY_URL=https://api.example.com`, or given as keywords."""

    model_config = SettingsConfigDict(env_prefix="CONSOLE_", frozen=True, extra="forbid")

    gateway_url: str = Field("http://127.0.0.1:8080", description="The gateway: the only thing that the console calls.")
    gateway_ca: Path | None = Field(None, description="Authorities that the gateway's certificate may come from, PEM. None: the system's.")
    listen_host: Host = Field("127.0.0.1", description="Address for browsers.")
    listen_port: Port = Field(8090, description="Port for browsers.")
    tls_certificate: Path | None = Field(None, description="Certificate chain towards browsers, PEM. With it, the console speaks TLS.")
    tls_key: Path | None = Field(None, description="Private key of `tls_certificate`, PEM.")
    public_url: str | None = Field(None, description="The address in browsers, such as `https://console.example.com`. Needed for OIDC.")
    cookie_secure: bool = Field(default=True, description="Whether cookies are for TLS only. False: browsers come without it.")
    forwarded_allow_ips: str = Field(
        "", description="Proxies, comma-separated, whose X-Forwarded-For and X-Forwarded-Proto are believed. Empty: none's."
    )
    session_seconds: int = Field(3600, ge=60, le=43_200, description="A session ends after it. A tenant's ends after an hour at most.")
    idle_seconds: int = Field(1800, ge=60, le=10**6, description="A session without a request ends after it.")
    max_sessions: int = Field(1000, gt=0, le=10**6, description="Sessions at a time; more sign-ins are refused.")
    sign_in_failures: int = Field(10, gt=0, le=10**6, description="Failed sign-ins of an address in five minutes; more are refused.")
    max_streams: int = Field(200, gt=0, le=10**6, description="Pages that follow a run live; more are answered as the run is, once.")
    assets_dir: Path = Field(ROOT / "gen/web", description="The JavaScript that `make gen` fetches.")
    oidc_issuer: str | None = Field(None, description="Issuer of operators' tokens, as in CONVERGENCE_OIDC. None: admin keys only.")
    oidc_client_id: str = Field("", description="The console's client id there. Tokens' audience, so it must be that of CONVERGENCE_OIDC.")
    oidc_client_secret: SecretStr | None = Field(None, description="Its secret. None: a public client, by PKCE alone.")
    oidc_scopes: str = Field("openid email", description="What is asked for at the issuer.")

    @field_validator("gateway_url", "public_url", "oidc_issuer")
    @classmethod
    def _http(cls, url: str | None) -> str | None:
        if url is not None and not _URL.fullmatch(url):
            raise ValueError("give a URL that begins with http:// or https:// and names a host, e.g. https://console.example.com")
        return url and url.rstrip("/")

    @field_validator("forwarded_allow_ips")
    @classmethod
    def _addresses(cls, text: str) -> str:
        for part in filter(None, (one.strip() for one in text.split(","))):
            try:
                ip_network(part)
            except ValueError:
                if part != "*":
                    raise ValueError("give addresses or networks of IP, comma-separated, or *, e.g. 10.0.0.0/8") from None
        return text

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("CONSOLE_TLS_CERTIFICATE and CONSOLE_TLS_KEY: set both or neither")
        if self.oidc_issuer and not (self.oidc_client_id and self.public_url):
            raise ValueError(
                "CONSOLE_OIDC_CLIENT_ID and CONSOLE_PUBLIC_URL: CONSOLE_OIDC_ISSUER needs both, the URL for the way back: set them"
            )
        return self

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        scheme = "https" if self.tls_certificate else "http"
        return self.public_url or f"{scheme}://{self.listen_host}:{self.listen_port}"
