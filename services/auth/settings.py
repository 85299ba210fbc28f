"""Auth's own settings, besides those that all services share."""

from pydantic import Field

from services.platform.settings import ServiceSettings


class AuthSettings(ServiceSettings):
    """Times are in seconds."""

    listen: str = "0.0.0.0:50051"
    settle_gather_seconds: float = Field(default=4.0, ge=0, le=30)
    """How long the ends of runs gather before one statement writes them to the ledger. The first after a quiet time does not wait."""
