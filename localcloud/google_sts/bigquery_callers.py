"""Refuses access tokens that claim to be of the local Security Token Service and are not. local-bigquery alone believes any token.

A service account's self-signed JWT, and a call without a token, are accepted as before. Which project an identity may read is not checked.
"""

from datetime import UTC, datetime

import grpc
from fastapi.responses import JSONResponse
from local_bigquery.catalog import row_access
from local_bigquery.grpc.read import StorageError

from localcloud.google_sts.access_tokens import AUDIENCE
from localcloud.oidc import TokenRefused, claimed_issuer, verify

MESSAGE = "Request had invalid authentication credentials. Expected OAuth 2 access token."


def install(google_sts: str | None) -> None:
    """`google_sts`: the service's URL; None: there is none, so no token is checked."""
    if google_sts is None:
        return
    identify = row_access.identify

    def identify_caller(authorization: str | None) -> tuple[str, ...]:
        if is_forged(authorization, google_sts):
            raise StorageError(grpc.StatusCode.UNAUTHENTICATED, MESSAGE)
        named: tuple[str, ...] = identify(authorization)
        return named

    row_access.identify = identify_caller


def forged_token() -> JSONResponse:
    """REST's answer to a forged token."""
    error = {"code": 401, "message": MESSAGE, "status": "UNAUTHENTICATED", "errors": [{"reason": "authError", "message": MESSAGE}]}
    return JSONResponse({"error": error}, status_code=401)


def is_forged(authorization: str | None, google_sts: str) -> bool:
    """True for a token that names the service as its issuer but is not signed by it, or has expired. May block to read the keys."""
    token = (authorization or "").removeprefix("Bearer ")
    try:
        if claimed_issuer(token) != google_sts:
            return False
    except TokenRefused:  # no JSON Web Token
        return False
    try:
        verify(token, issuer=google_sts, audience=AUDIENCE, now=datetime.now(UTC))
    except TokenRefused:
        return True
    return False
