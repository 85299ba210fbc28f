"""Secrets that are planted: those that tenants send, their keys, and the operator's. They are searched for afterwards."""

import base64
import itertools
import json
import random
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.cloud import kms_v1
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceGrpcTransport

from tests.support.credentials.samples import AZURE, Rsa, key_file
from tests.support.invariants import Observed, Sealed
from tests.support.invariants.credentials import Decrypt
from tests.system.tenants import Tenant

PROVIDERS = ("GCP", "GCP", "AWS", "AZURE", "SLACK", "WEBHOOK")


def _lines(key: Rsa) -> list[str]:
    return [line for line in key.pkcs8.splitlines() if not line.startswith("-----")]


@dataclass(kw_only=True)
class Planted:
    """All secrets that the suite is given."""

    keys: Sequence[Rsa]
    secrets: dict[str, bytes] = field(default_factory=dict, repr=False)
    """What to search for, by a name for it."""
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        for number, key in enumerate(self.keys):
            lines = _lines(key)
            for form, secret in {"a line": lines[3].encode(), "bytes": base64.b64decode("".join(lines))[200:230]}.items():
                self.secrets[f"{form} of private key {number}"] = secret

    def credentials(self, tenant: Tenant, rng: random.Random, provider: str | None = None) -> tuple[str, Mapping[str, Any], bytes]:
        """Provider, body, and what is secret in it."""
        provider = provider or rng.choice(PROVIDERS)
        token = uuid.UUID(int=rng.getrandbits(128)).hex
        body: dict[str, Any]
        match provider:
            case "GCP":
                key = rng.choice(self.keys)
                file = key_file(key, project_id=tenant.project, client_email=f"reader@{tenant.project}.iam.gserviceaccount.com")
                body, secret = {"project_id": tenant.project, "service_account_json": json.dumps(file)}, _lines(key)[3]
            case "AWS":
                body, secret = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": (token * 2)[:40]}, (token * 2)[:40]
            case "AZURE":
                body, secret = AZURE | {"client_secret": f"abc8Q~{token}"}, token
            case "SLACK":
                body, secret = {"webhook_url": f"https://hooks.slack.com/services/T00000000/B00000000/{token[:24]}"}, token[:24]
            case _:
                body, secret = {"url": "https://example.com/hooks", "signing_secret": f"whsec_{token}"}, token
        with self._guard:
            self.secrets.setdefault(f"{provider} secret {next(self._numbers)}", secret.encode())
        return provider, {"provider": provider, "credentials": body}, secret.encode()

    def sent(self, observed: Observed, of: tuple[str, str], secret: bytes, *, stored: bool) -> None:
        """What was answered to them."""
        with self._guard:
            known = observed.credentials.get(of, Sealed(acknowledged=()))
            observed.credentials[of] = Sealed(
                acknowledged=[*known.acknowledged, secret] if stored else known.acknowledged,
                unanswered=known.unanswered if stored else [*known.unanswered, secret],
            )


def kms_decrypt(host: str, key: str) -> Decrypt:
    """The KMS emulator's own Decrypt, with all rights."""

    def decrypt(ciphertext: bytes, name: bytes) -> bytes:
        with grpc.insecure_channel(host) as channel:
            kms = kms_v1.KeyManagementServiceClient(transport=KeyManagementServiceGrpcTransport(channel=channel))
            request = {"name": key, "ciphertext": ciphertext, "additional_authenticated_data": name}
            plaintext: bytes = kms.decrypt(request=request, timeout=10).plaintext
            return plaintext

    return decrypt
