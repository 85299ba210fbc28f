"""Where a Cost Management export is: `account/container/directory/name`, as a template's parameter names it. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from services.executor.errors import StepError
from services.executor.sources.exported_months import end_of

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

    @property
    def prefix(self) -> str:
        """Of the names of all its blobs; ends with a slash."""
        return f"{self.directory}/{self.name}/" if self.directory else f"{self.name}/"

    @property
    def text(self) -> str:
        """As it is named in the parameter."""
        return f"{self.account}/{self.container}/{self.prefix}".rstrip("/")

    @property
    def source_id(self) -> str:
        """Of BillingFiles."""
        return f"AZURE/{self.text}"

    def prefix_of(self, month: date) -> str:
        """Of a billing period's blobs: `directory/name/YYYYMMDD-YYYYMMDD/`."""
        return f"{self.prefix}{month:%Y%m%d}-{end_of(month):%Y%m%d}/"


def read_location(parameters: Mapping[str, object], parameter: str) -> AzureLocation:
    """The location that a parameter names. Raises StepError, which says what is wrong with it."""
    value = parameters.get(parameter)
    account, _, rest = str(value or "").strip("/").partition("/")
    container, _, path = rest.partition("/")
    segments = path.split("/") if path else []
    problem = _problem(account, container, segments)
    if problem:
        raise StepError(
            f"{parameter} {problem}. Write it as account/container/directory/name, e.g. acmebilling/exports/finops/daily-focus: the "
            "storage account, the container, the directory (if there is one) and the export's name, as under Cost Management > Exports."
        )
    return AzureLocation(account=account, container=container, directory="/".join(segments[:-1]), name=segments[-1])


def _problem(account: str, container: str, segments: list[str]) -> str | None:
    if not _ACCOUNT.fullmatch(account):
        return "does not begin with a storage account's name (3 to 24 lower-case letters and digits)"
    if not _CONTAINER.fullmatch(container):
        return "has no container's name after the account's (3 to 63 lower-case letters, digits and single hyphens)"
    if not segments or not all(_SEGMENT.fullmatch(one) and one.strip(". ") for one in segments) or sum(map(len, segments)) > _MOST:
        return "does not end with an export's name"
    return None
