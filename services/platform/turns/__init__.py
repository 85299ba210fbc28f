"""Places that tenants take in turn (`places`), and for which tenant the current task works."""

from contextvars import ContextVar
from typing import Final

ALL: Final = ""
"""The suite's own work, runs among it, and what many callers share: a statement for a whole batch, a lease."""

on_behalf_of: ContextVar[str] = ContextVar("on_behalf_of", default=ALL)
"""The tenant whose call the current task answers."""
