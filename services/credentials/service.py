"""Wires credentials: its parts and its proto services."""

from convergence.credentials.v1 import (
    access_check_service_pb2_grpc,
    credential_service_pb2_grpc,
    delivery_service_pb2_grpc,
    destruction_service_pb2_grpc,
    issuer_service_pb2_grpc,
    sealed_credential_service_pb2_grpc,
    token_service_pb2_grpc,
    trust_service_pb2_grpc,
)

from services.clouds.access import CloudEndpoints
from services.clouds.check_pool import CheckPool
from services.clouds.own_resources import OwnResources
from services.credentials.dataset_access import DatasetAccess
from services.credentials.datasets import Locations, TenantDatasets
from services.credentials.exports.process import DatasetExports
from services.credentials.issuer.issuer import TokenIssuer
from services.credentials.payloads import PayloadRules
from services.credentials.payloads.target_rules import TargetRules
from services.credentials.servicers.access_check import AccessCheckServicer
from services.credentials.servicers.credential import CredentialServicer
from services.credentials.servicers.delivery import DeliveryServicer
from services.credentials.servicers.destruction import DestructionServicer
from services.credentials.servicers.issuer import IssuerServicer
from services.credentials.servicers.sealed_credential import SealedCredentialServicer
from services.credentials.servicers.token import TokenServicer
from services.credentials.servicers.trust import TrustServicer
from services.credentials.set_credentials import CredentialChanges
from services.credentials.settings import CredentialsSettings
from services.credentials.store import CredentialStore
from services.credentials.validate import CredentialValidator
from services.platform.bigquery.client import BigQuery
from services.platform.clock import Clock
from services.platform.kms.client import Kms
from services.platform.kms.signer import KmsSigner
from services.platform.server import Served


def served(  # noqa: PLR0913 - what it stands on
    settings: CredentialsSettings,
    *,
    bq: BigQuery,
    kms: Kms,
    locations: Locations,
    signer: KmsSigner | None,
    checks: CheckPool,
    clock: Clock,
) -> list[Served]:
    """The servicers, ready for `serve`. `signer`: None where no identity tokens are issued."""
    store = CredentialStore(bq)
    access = DatasetAccess(writers=settings.dataset_writers, owners=settings.dataset_owners)
    datasets = TenantDatasets(bq, locations=locations, ddl=settings.configs_dir / "bigquery" / "tenant", access=access)
    issuer = (
        TokenIssuer(signer, url=settings.issuer_url, overlap=settings.token_key_overlap, clock=clock)
        if signer and settings.issuer_url
        else None
    )
    changes = CredentialChanges(store, datasets, kms, clock)
    return [
        Served(
            name="convergence.credentials.v1.CredentialService",
            add=credential_service_pb2_grpc.add_CredentialServiceServicer_to_server,
            servicer=CredentialServicer(
                changes,
                store,
                issuer,
                CredentialValidator(checks, CloudEndpoints.of(settings), issuer),
                PayloadRules(own=OwnResources.of(settings), targets=TargetRules.of(settings)),
                clock,
            ),
        ),
        Served(
            name="convergence.credentials.v1.DestructionService",
            add=destruction_service_pb2_grpc.add_DestructionServiceServicer_to_server,
            servicer=DestructionServicer(changes, DatasetExports(bq, datasets)),
        ),
        Served(
            name="convergence.credentials.v1.SealedCredentialService",
            add=sealed_credential_service_pb2_grpc.add_SealedCredentialServiceServicer_to_server,
            servicer=SealedCredentialServicer(store),
        ),
        Served(
            name="convergence.credentials.v1.AccessCheckService",
            add=access_check_service_pb2_grpc.add_AccessCheckServiceServicer_to_server,
            servicer=AccessCheckServicer(store),
        ),
        Served(
            name="convergence.credentials.v1.DeliveryService",
            add=delivery_service_pb2_grpc.add_DeliveryServiceServicer_to_server,
            servicer=DeliveryServicer(store),
        ),
        Served(
            name="convergence.credentials.v1.TokenService",
            add=token_service_pb2_grpc.add_TokenServiceServicer_to_server,
            servicer=TokenServicer(store, issuer),
        ),
        Served(
            name="convergence.credentials.v1.IssuerService",
            add=issuer_service_pb2_grpc.add_IssuerServiceServicer_to_server,
            servicer=IssuerServicer(issuer),
        ),
        Served(
            name="convergence.credentials.v1.TrustService",
            add=trust_service_pb2_grpc.add_TrustServiceServicer_to_server,
            servicer=TrustServicer(issuer),
        ),
    ]
