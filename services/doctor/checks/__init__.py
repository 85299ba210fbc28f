"""The checks, in the order in which they are done."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from services.doctor.checks import (
    account,
    admin_keys,
    certificates,
    control_tables,
    emulators,
    kms_key,
    peers,
    roles,
    service_settings,
    spool,
)
from services.doctor.finding import Finding
from services.doctor.world import World


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One check."""

    name: str
    look: Callable[[World], Awaitable[Sequence[Finding]]]
    """Asks and decides. Raises NotChecked if it cannot look."""


CHECKS = (
    Check(name="settings", look=service_settings.look),
    Check(name="admin-keys", look=admin_keys.look),
    Check(name="emulators", look=emulators.look),
    Check(name="account", look=account.look),
    Check(name="certificates", look=certificates.look),
    Check(name="peers", look=peers.look),
    Check(name="control-tables", look=control_tables.look),
    Check(name="roles", look=roles.look),
    Check(name="kms-key", look=kms_key.look),
    Check(name="spool", look=spool.look),
)
