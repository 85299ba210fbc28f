"""The handlers of a server."""

from unittest.mock import Mock

from convergence.auth.v1.quota_service_pb2_grpc import QuotaServiceServicer, add_QuotaServiceServicer_to_server

from services.platform.server import HandlersByName


def test_generated_code_adds_handlers_by_name_alone() -> None:
    server = Mock()
    add_QuotaServiceServicer_to_server(QuotaServiceServicer(), HandlersByName(server=server))  # type: ignore[abstract]
    [(name, [handlers], _)] = server.mock_calls
    assert (name, handlers[0].service_name()) == ("add_generic_rpc_handlers", "convergence.auth.v1.QuotaService")
