"""Credentials as tenants send them. The keys are generated for the run and give access to nothing."""

import json
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa


@dataclass(frozen=True, kw_only=True, slots=True)
class Rsa:
    """One private key in the forms it may come in."""

    pkcs8: str = field(repr=False)
    pkcs1: str = field(repr=False)
    locked: str = field(repr=False)
    elliptic: str = field(repr=False)


def new_rsa() -> Rsa:
    key = rsa.generate_private_key(65537, 2048)
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    none = serialization.NoEncryption()
    return Rsa(
        pkcs8=key.private_bytes(pem, pkcs8, none).decode(),
        pkcs1=key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, none).decode(),
        locked=key.private_bytes(pem, pkcs8, serialization.BestAvailableEncryption(b"secret")).decode(),
        elliptic=ec.generate_private_key(ec.SECP256R1()).private_bytes(pem, pkcs8, none).decode(),
    )


def key_file(rsa: Rsa, **changes: Any) -> dict[str, Any]:
    """A service account's key file as Google's console gives it; a change to None leaves a field out."""
    file = {
        "type": "service_account",
        "project_id": "acme-gcp-project",
        "private_key_id": "0123456789abcdef0123456789abcdef01234567",
        "private_key": rsa.pkcs8,
        "client_email": "billing-reader@acme-gcp-project.iam.gserviceaccount.com",
        "client_id": "112233445566778899001",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": "https://oauth2.googleapis.com/token",
        "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
        "client_x509_cert_url": "https://www.googleapis.com/robot/v1/metadata/x509/billing-reader",
        "universe_domain": "googleapis.com",
    }
    return {name: value for name, value in (file | changes).items() if value is not None}


def gcp(rsa: Rsa, **changes: Any) -> dict[str, Any]:
    return {"project_id": "acme-gcp-project", "service_account_json": json.dumps(key_file(rsa, **changes))}


AWS = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
AWS_ROLE = {"role_arn": "arn:aws:iam::123456789012:role/finops/CostReader", "external_id": "convergence:acme", "region": "eu-central-1"}
AZURE = {
    "directory_id": "72f988bf-86f1-41af-91ab-2d7cd011db47",
    "client_id": "6731de76-14a6-49ae-97bc-6eba6914391e",
    "client_secret": "abc8Q~defGHIjklMNOpqrSTUvwxYZ0123456789-",
    "subscription_id": "A1FFC958-D2C7-493E-9F1E-125A0477F536",
}
AWS_FEDERATED = {"role_arn": "arn:aws:iam::123456789012:role/finops/CostReader", "region": "eu-central-1"}
AZURE_FEDERATED = {name: value for name, value in AZURE.items() if name != "client_secret"}
GCP_FEDERATED = {
    "project_id": "acme-gcp-project",
    "workload_identity_provider": "projects/123456789012/locations/global/workloadIdentityPools/convergence/providers/convergence",
}
SLACK = {"webhook_url": "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"}
WEBHOOK = {"url": "https://example.com/hooks/runs?team=finops", "signing_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
