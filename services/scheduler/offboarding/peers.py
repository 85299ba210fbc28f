"""The services that the scheduler calls."""

from dataclasses import dataclass

import grpc


@dataclass(frozen=True, kw_only=True, slots=True)
class Peers:
    """Channels to them."""

    auth: grpc.aio.Channel
    credentials: grpc.aio.Channel
    executor: grpc.aio.Channel
