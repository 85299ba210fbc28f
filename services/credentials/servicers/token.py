"""TokenService, for the executor: decode, call the domain, encode."""

from typing import Any

import grpc
from convergence.credentials.v1 import token_service_pb2, token_service_pb2_grpc

from services.clouds.audiences import is_audience
from services.clouds.probes import probe_subjects
from services.credentials.issuer.issuer import TokenIssuer
from services.credentials.providers import to_provider
from services.credentials.servicers.issuer import required
from services.credentials.servicers.sealed_credential import require_sealed
from services.credentials.store import CredentialStore
from services.platform.errors import FailedPrecondition, InvalidArgument
from services.platform.timestamps import to_timestamp

type Context = grpc.aio.ServicerContext[Any, Any]


class TokenServicer(token_service_pb2_grpc.TokenServiceServicer):
    """TokenService, as the proto describes it."""

    def __init__(self, store: CredentialStore, issuer: TokenIssuer | None) -> None:
        self._store = store
        self._issuer = issuer

    async def MintToken(self, request: token_service_pb2.MintTokenRequest, context: Context) -> token_service_pb2.MintTokenResponse:
        """Raises InvalidArgument, FailedPrecondition."""
        provider, issuer = to_provider(request.provider), required(self._issuer)
        audience = (await require_sealed(self._store, request.tenant_id, provider)).token_audience
        # What is stored was checked; a row that was written by other means still gets no token for just any audience.
        if audience is None or not is_audience(provider, audience):
            raise FailedPrecondition(
                "CREDENTIALS_NOT_FEDERATED",
                f"The {provider} credentials hold a key. Identity tokens are for credentials without one.",
                metadata={"tenant_id": request.tenant_id, "provider": provider},
            )
        token = await issuer.mint(subject=_subject(request), audience=audience)
        return token_service_pb2.MintTokenResponse(token=token.token, audience=token.audience, expires_at=to_timestamp(token.expires_at))


def _subject(request: token_service_pb2.MintTokenRequest) -> str:
    """The tenant, or a probe. Raises InvalidArgument."""
    subjects = (request.tenant_id, *probe_subjects(request.tenant_id))
    if request.probe >= len(subjects):
        raise InvalidArgument("probe", f"must be at most {len(subjects) - 1}.")
    return subjects[request.probe]
