"""What an RPC is, as the generated classes declare it."""

from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from google.protobuf.message import Message

Req = TypeVar("Req", bound=Message)
Res = TypeVar("Res", bound=Message)


class Caller(Enum):
    """Whose credential a call takes."""

    TENANT = "an API key"
    ADMIN = "an admin key"
    ANYONE = "no key"


# Without slots: typing sets an attribute on what `Method[Req, Res](...)` makes, and frozen with slots raises TypeError before Python 3.13.
@dataclass(frozen=True, kw_only=True)
class Method(Generic[Req, Res]):
    """One RPC. `path` is as gRPC has it, `/package.Service/Rpc`."""

    path: str
    request: type[Req]
    response: type[Res]
    caller: Caller
    repeatable: bool
    """Safe to send again after a lost answer; where there is an Idempotency-Key, with the same one."""
    idempotency_key: bool
    """The client makes an Idempotency-Key, if it is given none, and keeps it over its retries."""
