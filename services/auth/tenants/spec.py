"""A tenant, as provisioned by the subscription system: which values are accepted. Pure."""

import math
import re
import uuid
from dataclasses import dataclass

from services.platform.access.scopes import SCOPES
from services.platform.errors import FailedPrecondition, InvalidArgument
from services.platform.plan import PLAN_RANGES

STATUSES = ("ACTIVE", "INACTIVE", "SUSPENDED")
"""That a tenant can be given."""
OFFBOARDED = "OFFBOARDED"
SEARCH_LENGTH = 200
SUBSCRIPTION_STATUSES = ("ACTIVE", "TRIALING", "PAST_DUE", "SUSPENDED", "CANCELLED", "EXPIRED")
NAME_LENGTH = 200
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,189}")
_NAMESPACE = uuid.UUID("6f1d2a0e-4c1b-5f0e-9d1c-0c3b7a54e001")


@dataclass(frozen=True, kw_only=True, slots=True)
class TenantSpec:
    """The desired state of a tenant. Limits of runs and costs: None is unlimited."""

    tenant_id: str
    company_name: str
    admin_email: str
    status: str
    plan_name: str
    subscription_status: str
    daily_limit: int | None
    monthly_limit: int | None
    concurrent_limit: int | None
    monthly_cost_limit_usd: float | None = None
    max_priority: int | None = None
    """This and the limits below: None is the default of this installation, see `PlanLimits`."""
    max_schedules: int | None = None
    max_queued_runs: int | None = None
    max_watchers: int | None = None
    requests_per_minute: int | None = None
    max_export_bytes: int | None = None
    location: str | None = None
    """Desired: None leaves it as it is. Stored: None is the installation's."""

    @property
    def subscription_id(self) -> str:
        """The id of the subscription created for this tenant: derived, always the same."""
        return str(uuid.uuid5(_NAMESPACE, self.tenant_id))


def check_tenant(spec: TenantSpec) -> None:
    """Raises InvalidArgument for the first invalid field."""
    for field, text in (("company_name", spec.company_name), ("plan_name", spec.plan_name)):
        if not text.strip() or len(text) > NAME_LENGTH or not text.isprintable():
            raise InvalidArgument(field, f"use 1 to {NAME_LENGTH} printable characters.")
    if spec.admin_email and not _EMAIL.fullmatch(spec.admin_email):
        raise InvalidArgument("admin_email", "give one email address, or leave it out.")
    for field, word, words in (
        ("status", spec.status, STATUSES),
        ("subscription_status", spec.subscription_status, SUBSCRIPTION_STATUSES),
    ):
        if word not in words:
            raise InvalidArgument(field, f"use one of {', '.join(words)}.")
    limits = {"daily_limit": spec.daily_limit, "monthly_limit": spec.monthly_limit, "concurrent_limit": spec.concurrent_limit}
    for field, limit in limits.items():
        if limit is not None and limit < 0:
            raise InvalidArgument(field, "use 0 or more, or leave it out for unlimited.")
    if spec.monthly_cost_limit_usd is not None and not 0 < spec.monthly_cost_limit_usd < math.inf:
        raise InvalidArgument("monthly_cost_limit_usd", "use a number of US dollars, 0 or more; 0 means unlimited.")

    _check_plan(spec)


def _check_plan(spec: TenantSpec) -> None:
    for field, (least, most) in PLAN_RANGES.items():
        limit = getattr(spec, field)
        if limit is not None and not least <= limit <= most:
            raise InvalidArgument(field, f"use {least} to {most}, or leave it out for the default.")


def check_filter(status: str, search: str) -> None:
    """Raises InvalidArgument unless tenants can be listed by these; empty: all."""
    if status and status not in (*STATUSES, OFFBOARDED):
        raise InvalidArgument("status", f"use one of {', '.join((*STATUSES, OFFBOARDED))}, or leave it out for all.")
    if len(search) > SEARCH_LENGTH:
        raise InvalidArgument("search", f"use at most {SEARCH_LENGTH} characters of the tenant's id or of its company's name.")


def refuse_offboarded(tenant_id: str, status: str) -> None:
    """Raises FailedPrecondition for a tenant that nothing may change any more."""
    if status == OFFBOARDED:
        raise FailedPrecondition(
            "TENANT_OFFBOARDED",
            f"Tenant {tenant_id} was offboarded, which is final; nothing was changed. Provision the customer under another tenant_id.",
            metadata={"tenant_id": tenant_id},
        )


def check_scopes(scopes: tuple[str, ...]) -> None:
    """Raises InvalidArgument for an unknown scope."""
    for index, scope in enumerate(scopes):
        if scope not in SCOPES:
            raise InvalidArgument(f"scopes[{index}]", f"use some of {', '.join(SCOPES)}.")
