"""A call before it is sent: the same for the sync and the async client."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic

from convergence.rpc.credentials import Credentials
from convergence.rpc.errors import ConvergenceError
from convergence.rpc.method import Method, Req, Res
from convergence.rpc.options import Options, World
from convergence.rpc.refusals import error_of
from convergence.rpc.requests import request_of
from convergence.rpc.retry import Attempts


@dataclass(kw_only=True, slots=True)
class Prepared(Generic[Req]):
    """One call of a user's, over all of its attempts: the ids stay the same."""

    request: Req
    metadata: tuple[tuple[str, str], ...]
    """Without a bearer token."""
    takes_token: bool
    request_id: str
    attempts: Attempts
    renews_token: bool = False
    """Before the next attempt."""
    has_renewed: bool = False

    def remaining(self, now: float) -> float | None:
        """Seconds that an attempt may take; None: as long as it likes."""
        return None if self.attempts.deadline is None else max(self.attempts.deadline - now, 0.001)

    def renewal(self) -> bool:
        """Whether the token is to be got anew; asked once an attempt."""
        renews, self.renews_token = self.renews_token, False
        return renews

    def after(self, refused: Any, now: float, *, refreshable: bool) -> tuple[ConvergenceError, float | None]:
        """The error of a `grpc.RpcError`, and the seconds until the call is to be sent again; None: it is not. A refused token is replaced
        once, at once: a call that was not authenticated has done nothing.
        """
        error = error_of(refused, self.request_id)
        if error.reason == "TOKEN_INVALID" and self.takes_token and refreshable and not self.has_renewed:
            self.renews_token = self.has_renewed = True
            return error, 0.0
        return error, self.attempts.wait_after(error, now)


def prepare(
    method: Method[Req, Res],
    fields: Mapping[str, object],
    *,
    credentials: Credentials,
    options: Options,
    world: World,
    limits: tuple[float | None, str | None],
) -> Prepared[Req]:
    """`limits`: seconds for the whole call (None: as long as it likes), and the caller's Idempotency-Key, if any. Raises InvalidArgument
    and ConfigurationError before anything is sent.
    """
    timeout, idempotency_key = limits
    request_id = world.new_id()
    key = credentials.key_of(method.caller)
    metadata = [("x-request-id", request_id), *([key] if key else [])]
    if options.user_id:
        metadata.append(("x-user-id", options.user_id))
    if method.idempotency_key:
        metadata.append(("idempotency-key", idempotency_key or world.new_id()))
    return Prepared(
        request=request_of(method.request, fields, options.tenant_id),
        metadata=tuple(metadata),
        takes_token=credentials.takes_token(method.caller),
        request_id=request_id,
        attempts=Attempts(
            retry=options.retry,
            repeatable=method.repeatable,
            deadline=None if timeout is None else world.monotonic() + timeout,
            random=world.random,
        ),
    )


def resumed(request: Req, last_event_id: str) -> Req:
    """The request of a stream that goes on after an event."""
    if not last_event_id:
        return request
    again = type(request)()
    again.CopyFrom(request)
    again.last_event_id = last_event_id  # type: ignore[attr-defined]
    return again


def event_id(event: object) -> str:
    """The id of an event of a stream; empty: it has none, e.g. a keep-alive."""
    return str(getattr(event, "id", ""))
