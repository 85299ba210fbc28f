"""What a token says, and how a public key is published."""

import base64
import json
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.credentials.issuer.token import IdentityToken, claims_of, jwk_of, signed, signing_input

# RFC 7638, section 3.1.
N = (
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXA"
    "rwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lF"
    "d2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
)
THUMBPRINT = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
NOW = datetime(2026, 11, 26, 12, 0, 0, 999_999, tzinfo=UTC)


def test_a_key_is_published_under_its_thumbprint() -> None:
    number = int.from_bytes(base64.urlsafe_b64decode(N + "=="), "big")
    pem = RSAPublicNumbers(e=65537, n=number).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert jwk_of(pem) == {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": THUMBPRINT, "n": N, "e": "AQAB"}


def test_no_other_kind_of_key_is_published() -> None:
    pem = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(ValueError, match="no RSA key"):
        jwk_of(pem)


def test_a_token_is_for_one_audience_and_ten_minutes() -> None:
    claims = claims_of(issuer="https://convergence.example", subject="acme", audience="sts.amazonaws.com", token_id="1", now=NOW)
    header, said = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in signing_input(claims, "kid-1").split("."))
    assert header == {"alg": "RS256", "kid": "kid-1", "typ": "JWT"}
    noon = int(datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp())
    assert said == {
        "iss": "https://convergence.example",
        "sub": "acme",
        "aud": "sts.amazonaws.com",
        "iat": noon,
        "nbf": noon,
        "exp": noon + 600,
        "jti": "1",
    }


def test_the_signature_has_no_padding_and_a_token_is_in_no_repr() -> None:
    assert signed("a.b", b"\xff\xfe") == "a.b.__4"
    assert "secret" not in repr(IdentityToken(token="secret", audience="a", expires_at=NOW))
