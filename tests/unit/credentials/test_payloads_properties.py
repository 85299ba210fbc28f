"""Any payload is encrypted completely, or refused by the field's name without quoting its content."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.credentials.payloads import aws, azure, gcp, targets, to_plaintext, token_audience
from services.credentials.providers import Provider
from services.platform.errors import InvalidArgument, to_status
from tests.support.credentials.samples import AWS, AWS_ROLE, AZURE, SLACK, WEBHOOK, key_file, new_rsa
from tests.support.credentials.samples import gcp as gcp_sample

RSA = new_rsa()
MARK = "s3kr1t"
"""Stands in every value that is sent and in no message of ours."""

texts = st.text(max_size=60).map(lambda text: MARK + text)
odd = st.one_of(texts, st.none(), st.booleans(), st.floats(allow_nan=False), st.lists(texts, max_size=2))
values = st.recursive(odd, lambda inner: st.dictionaries(texts, inner, max_size=3), max_leaves=6)
SAMPLES: dict[Provider, dict[str, Any]] = {
    Provider.GCP: gcp_sample(RSA),
    Provider.AWS: AWS | AWS_ROLE,
    Provider.AZURE: AZURE,
    Provider.SLACK: SLACK,
    Provider.WEBHOOK: WEBHOOK,
}
NAMES = {
    Provider.GCP: [*gcp.FEDERATED_FIELDS, "service_account_json"],
    Provider.AWS: list(aws.FIELDS),
    Provider.AZURE: list(azure.FIELDS),
    Provider.SLACK: list(targets.SLACK_FIELDS),
    Provider.WEBHOOK: list(targets.WEBHOOK_FIELDS),
}

SECRETS = ("service_account", "secret_access_key", "client_secret", "webhook_url", "signing_secret")


def check(provider: Provider, sent: dict[str, Any]) -> None:
    refused: InvalidArgument | None = None
    try:
        sealed = json.loads(to_plaintext(provider, sent))
    except InvalidArgument as error:
        refused = error
    if refused is None:
        assert set(sealed) <= (set(sent) if provider is not Provider.GCP else {"service_account", *gcp.FEDERATED_FIELDS})
        assert (token_audience(provider, json.dumps(sealed).encode()) is None) == any(name in sealed for name in SECRETS)
        return
    wire = to_status(refused).SerializeToString()
    assert MARK.encode() not in wire
    assert b"PRIVATE KEY" not in wire
    assert refused.field is not None
    assert refused.field.startswith("credentials")
    assert refused.__context__ is None


@given(provider=st.sampled_from(Provider), sent=st.dictionaries(st.text(max_size=60), values, max_size=4))
def test_anything_at_all(provider: Provider, sent: dict[str, Any]) -> None:
    check(provider, sent)


@given(provider=st.sampled_from(Provider), data=st.data())
def test_good_credentials_with_some_fields_replaced(provider: Provider, data: st.DataObject) -> None:
    changes = data.draw(st.dictionaries(st.sampled_from(NAMES[provider]), values, min_size=1))
    check(provider, SAMPLES[provider] | changes)


@settings(max_examples=50)
@given(changes=st.dictionaries(st.sampled_from([*gcp.KEY_FILE_FIELDS, "token_uri", "other"]), values, min_size=1), as_text=st.booleans())
def test_key_files_with_some_fields_replaced(changes: dict[str, Any], as_text: bool) -> None:
    file = key_file(RSA) | changes
    check(Provider.GCP, {"project_id": "acme-gcp-project", "service_account_json": json.dumps(file) if as_text else file})
