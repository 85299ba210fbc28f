"""Whether a peer can be reached: a call that finds no connection waits for one for some seconds instead of failing at once. So peers may
be replaced, and a name may fail to resolve once, without a caller noticing.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import grpc

WAIT_SECONDS: Final = 3.0
"""How long calls wait in one outage. Those that come later fail at once: a peer that is away for long must not hold up its callers."""
FORGOTTEN_SECONDS: Final = 10.0
"""If no call has noticed an outage for this long, the next call that finds no connection begins a new outage."""


@dataclass(slots=True)
class Outage:
    """An outage of one peer. Pure: times are monotonic seconds, passed in."""

    began: float | None = None
    noticed: float = 0.0

    def seconds_left(self, now: float) -> float:
        """A call finds no connection: how long it may wait for one."""
        if self.began is None or now - self.noticed > FORGOTTEN_SECONDS:
            self.began = now
        self.noticed = now
        return max(0.0, self.began + WAIT_SECONDS - now)

    def end(self) -> None:
        """A call finds a connection."""
        self.began = None


class Reach:
    """Waits until the peer at the other end of `channel` can be reached. `on_lost` is called if it cannot be reached in time."""

    def __init__(self, channel: grpc.aio.Channel, on_lost: Callable[[], None]) -> None:
        self._channel, self._on_lost = channel, on_lost
        self._outage = Outage()

    async def wait(self, most: float) -> None:
        """Returns once there is a connection, or after at most `most` seconds: if there is no connection then, the call itself will say
        why.
        """
        if self._channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY:
            self._outage.end()
            return
        try:
            async with asyncio.timeout(min(most, self._outage.seconds_left(time.monotonic()))):
                await self._channel.channel_ready()
        except TimeoutError:
            self._on_lost()
