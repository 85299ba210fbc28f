"""Which accounts have rights in a tenant's dataset. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from google.cloud.bigquery import AccessEntry

_LEVEL = {
    "READER": 1,
    "WRITER": 2,
    "OWNER": 3,
    "roles/bigquery.dataViewer": 1,
    "roles/bigquery.dataEditor": 2,
    "roles/bigquery.dataOwner": 3,
}
"""The REST API's names of the dataset's basic roles, in both spellings."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetAccess:
    """The accounts (e-mail addresses) that get rights in every tenant's dataset."""

    writers: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()

    def lacking(self, entries: Iterable[AccessEntry]) -> tuple[AccessEntry, ...]:
        """The entries to add to a dataset's. An account with more rights needs none; no entry is ever removed."""
        levels: dict[str, int] = {}
        for entry in entries:
            if entry.entity_type == "userByEmail":
                account = str(entry.entity_id).lower()
                levels[account] = max(levels.get(account, 0), _LEVEL.get(entry.role or "", 0))
        wanted = {**dict.fromkeys(self.writers, "WRITER"), **dict.fromkeys(self.owners, "OWNER")}
        return tuple(
            AccessEntry(role=role, entity_type="userByEmail", entity_id=account)
            for account, role in wanted.items()
            if levels.get(account.lower(), 0) < _LEVEL[role]
        )
