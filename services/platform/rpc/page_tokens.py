"""Page tokens as callers see them: what a servicer puts in, authenticated, and good for the same question of the same RPC only.

A servicer writes the position of the next page into `next_page_token`, and finds it in `page_token` (`paging`). Here it is signed on its
way out and verified on its way in, for every RPC that has these fields, so that no servicer ever reads a position that it has not written.
"""

import base64
import binascii
import hmac
import secrets
from collections.abc import Awaitable, Sequence
from hashlib import sha256
from typing import Any

from google.protobuf.message import Message

from services.platform.errors import InvalidArgument
from services.platform.rpc.calls import Call, Interceptor, Rpc, Step
from services.platform.settings import ServiceSettings

MAX_TOKEN = 512
"""Characters of a token; ours have fewer."""
MAC_BYTES = 16
KEY_BYTES = 32
TOKEN, NEXT, SIZE = "page_token", "next_page_token", "page_size"


class PageTokens:
    """Signs with the first of `keys` and verifies with all of them."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = tuple(keys)

    def seal(self, position: str, question: bytes) -> str:
        """The token of a position in the answer to a question: at most MAX_TOKEN characters, safe in a URL. Raises ValueError if the
        position is too long.
        """
        inner = position.encode()
        token = base64.urlsafe_b64encode(_mac(self._keys[0], inner, question) + inner).rstrip(b"=").decode()
        if len(token) > MAX_TOKEN:
            raise ValueError(f"a position of {len(inner)} bytes is too long for a page token")
        return token

    def open(self, token: str, question: bytes) -> str:
        """The position in it. Raises InvalidArgument for a token that is not ours, was altered, or belongs to another question."""
        sealed = _decoded(token)
        mac, inner = sealed[:MAC_BYTES], sealed[MAC_BYTES:]
        if not any(hmac.compare_digest(mac, _mac(key, inner, question)) for key in self._keys):
            raise InvalidArgument(
                TOKEN, "use next_page_token of the page before, unchanged, and ask the same question again; only page_size may differ."
            )
        return inner.decode()


def page_tokens(settings: ServiceSettings) -> Interceptor:
    """The interceptor that opens `page_token` of a request and seals `next_page_token` of its answer."""
    tokens = PageTokens(settings.keys_for("page tokens") or (secrets.token_bytes(KEY_BYTES),))

    def open_and_seal(rpc: Rpc, proceed: Step) -> Step:
        if rpc.method is None or NEXT not in rpc.method.output_type.fields_by_name:
            return proceed

        def opened(call: Call) -> Awaitable[Any]:
            question = question_of(rpc.path, call.request)
            request: Any = call.request
            if request.page_token:
                request.page_token = tokens.open(request.page_token, question)

            def seal(answer: Any) -> None:
                if answer.next_page_token:
                    answer.next_page_token = tokens.seal(answer.next_page_token, question)

            call.before_answer.append(seal)
            return proceed(call)

        return opened

    return open_and_seal


def question_of(path: str, request: Message) -> bytes:
    """What a token belongs to: the RPC, and all fields of the request (its tenant among them) but the page's."""
    asked = type(request)()
    asked.CopyFrom(request)
    for name in (TOKEN, SIZE):
        asked.ClearField(name)
    return sha256(path.encode() + b"\0" + asked.SerializeToString(deterministic=True)).digest()


def _mac(key: bytes, inner: bytes, question: bytes) -> bytes:
    return hmac.digest(key, question + inner, "sha256")[:MAC_BYTES]


def _decoded(token: str) -> bytes:
    """Empty if it is no token at all."""
    if len(token) > MAX_TOKEN:
        return b""
    try:
        return base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return b""
