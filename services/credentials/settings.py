"""The settings of credentials, in addition to those of all services."""

from typing import Annotated

from pydantic import StringConstraints

from services.platform.settings import ServiceSettings

Account = Annotated[str, StringConstraints(pattern=r"^[^@\s:]+@[^@\s:]+$")]


class CredentialsSettings(ServiceSettings):
    """Lists are JSON, e.g. `["executor@p.iam.gserviceaccount.com"]`."""

    dataset_writers: tuple[Account, ...] = ()
    """Service accounts that get WRITER in each tenant's dataset: the executor's. A new dataset is open to its creator only."""
    dataset_owners: tuple[Account, ...] = ()
    """Service accounts that get OWNER there: this service's own, and its successor's before a change of accounts."""
