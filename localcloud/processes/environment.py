"""The environment of the processes, and the file with the variables that a caller of the stack needs."""

import hashlib
import json
import os
import secrets
from pathlib import Path

from localcloud.files import write_private
from localcloud.settings import SERVICES, LocalSettings

# The variables that a program needs to run at all. Nothing else of the developer's environment is passed on, neither secrets nor proxies,
# but what `make up` lets through (`given.py`).
INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV")
ADMIN_KEY_BYTES = 32
TOKEN_SECRET_BYTES = 48
ADMIN_ROLES = ("provisioner", "scheduler")


def base_environment(settings: LocalSettings) -> dict[str, str]:
    """What every process gets."""
    # A home directory of its own: a client that misses its emulator must not find the developer's cloud login.
    home = settings.state_dir / "home"
    home.mkdir(parents=True, exist_ok=True)
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return inherited | {"HOME": str(home), "PYTHONUNBUFFERED": "1", "NO_GCE_CHECK": "true"}


def emulator_environment(settings: LocalSettings) -> dict[str, str]:
    """Makes the clouds' clients talk to this stack."""
    return {
        "BIGQUERY_EMULATOR_HOST": f"http://{settings.address('bigquery')}",
        "BIGQUERY_STORAGE_EMULATOR_HOST": settings.address("bigquery_storage"),
        "KMS_EMULATOR_HOST": settings.address("kms"),
        "GOOGLE_STS_EMULATOR_HOST": f"http://{settings.address('google_sts')}",
        "AWS_EMULATOR_HOST": f"http://{settings.address('aws')}",
        "AZURE_EMULATOR_HOST": f"https://{settings.address('azure')}",
        "CLOUD_EMULATOR_CA": str(settings.certs_dir / "ca.pem"),
        "GOOGLE_CLOUD_PROJECT": settings.project,
    }


def service_environment(settings: LocalSettings, *, admin_key: str) -> dict[str, str]:
    """What every service gets, except its own address. The admin key itself is not passed on: services get its hash."""
    hashed = hashlib.sha256(admin_key.encode()).hexdigest()
    return {
        **emulator_environment(settings),
        **{f"CONVERGENCE_{name.upper()}_ADDRESS": settings.address(name) for name in SERVICES},
        "CONVERGENCE_TLS_DIR": str(settings.certs_dir),
        "CONVERGENCE_CONTROL_DATASET": settings.control_dataset,
        "CONVERGENCE_LOCATION": settings.location,
        "CONVERGENCE_KMS_KEY": settings.kms_key,
        "CONVERGENCE_ISSUER_URL": f"http://{settings.address('gateway')}",
        "CONVERGENCE_TOKEN_SIGNING_KEY": settings.signing_key,
        "CONVERGENCE_ADMIN_KEYS": json.dumps([{"role": role, "sha256": hashed} for role in ADMIN_ROLES]),
        "CONVERGENCE_TOKEN_SECRETS": json.dumps([token_secret_of(settings)]),
        **_trusted_issuers(settings),
        "CONVERGENCE_LEASE_SECONDS": str(settings.lease_seconds),
        "CONVERGENCE_SPOOL_DIR": str(settings.state_dir / "spool"),
        # A service that drains longer than the supervisor waits would be killed meanwhile.
        "CONVERGENCE_GRACE_SECONDS": f"{max(settings.stop_grace - 2, 0.5):g}",
    }


def _trusted_issuers(settings: LocalSettings) -> dict[str, str]:
    if not settings.scheduler_oidc:
        return {}
    rule = {"role": "scheduler", "email": settings.scheduler_account}
    gateway = f"http://{settings.address('gateway')}"
    issuer = {"issuer": f"http://{settings.address('google_accounts')}", "audience": gateway, "rules": [rule]}
    return {"CONVERGENCE_OIDC": json.dumps([issuer])}


def client_environment(settings: LocalSettings, *, admin_key: str) -> dict[str, str]:
    """What a caller of the stack needs, as `.local/env` holds it."""
    return {"GATEWAY_URL": f"http://{settings.address('gateway')}", "ADMIN_API_KEY": admin_key, **emulator_environment(settings)}


def write_env_file(path: Path, environment: dict[str, str]) -> None:
    """One `export KEY=value` a line, readable by its owner only: a shell that sources it passes the variables on to what it starts. No
    value needs quotes.
    """
    write_private(path, "".join(f"export {name}={value}\n" for name, value in environment.items()))


def read_env_file(path: Path) -> dict[str, str]:
    """The file's entries; none if there is no file."""
    if not path.exists():
        return {}
    return dict(line.removeprefix("export ").split("=", 1) for line in path.read_text().splitlines() if "=" in line)


def admin_key_of(settings: LocalSettings) -> str:
    """The admin key of this state directory: the one in its env file, else a new one."""
    return read_env_file(settings.env_file).get("ADMIN_API_KEY") or f"admin_{secrets.token_urlsafe(ADMIN_KEY_BYTES)}"


def token_secret_of(settings: LocalSettings) -> str:
    """What the services sign tokens with: the secret of this state directory, which outlives a restart as the tokens do."""
    path = settings.state_dir / "token_secret"
    if not path.exists():
        write_private(path, secrets.token_urlsafe(TOKEN_SECRET_BYTES))
    return path.read_text()
