"""Envoy's own answers, in the format of the services' errors."""

from dataclasses import dataclass

from services.platform.errors import DOMAIN


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """Envoy's answer when it refuses a call or gives up on it."""

    http: int
    """The HTTP status of the calls that it is for."""
    code: int
    """google.rpc.Code."""
    reason: str
    """`ErrorInfo.reason`."""
    message: str = "%LOCAL_REPLY_BODY%"
    """For people; by default Envoy's own text."""
    when: str = "true"
    """A CEL expression that tells it from others of the same status."""
    retry_after: int | None = None
    """Seconds."""
    is_identified: bool = True
    """The request has got an id: its headers could be read."""

    @property
    def details(self) -> list[dict[str, str]]:
        """As in `google.rpc.Status`."""
        info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": self.reason, "domain": DOMAIN}
        return [info, REQUEST_INFO] if self.is_identified else [info]


REQUEST_INFO = {"@type": "type.googleapis.com/google.rpc.RequestInfo", "request_id": "%REQ(X-REQUEST-ID)%"}

UNREACHABLE = "The service cannot be reached. Try again."
FULL = "response.code_details.contains('overload') || response.code_details.contains('overflow')"
"""For a full heap of Envoy, and for a service that has its share of calls."""

REFUSALS = (
    Refusal(http=400, code=3, reason="REQUEST_MALFORMED"),
    Refusal(http=401, code=16, reason="%DYNAMIC_METADATA(convergence:reason)%"),
    Refusal(http=403, code=7, reason="ORIGIN_NOT_ALLOWED", when="response.code_details == 'lua_response'"),
    Refusal(
        http=403,
        code=3,
        reason="REQUEST_MALFORMED",
        message="Connections are not upgraded (WebSocket). Send a plain request; GET ...:watch streams a run.",
    ),
    Refusal(http=404, code=5, reason="PATH_NOT_FOUND"),
    Refusal(http=405, code=12, reason="METHOD_NOT_ALLOWED"),
    Refusal(http=408, code=4, reason="REQUEST_TIMEOUT", message="The request did not arrive completely in time."),
    Refusal(
        http=413,
        code=3,
        reason="BODY_TOO_LARGE",
        message="The body is larger than 64 KiB (128 KiB where credentials are set), or than 16 KiB and without a Content-Length.",
    ),
    Refusal(
        http=415,
        code=3,
        reason="CONTENT_ENCODING_NOT_SUPPORTED",
        message="Compressed bodies are not read. Send the JSON as it is, without Content-Encoding.",
    ),
    Refusal(
        http=429, code=8, reason="RATE_LIMITED", message="Too many calls without a key, or large bodies. Wait as long as Retry-After says."
    ),
    Refusal(http=431, code=3, reason="HEADERS_TOO_LARGE", message="The headers are larger than 7 KiB.", is_identified=False),
    Refusal(
        http=501,
        code=12,
        reason="CONTENT_ENCODING_NOT_SUPPORTED",
        message="Of transfer encodings only chunked is read. Send the JSON as it is, with its length or chunked.",
        is_identified=False,
    ),
    Refusal(http=502, code=14, reason="SERVICE_UNAVAILABLE", message=UNREACHABLE, retry_after=2),
    Refusal(http=503, code=14, reason="GATEWAY_OVERLOADED", message="The gateway is at its limits. Try again.", when=FULL, retry_after=5),
    Refusal(http=503, code=14, reason="SERVICE_UNAVAILABLE", message=UNREACHABLE, retry_after=2),
    Refusal(
        http=504, code=4, reason="SERVICE_TIMEOUT", message="The service did not answer in time. What was asked for may have been done."
    ),
)
"""The first that fits is the answer."""
