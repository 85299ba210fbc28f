"""Keys and tokens that are sent in headers that are logged."""

import jwt
import pytest

from services.platform.access.api_keys import new_api_key
from services.platform.access.caller import claimed_user_id
from services.platform.errors import InvalidArgument
from services.platform.rpc.report import MAX_REQUEST_ID, id_of
from services.platform.rpc.secret_texts import has_secret

KEY = new_api_key("acme_corp")
TOKEN = jwt.encode({"iss": "convergence"}, "s" * 32, headers={"typ": "convergence-session+jwt"})
OWN = {"x-api-key": "key-of-another-format", "x-admin-key": "admin-secret", "authorization": "Bearer opaque-token"}
SECRETS = [KEY, f"id-{KEY}", KEY[:-6], TOKEN, f"Bearer {TOKEN}", TOKEN[:80], *OWN.values(), "opaque-token", "x key-of-another-format"]
PLAIN = ["", "6f1b7c1e-0d52-4a53-9f5e-2b8a5b6f1d11", "jo@acme.example", "acme_corp_api_v1", "eyJ.a", "key-of-another"]


@pytest.mark.parametrize("place", range(len(SECRETS)))
def test_a_secret_is_never_a_request_id_or_a_users(place: int) -> None:
    secret = SECRETS[place]
    assert has_secret(secret, OWN)
    made = id_of({**OWN, "x-request-id": secret})
    assert 0 < len(made) <= MAX_REQUEST_ID
    assert secret not in made
    with pytest.raises(InvalidArgument) as refused:
        claimed_user_id({**OWN, "x-user-id": secret})
    assert secret not in refused.value.message


@pytest.mark.parametrize("text", PLAIN)
def test_other_text_stays(text: str) -> None:
    assert claimed_user_id({**OWN, "x-user-id": text}) == (text or None)
    assert not text or id_of({**OWN, "x-request-id": text}) == text
