"""Auth's own settings, besides those that all services share."""

from pydantic import Field

from services.platform.settings import ServiceSettings


class AuthSettings(ServiceSettings):
    """Times are in seconds."""

    listen: str = "0.0.0.0:50051"
    key_usage_seconds: float = Field(default=60.0, gt=0)
    """How often it is written down when keys were last used."""
    reserve_gather_seconds: float = Field(default=1.0, ge=0, le=10)
    """How far apart batches of reservations begin at least: a table takes 2.5 statements a second from all processes together. The first
    after a quiet time does not wait."""
    settle_gather_seconds: float = Field(default=10.0, ge=0, le=30)
    """How long the ends of runs gather before one statement writes them to the ledger: as long as a caller who found no slot free is told
    to wait. The first after a quiet time does not wait."""
