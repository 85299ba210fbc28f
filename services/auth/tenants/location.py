"""Where a tenant's data are: which locations it may be given, and until when its location can change.

Data never move. So a tenant's location can change until its dataset is made. Just before that, the credentials service fixes the location
(`fix_location`), and every later change is refused. If the dataset could not be made, the location can change again, once the call that
fixed it can no longer be running. A dataset may be older than this rule, so before a change it is checked whether there is one.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.errors import Forbidden, NotFound
from services.platform.bigquery.jobs import NO_RETRY
from services.platform.errors import FailedPrecondition, InvalidArgument
from services.platform.identifiers import location_name

if TYPE_CHECKING:
    from services.auth.tenants.store import StoredTenant

MADE_WITHIN = timedelta(minutes=5)
"""This long after its location was fixed, the dataset exists, or the call that fixed it makes none any more: the gateway ends it after a
minute.
"""


def check_location(given: str, allowed: Sequence[str]) -> str | None:
    """A location as BigQuery writes it; None if none is given. Raises InvalidArgument for one that this installation does not offer."""
    if not given:
        return None
    try:
        name = location_name(given)
    except ValueError:
        name = ""
    if name not in allowed:
        offered = ", ".join(sorted(allowed))
        raise InvalidArgument(
            "location", f"use one of {offered}, or leave it out. This service's operator adds others (CONVERGENCE_TENANT_LOCATIONS)."
        )
    return name


def refuse_move(tenant_id: str, there: str, wanted: str) -> None:
    """Raises FailedPrecondition unless the location that is fixed is the one that is wanted."""
    if there != wanted:
        raise FailedPrecondition(
            "LOCATION_FIXED",
            f"The dataset of tenant {tenant_id} is in {there}, and data never move; nothing was changed. Leave location out, or send "
            f"{there}. To have the data in {wanted}, provision the customer under another tenant_id there, and offboard this one.",
            metadata={"tenant_id": tenant_id, "location": there},
        )


class TenantLocations:
    """The locations of this installation's tenants."""

    def __init__(self, bq: BigQuery, *, allowed: Sequence[str]) -> None:
        """`allowed`: the installation's own location comes first. It is the location of a tenant that was given none."""
        self._bq, self._allowed = bq, allowed

    @property
    def usual(self) -> str:
        """The installation's own."""
        return self._allowed[0]

    def check(self, given: str) -> str | None:
        """As `check_location`."""
        return check_location(given, self._allowed)

    async def require_free(self, tenant: "StoredTenant | None", wanted: str, now: datetime) -> datetime | None:
        """Returns a time: a location that was fixed before it holds no dataset. None: this was not checked.

        Raises FailedPrecondition (LOCATION_FIXED) if the tenant's dataset is elsewhere than `wanted`, or may be; Unavailable.
        """
        if tenant is None or (tenant.located_at is not None and wanted == tenant.location):
            return None
        if (there := await self._look(tenant.tenant_id)) is not None:
            refuse_move(tenant.tenant_id, there, wanted)
        unmade_before = now - MADE_WITHIN
        if tenant.located_at is not None and tenant.located_at >= unmade_before:
            raise FailedPrecondition(
                "LOCATION_FIXED",
                f"Credentials of tenant {tenant.tenant_id} were sent a moment ago, and its dataset may be made in {tenant.location} now; "
                f"nothing was changed. If there is no dataset in {MADE_WITHIN.seconds // 60} minutes, send this again.",
                metadata={"tenant_id": tenant.tenant_id, "location": tenant.location or self.usual},
            )
        return unmade_before

    async def _look(self, tenant_id: str) -> str | None:
        """Where the tenant's dataset is; None: there is none."""
        name = self._bq.tenant(tenant_id)
        try:
            there = await self._bq.call("get_dataset", lambda left: self._bq.client.get_dataset(name, timeout=left, retry=NO_RETRY))
        except NotFound:
            return None
        except Forbidden as error:
            raise FailedPrecondition(
                "LOCATION_FIXED",
                f"It could not be seen whether tenant {tenant_id} has a dataset already, so neither its location nor anything else was "
                "changed. This service's operator grants auth roles/bigquery.metadataViewer on the project of the tenants' datasets.",
                metadata={"tenant_id": tenant_id},
            ) from error
        return str(there.location)
