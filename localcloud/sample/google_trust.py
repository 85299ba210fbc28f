"""The sample tenant's project on Google Cloud lets in this installation without a key: a pool that trusts its tokens about the tenant."""

from typing import Any, Final

import requests

PROJECT_NUMBER: Final = "104815162342"
POOL: Final = f"projects/{PROJECT_NUMBER}/locations/global/workloadIdentityPools/convergence"
PROVIDER: Final = f"{POOL}/providers/convergence"
SECONDS: Final = 10.0


def trust_issuer(google_sts: str, *, issuer: str, tenant_id: str) -> None:
    """Sets it up as `GET .../credentials/gcp/trust` says. Repeating the call gives the same. `google_sts`: the emulator's URL."""
    parent, _, pool = POOL.rpartition("/")
    provider = {
        "oidc": {"issuerUri": issuer},
        "attributeMapping": {"google.subject": "assertion.sub"},
        "attributeCondition": f'assertion.sub == "{tenant_id}"',
    }
    _post(f"{google_sts}/v1/{parent}?workloadIdentityPoolId={pool}", {})
    _post(f"{google_sts}/v1/{POOL}/providers?workloadIdentityPoolProviderId=convergence", provider)


def federated_google_credentials(project: str) -> dict[str, Any]:
    """The body of `POST .../credentials`."""
    return {"provider": "GCP", "credentials": {"project_id": project, "workload_identity_provider": PROVIDER}}


def _post(url: str, body: dict[str, Any]) -> None:
    answer = requests.post(url, json=body, timeout=SECONDS)
    if answer.status_code != requests.codes.conflict:
        answer.raise_for_status()
