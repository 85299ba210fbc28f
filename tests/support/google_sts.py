"""Google's Security Token Service inside the test process, and the trust that a tenant sets up in it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from localcloud.google_sts.access_tokens import AccessTokens
from localcloud.google_sts.pools import Pools
from localcloud.google_sts.server import GoogleSts, serve

POOL = "projects/123456789012/locations/global/workloadIdentityPools/convergence"
PROVIDER = f"{POOL}/providers/convergence"
EMAIL = "billing-reader@acme-gcp-project.iam.gserviceaccount.com"


@contextmanager
def google_sts(folder: Path, port: int = 0) -> Iterator[str]:
    """Its URL."""
    tokens = AccessTokens("")
    server = serve("127.0.0.1", port, GoogleSts(Pools(folder / "pools.json"), tokens))
    tokens.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield tokens.url
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def call(sts: str, method: str, path: str, body: dict[str, Any] | None = None) -> requests.Response:
    return requests.request(method, f"{sts}/v1/{path}", json=body, timeout=10)


def trust(sts: str, issuer: str, tenant_id: str, *, provider: str = PROVIDER, **changes: Any) -> None:
    """A pool with a provider that trusts one tenant of an issuer, as the trust page says."""
    pool, _, name = provider.rpartition("/providers/")
    parent, _, pool_id = pool.rpartition("/")
    assert call(sts, "POST", f"{parent}?workloadIdentityPoolId={pool_id}", {}).status_code in {200, 409}
    body = {
        "oidc": {"issuerUri": issuer},
        "attributeMapping": {"google.subject": "assertion.sub"},
        "attributeCondition": f"assertion.sub == '{tenant_id}'",
        **changes,
    }
    call(sts, "POST", f"{pool}/providers?workloadIdentityPoolProviderId={name}", body).raise_for_status()


def allow_impersonation(sts: str, tenant_id: str, email: str = EMAIL) -> None:
    member = f"principal://iam.googleapis.com/{POOL}/subject/{tenant_id}"
    policy = {"policy": {"bindings": [{"role": "roles/iam.workloadIdentityUser", "members": [member]}]}}
    call(sts, "POST", f"projects/-/serviceAccounts/{email}:setIamPolicy", policy).raise_for_status()
