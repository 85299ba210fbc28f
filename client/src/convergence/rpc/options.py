"""What may differ from call to call."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

from convergence.rpc.errors import ConfigurationError
from convergence.rpc.retry import Retry

MAX_USER_ID = 128


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Of a client, for all of its calls."""

    tenant_id: str = ""
    """The tenant of calls that name none."""
    user_id: str = ""
    """On whose behalf, for the records: sent as `x-user-id`."""
    timeout: float = 60.0
    """Seconds for a call, its retries and their waits included."""
    retry: Retry = field(default_factory=Retry)

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a user that cannot be sent."""
        if not (self.user_id.isascii() and self.user_id.isprintable()) or len(self.user_id) > MAX_USER_ID:
            raise ConfigurationError(f"user_id takes at most {MAX_USER_ID} printable ASCII characters.")


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """Time and chance, which tests replace. `sleep` is the sync client's; the async one has its own."""

    monotonic: Callable[[], float] = time.monotonic
    random: Callable[[], float] = random.random
    new_id: Callable[[], str] = lambda: str(uuid4())
