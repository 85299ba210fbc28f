"""The providers whose credentials are accepted: clouds, and targets of notifications."""

from collections.abc import Collection
from enum import StrEnum

from services.platform.errors import InvalidArgument


class Provider(StrEnum):
    """In upper case, as stored."""

    GCP = "GCP"
    AWS = "AWS"
    AZURE = "AZURE"
    SLACK = "SLACK"
    WEBHOOK = "WEBHOOK"


def to_provider(text: str, among: Collection[Provider] = tuple(Provider)) -> Provider:
    """The provider of this name, in either case. Raises InvalidArgument for any that is not `among` these."""
    provider = next((one for one in among if one == text.upper()), None)
    if provider is None:
        raise InvalidArgument("provider", f"must be {', '.join(among)}, in either case.")
    return provider
