"""Whose credentials are taken: clouds, and where notifications of runs go."""

from enum import StrEnum

from services.platform.errors import InvalidArgument


class Provider(StrEnum):
    """As stored: upper-case."""

    GCP = "GCP"
    AWS = "AWS"
    AZURE = "AZURE"
    SLACK = "SLACK"
    WEBHOOK = "WEBHOOK"


def to_provider(text: str) -> Provider:
    """The provider that a caller names, in either case. Raises InvalidArgument for any other."""
    try:
        return Provider(text.upper())
    except ValueError:
        raise InvalidArgument("provider", f"must be {', '.join(Provider)}, in either case.") from None
