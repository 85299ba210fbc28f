"""TrustService: decode, call the domain, encode."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import grpc
from convergence.credentials.v1 import trust_service_pb2 as messages
from convergence.credentials.v1 import trust_service_pb2_grpc
from google.protobuf.struct_pb2 import Struct

from services.credentials.issuer.issuer import TokenIssuer
from services.credentials.providers import Provider, to_provider
from services.credentials.servicers.issuer import required
from services.credentials.trust.aws import aws_guide
from services.credentials.trust.azure import azure_guide
from services.credentials.trust.gcp import gcp_guide
from services.credentials.trust.guide import Trusted, TrustGuide, body

type Context = grpc.aio.ServicerContext[Any, Any]

GUIDES: Final[Mapping[Provider, Callable[[Trusted, Mapping[str, str]], TrustGuide]]] = {
    Provider.AWS: aws_guide,
    Provider.AZURE: azure_guide,
    Provider.GCP: gcp_guide,
}


class TrustServicer(trust_service_pb2_grpc.TrustServiceServicer):
    """TrustService, as the proto describes it."""

    def __init__(self, issuer: TokenIssuer | None) -> None:
        self._issuer = issuer

    async def GetTrust(self, request: messages.GetTrustRequest, context: Context) -> messages.GetTrustResponse:
        """Raises InvalidArgument, FailedPrecondition (FEDERATION_OFF)."""
        provider = to_provider(request.provider, GUIDES)
        trusted = Trusted(issuer=required(self._issuer).url, subject=request.tenant_id)
        facts = {field.name: str(value) for field, value in request.ListFields() if field.name not in {"tenant_id", "provider"}}
        guide = GUIDES[provider](trusted, facts)
        credentials = Struct()
        credentials.update(body(provider, guide.credentials))
        return messages.GetTrustResponse(
            tenant_id=request.tenant_id,
            provider=provider,
            issuer=trusted.issuer,
            subject=trusted.subject,
            audience=guide.audience,
            files=[messages.TrustFile(name=file.name, text=file.text) for file in guide.files],
            commands=[messages.TrustCommand(purpose=one.purpose, command=one.line) for one in guide.commands],
            placeholders=guide.placeholders,
            credentials=credentials,
        )
