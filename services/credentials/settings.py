"""Credentials' own settings, besides those that all services share."""

from typing import Annotated

from pydantic import StringConstraints

from services.platform.settings import ServiceSettings

Account = Annotated[str, StringConstraints(pattern=r"^[^@\s:]+@[^@\s:]+$")]


class CredentialsSettings(ServiceSettings):
    """Lists are JSON, e.g. `["executor@p.iam.gserviceaccount.com"]`."""

    dataset_writers: tuple[Account, ...] = ()
    """Service accounts that get WRITER in each tenant's dataset: the executor's. By itself a new dataset is its creator's alone."""
    dataset_owners: tuple[Account, ...] = ()
    """Service accounts that get OWNER there: this service's own, and its successor's before they change places."""
