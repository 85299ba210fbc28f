"""BigQuery's access rights, which the emulator does not know. No I/O.

From "BigQuery IAM roles and permissions", "Basic roles" and the REST reference of datasets (`access`): a role on a project holds for all
its datasets; bigquery.user lets an account make datasets, and do nothing in those of others. A dataset that is made without `access` has
its creator as OWNER (and the project's basic roles, which service accounts do not have); one that is made with `access` has exactly what
stands there.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.strict_bigquery.refused import access_denied

READER, WRITER, OWNER = 1, 2, 3
_ENTRY = {
    "READER": READER,
    "WRITER": WRITER,
    "OWNER": OWNER,
    "roles/bigquery.dataViewer": READER,
    "roles/bigquery.dataEditor": WRITER,
    "roles/bigquery.dataOwner": OWNER,
}
_ON_DATA = {"bigquery.dataViewer": READER, "bigquery.dataEditor": WRITER, "bigquery.dataOwner": OWNER, "bigquery.admin": OWNER}
"""What a role on a project gives in all its datasets."""
_PERMISSIONS = {
    "bigquery.datasets.create": {"bigquery.user", "bigquery.dataEditor", "bigquery.dataOwner", "bigquery.admin"},
    "bigquery.jobs.create": {"bigquery.user", "bigquery.jobUser", "bigquery.admin"},
}
_NEEDED = {READER: "bigquery.tables.getData", WRITER: "bigquery.tables.updateData", OWNER: "bigquery.datasets.update"}


@dataclass(kw_only=True)
class Iam:
    """Rights on projects as granted, and on datasets as created. Datasets whose creation it has not seen are not guarded: the emulator
    answers whether they exist.
    """

    roles: Mapping[str, Mapping[str, Iterable[str]]]
    """Account (its email) to project to roles, e.g. `{"executor@p.iam.gserviceaccount.com": {"p": {"bigquery.jobUser"}}}`."""
    creators: dict[str, str] = field(default_factory=dict)
    """`project.dataset` to the account that made it."""
    access: dict[str, dict[str, int]] = field(default_factory=dict)
    """`project.dataset` to account to READER, WRITER or OWNER."""
    tables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Account to `project.dataset.table` to its role there, as docs/google-cloud.md grants single tables."""

    def may_table(self, account: str, table: str, level: int) -> bool:
        """Whether the account has at least `level` in the table by a role on it alone."""
        return _ON_DATA.get(self.tables.get(account, {}).get(table, ""), 0) >= level

    def check_project(self, account: str, project: str, permission: str) -> None:
        """Raises Refused unless a role on the project gives the permission (bigquery.datasets.create or bigquery.jobs.create)."""
        if not _PERMISSIONS[permission] & set(self.roles.get(account, {}).get(project, ())):
            raise access_denied(f"Project {project}", permission)

    def check_data(self, account: str, dataset: str, level: int) -> None:
        """Raises Refused unless the account has at least `level` in `project.dataset`."""
        entries = self.access.get(dataset)
        if entries is None:
            return
        on_project = self.roles.get(account, {}).get(dataset.partition(".")[0], ())
        if max([entries.get(account, 0), *(_ON_DATA.get(role, 0) for role in on_project)]) < level:
            raise access_denied(f"Dataset {dataset.replace('.', ':')}", _NEEDED[level])

    def make(self, account: str, dataset: str, entries: Sequence[Mapping[str, Any]] | None) -> None:
        """`project.dataset` was made, with `access` as in the request; again changes nothing."""
        if dataset not in self.access:
            self.creators[dataset] = account
            self.access[dataset] = _levels(entries) if entries else {account: OWNER}

    def replace(self, dataset: str, entries: Sequence[Mapping[str, Any]]) -> None:
        """The dataset's access entries are these now."""
        self.access[dataset] = _levels(entries)

    def drop(self, dataset: str) -> None:
        """The dataset is gone."""
        self.access.pop(dataset, None)
        self.creators.pop(dataset, None)


def _levels(entries: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Of single accounts only: groups and basic roles have no members here."""
    levels: dict[str, int] = {}
    for entry in entries:
        account = entry.get("userByEmail") or str(entry.get("iamMember", "")).removeprefix("serviceAccount:")
        if account:
            levels[account] = max(levels.get(account, 0), _ENTRY.get(entry.get("role", ""), 0))
    return levels
