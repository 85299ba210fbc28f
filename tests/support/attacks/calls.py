"""Requests to the real gateway: native gRPC in clear text, and REST as the protos bind it."""

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import grpc
import requests
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from tests.support.attacks.answers import Answer, from_error, from_response
from tests.support.attacks.rpcs import Rpc

SECONDS = 60.0
VARIABLE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Gateway:
    """Where both are spoken."""

    url: str
    channel: grpc.Channel
    sessions: threading.local = field(default_factory=threading.local)

    @property
    def session(self) -> requests.Session:
        """This thread's own: a new connection for each call would cost more than the call."""
        if not hasattr(self.sessions, "one"):
            self.sessions.one = requests.Session()
        session: requests.Session = self.sessions.one
        return session

    def native(self, path: str, raw: bytes, metadata: Mapping[str, str], *, streams: bool = False) -> Answer:
        """Sends the bytes as they are."""
        sent = tuple(metadata.items())
        try:
            if streams:
                stream = self.channel.unary_stream(path)(raw, metadata=sent, timeout=SECONDS)
                said = next(iter(stream), b"")
                stream.cancel()
            else:
                said = self.channel.unary_unary(path)(raw, metadata=sent, timeout=SECONDS)
        except grpc.RpcError as error:
            return from_error(error)
        return Answer(code="OK", reason="", said=said)

    def rest(self, rpc: Rpc, request: Message, headers: Mapping[str, str]) -> Answer:
        """As the RPC's binding says."""
        path, body = as_rest(rpc, request)
        return self.plain(rpc.verb, path, None if body is None else json.dumps(body).encode(), headers, streams=rpc.streams)

    def plain(self, verb: str, path: str, body: bytes | None, headers: Mapping[str, str], *, streams: bool = False) -> Answer:
        """Sends the path as it is, which requests would tidy up."""
        prepared = requests.Request(verb, self.url, data=body, headers={"content-type": "application/json", **headers}).prepare()
        prepared.url = self.url + path
        with self.session.send(prepared, timeout=SECONDS, stream=streams) as response:
            if streams and response.status_code == requests.codes.ok:
                return Answer(code="OK", reason="", said=next(response.iter_content(1 << 16), b""), http=response.status_code)
            return from_response(response)


def gateway_at(url: str) -> Gateway:
    """Connects when it is first asked."""
    return Gateway(url=url, channel=grpc.insecure_channel(urlsplit(url).netloc))


def as_rest(rpc: Rpc, request: Message) -> tuple[str, Any]:
    """Path with query, and body; None: there is none."""
    values: dict[str, Any] = MessageToDict(request, preserving_proto_field_name=True)
    path = VARIABLE.sub(lambda found: quote(str(values.pop(found[1], "")), safe=""), rpc.template)
    if rpc.body == "*":
        return path, values
    body = values.pop(rpc.body, {}) if rpc.body else None
    query = urlencode({name: _as_query(value) for name, value in values.items()}, doseq=True)
    return f"{path}?{query}" if query else path, body


def _as_query(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value
