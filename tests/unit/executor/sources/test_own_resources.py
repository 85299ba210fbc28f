"""What belongs to this installation is not read for a tenant, however it came to be stored or named, and no cloud is called."""

import json
from typing import Any, cast

import pytest

from services.clouds.access import CloudEndpoints, TenantAccess, no_token
from services.clouds.own_resources import OwnResources
from services.executor.errors import StepError
from services.executor.metering.meter import StepMeter
from services.executor.settings import ExecutorSettings
from services.executor.sources.credentials import SealedCredential
from services.executor.sources.registry import DATASETS, SOURCE_TYPES, TenantSources
from services.executor.sources.source import ReadRequest

SETTINGS = ExecutorSettings(project="acme-platform", own_resources=("210987654321", "acme-bucket", "acmestorage"))
NONE = cast("Any", None)
AZURE = dict.fromkeys(("directory_id", "client_id", "subscription_id"), "72f988bf-86f1-41af-91ab-2d7cd011db47")


class Stored:
    """One tenant's credentials, sealed and opened."""

    def __init__(self, plaintext: dict[str, Any]) -> None:
        self._plaintext = json.dumps(plaintext).encode()

    async def get(self, tenant_id: str, provider: str, *, since: float | None = None) -> SealedCredential:
        return SealedCredential(tenant_id=tenant_id, provider=provider, credential_id="c", ciphertext=self._plaintext)

    async def decrypt(self, ciphertext: bytes, name: bytes, *, key_version: str | None = None) -> bytes:
        return ciphertext

    def token_of(self, tenant_id: str, provider: str) -> object:
        return no_token


@pytest.mark.parametrize(
    ("plaintext", "field"),
    [
        ({"project_id": "acme-platform", "service_account": {}}, "project_id"),
        (
            {"project_id": "shop-billing", "service_account": {"client_email": "x@acme-platform.iam.gserviceaccount.com"}},
            "service_account_json.client_email",
        ),
    ],
)
async def test_credentials_that_were_stored_before_the_rule_open_nothing(plaintext: dict[str, Any], field: str) -> None:
    stored = cast("Any", Stored(plaintext))
    sources = TenantSources(stored, stored, stored, SETTINGS)
    with pytest.raises(StepError, match=f"The {field} of the GCP credentials is this installation's own"):
        await sources.open("shop", SOURCE_TYPES["GCP"](), NONE, session="s", since=0.0)


@pytest.mark.parametrize(
    ("provider", "dataset", "plaintext", "parameters", "named"),
    [
        ("AWS", "focus", {"access_key_id": "AKIA" + "A" * 16, "secret_access_key": "s" * 40}, {"export": "s3://acme-bucket/p/n"}, "export"),
        ("AZURE", "focus", AZURE, {"export": "acmestorage/c/d/n"}, "export"),
        ("AZURE", "cost", AZURE, {"export": "shopstorage/c/d/n", "amortized_export": "acmestorage/c/d/n"}, "amortized_export"),
    ],
)
def test_exports_in_what_is_ours_are_not_opened(
    provider: str, dataset: str, plaintext: dict[str, str], parameters: dict[str, str], named: str
) -> None:
    access = TenantAccess(
        tenant_id="shop",
        provider=provider,
        plaintext=json.dumps(plaintext).encode(),
        session="s",
        endpoints=CloudEndpoints(own=OwnResources.of(SETTINGS)),
        token_of=no_token,
    )
    source = DATASETS[provider][dataset]().open(access, SETTINGS, cast("StepMeter", NONE))
    request = cast("ReadRequest", type("Request", (), {"parameters": parameters})())
    with pytest.raises(StepError, match=f"The parameter {named} names a place that is this installation's own"):
        source.find(request, lambda: None)
    source.close()
