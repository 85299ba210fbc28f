"""IssuerService, for anyone: decode, call the domain, encode."""

from typing import Any, Final

import grpc
from convergence.credentials.v1 import issuer_service_pb2 as messages
from convergence.credentials.v1 import issuer_service_pb2_grpc

from services.credentials.issuer.issuer import TokenIssuer
from services.credentials.issuer.token import CLAIMS
from services.platform.errors import FailedPrecondition

type Context = grpc.aio.ServicerContext[Any, Any]

MAX_AGE_SECONDS: Final = 300
"""How long verifiers may keep the answers: much shorter than the overlap of two signing keys."""
_CACHED: Final = (("cache-control", f"public, max-age={MAX_AGE_SECONDS}"),)
_KEYS_PATH: Final = "/.well-known/jwks.json"


class IssuerServicer(issuer_service_pb2_grpc.IssuerServiceServicer):
    """IssuerService, as the proto describes it."""

    def __init__(self, issuer: TokenIssuer | None) -> None:
        self._issuer = issuer

    async def GetOpenIdConfiguration(
        self, request: messages.GetOpenIdConfigurationRequest, context: Context
    ) -> messages.GetOpenIdConfigurationResponse:
        """Raises FailedPrecondition (FEDERATION_OFF)."""
        issuer = required(self._issuer)
        await context.send_initial_metadata(_CACHED)
        return messages.GetOpenIdConfigurationResponse(
            issuer=issuer.url,
            jwks_uri=issuer.url + _KEYS_PATH,
            response_types_supported=["id_token"],
            subject_types_supported=["public"],
            id_token_signing_alg_values_supported=["RS256"],
            scopes_supported=["openid"],
            claims_supported=CLAIMS,
        )

    async def GetJsonWebKeySet(self, request: messages.GetJsonWebKeySetRequest, context: Context) -> messages.GetJsonWebKeySetResponse:
        """Raises FailedPrecondition (FEDERATION_OFF)."""
        published = await required(self._issuer).published()
        await context.send_initial_metadata(_CACHED)
        return messages.GetJsonWebKeySetResponse(keys=[messages.JsonWebKey(**key.jwk) for key in published])


def required(issuer: TokenIssuer | None) -> TokenIssuer:
    """Raises FailedPrecondition (FEDERATION_OFF) if there is none."""
    if issuer is None:
        raise FailedPrecondition(
            "FEDERATION_OFF",
            "This installation issues no identity tokens. Send a key, or ask its operator to set CONVERGENCE_ISSUER_URL and "
            "CONVERGENCE_TOKEN_SIGNING_KEY.",
        )
    return issuer
