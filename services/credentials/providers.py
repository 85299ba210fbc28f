"""The providers whose credentials are accepted: clouds, and targets of notifications."""

from enum import StrEnum

from services.platform.errors import InvalidArgument


class Provider(StrEnum):
    """In upper case, as stored."""

    GCP = "GCP"
    AWS = "AWS"
    AZURE = "AZURE"
    SLACK = "SLACK"
    WEBHOOK = "WEBHOOK"


def to_provider(text: str) -> Provider:
    """The provider of this name, in either case. Raises InvalidArgument for any other."""
    try:
        return Provider(text.upper())
    except ValueError:
        raise InvalidArgument("provider", f"must be {', '.join(Provider)}, in either case.") from None
