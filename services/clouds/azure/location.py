"""Where a Cost Management export is: `account/container/directory/name`. Pure."""

import re
from dataclasses import dataclass
from typing import Final, Self

from services.clouds.access import AccessRefused

_ACCOUNT: Final = re.compile(r"[a-z0-9]{3,24}")
"""A storage account's name becomes part of a host's name ("Storage account overview")."""
_CONTAINER: Final = re.compile(r"(?=.{3,63}\Z)[a-z0-9]+(?:-[a-z0-9]+)*")
""" "Naming and Referencing Containers, Blobs, and Metadata"."""
_SEGMENT: Final = re.compile(r"[^\x00-\x1f\x7f/\\?#%]{1,256}")
"""Of a directory, and an export's name."""
_MOST: Final = 1024
"""Characters of a blob's name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AzureLocation:
    """The place of one export in Blob Storage."""

    account: str
    container: str
    directory: str
    """Without slashes around it; may have several segments, or be empty."""
    name: str
    """The export's."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `account/container/directory/name`. Raises AccessRefused, which says what is wrong with it."""
        account, _, rest = text.strip("/").partition("/")
        container, _, path = rest.partition("/")
        segments = path.split("/") if path else []
        if problem := _problem(account, container, segments):
            raise AccessRefused(
                f"The location of the export {problem}. Write it as account/container/directory/name, e.g. "
                "acmebilling/exports/finops/daily-focus: the storage account, the container, the directory (if there is one) and the name "
                "of the export, as under Cost Management > Exports."
            )
        return cls(account=account, container=container, directory="/".join(segments[:-1]), name=segments[-1])

    @property
    def prefix(self) -> str:
        """Of the names of all its blobs; ends with a slash."""
        return f"{self.directory}/{self.name}/" if self.directory else f"{self.name}/"

    def __str__(self) -> str:
        return f"{self.account}/{self.container}/{self.prefix}".rstrip("/")


def _problem(account: str, container: str, segments: list[str]) -> str | None:
    if not _ACCOUNT.fullmatch(account):
        return "does not begin with a storage account's name (3 to 24 lower-case letters and digits)"
    if not _CONTAINER.fullmatch(container):
        return "has no container's name after the account's (3 to 63 lower-case letters, digits and single hyphens)"
    if not segments or not all(_SEGMENT.fullmatch(one) and one.strip(". ") for one in segments) or sum(map(len, segments)) > _MOST:
        return "does not end with an export's name"
    return None
