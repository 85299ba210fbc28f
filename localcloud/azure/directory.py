"""The directories of the local Azure: applications with their credentials and roles. In one file readable only by its owner."""

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from localcloud.files import write_private

type Role = Literal["Storage Blob Data Reader", "Storage Blob Data Contributor"]


class ClientSecret(BaseModel, frozen=True):
    """A secret of an application."""

    value: str = Field(repr=False)
    expires_at: datetime | None = None
    """None: never."""


class FederatedCredential(BaseModel, frozen=True):
    """The issuer, subject and audience of tokens that an application trusts. All three must match exactly."""

    issuer: str
    subject: str
    audience: str


class RoleAssignment(BaseModel, frozen=True):
    """A role of an application in a container."""

    account: str
    container: str | None = None
    """None: the whole account."""
    role: Role


class EntraApplication(BaseModel, frozen=True):
    """An application, with its service principal in the directory it is registered in."""

    directory_id: str
    client_id: str
    enabled: bool = True
    secrets: tuple[ClientSecret, ...] = ()
    federated: tuple[FederatedCredential, ...] = ()
    roles: tuple[RoleAssignment, ...] = ()


class StorageAccount(BaseModel, frozen=True):
    """A storage account."""

    name: str
    directory_id: str
    """The directory of its subscription: other directories' tokens are refused."""
    firewall: bool = False
    """True: closed to all networks."""


class Seed(BaseModel, frozen=True):
    """What the administrative endpoint takes: applications and accounts, each of which replaces the one of its name."""

    directories: tuple[str, ...] = ()
    """Directories without any application."""
    applications: tuple[EntraApplication, ...] = ()
    accounts: tuple[StorageAccount, ...] = ()


class EntraDirectories:
    """All directories. Thread-safe; every change is on disk before the call returns."""

    def __init__(self, path: Path) -> None:
        """Reads the file if it exists. Raises ValueError if it is none of ours."""
        self._path = path
        self._lock = threading.Lock()
        self._known = Seed.model_validate_json(path.read_text()) if path.exists() else Seed()

    def seed(self, seed: Seed) -> None:
        """Adds or replaces."""
        with self._lock:
            applications = {(one.directory_id, one.client_id): one for one in (*self._known.applications, *seed.applications)}
            accounts = {one.name: one for one in (*self._known.accounts, *seed.accounts)}
            self._known = Seed(
                directories=tuple(sorted({*self._known.directories, *seed.directories})),
                applications=tuple(applications.values()),
                accounts=tuple(accounts.values()),
            )
            write_private(self._path, self._known.model_dump_json(indent=1))

    def has_directory(self, directory_id: str) -> bool:
        """Whether there is such a directory."""
        known = self._known
        applications, accounts = ({one.directory_id for one in known.applications}, {one.directory_id for one in known.accounts})
        return directory_id in {*known.directories, *applications, *accounts}

    def application(self, directory_id: str, client_id: str) -> EntraApplication | None:
        """The application, if the directory has it."""
        return next((one for one in self._known.applications if (one.directory_id, one.client_id) == (directory_id, client_id)), None)

    def account(self, name: str) -> StorageAccount | None:
        """The storage account, if there is one."""
        return next((one for one in self._known.accounts if one.name == name), None)

    def may(self, directory_id: str, client_id: str, account: str, container: str, *, write: bool) -> bool:
        """Whether a role of the application allows it."""
        application = self.application(directory_id, client_id)
        return application is not None and any(
            one.account == account and one.container in {None, container} and (not write or one.role == "Storage Blob Data Contributor")
            for one in application.roles
        )


def is_over(secret: ClientSecret, now: datetime) -> bool:
    """Whether a secret has expired."""
    return secret.expires_at is not None and secret.expires_at.astimezone(UTC) <= now
