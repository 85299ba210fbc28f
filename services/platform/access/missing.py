"""The error of a call without any credential. The services and the gateway give the same one; the gateway refuses such calls before it
reads their bodies.
"""

from convergence.access.v1 import access_pb2

from services.platform.errors import Unauthenticated


def missing_api_key() -> Unauthenticated:
    """For an RPC of tenants."""
    return Unauthenticated("API_KEY_MISSING", "Send the tenant's API key in X-API-Key, or a session token in Authorization: Bearer.")


def missing_admin_key(role: str) -> Unauthenticated:
    """For an RPC of operators that have this role."""
    return Unauthenticated("ADMIN_KEY_MISSING", f"Send an admin key of role {role} in X-Admin-Key, or a token in Authorization: Bearer.")


def missing_credential(rule: access_pb2.Allow) -> Unauthenticated | None:
    """The refusal of a call without any credential; None if the RPC is open to anyone."""
    match rule.WhichOneof("caller"):
        case "tenant":
            return missing_api_key()
        case "admin":
            return missing_admin_key(rule.admin.role)
        case _:
            return None
