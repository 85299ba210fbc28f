"""A tenant's Google Cloud behind two proxies, one for REST and one for the Storage Read API: they measure what is read of the export, and
refuse the service account when they are asked to.
"""

import operator
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import grpc
from google.cloud.bigquery_storage_v1 import types

from tests.support.strict_bigquery import StrictBigQuery, strict_bigquery
from tests.support.strict_bigquery.refused import access_denied

_PARTITIONS = re.compile(r"_PARTITIONTIME\s*(?P<is>>=|>|<=|<|=)\s*TIMESTAMP\s*\(?\s*'(?P<day>\d{4}-\d\d-\d\d)[^']*'\)?")
_COMPARE = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt, "=": operator.eq}
BYTES = 8
"""Of a value, as the emulator reckons: it has no better number, for all columns alike."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Read:
    """A read session that was read."""

    columns: int
    rows: int
    """After the filter: what the emulator estimates."""
    restriction: str

    @property
    def size(self) -> int:
        """The emulator's estimate in bytes."""
        return self.rows * self.columns * BYTES

    def scanned(self, by_partition: Counter[date]) -> int:
        """At most so many bytes, if the filter saves nothing within a partition. `by_partition`: the table's rows by day of arrival."""
        rows = sum(count for day, count in by_partition.items() if self._covers(day))
        return rows * self.columns * BYTES

    def _covers(self, partition: date) -> bool:
        """By the bounds in the filter."""
        bounds = [(_COMPARE[bound["is"]], date.fromisoformat(bound["day"])) for bound in _PARTITIONS.finditer(self.restriction)]
        return all(compare(partition, day) for compare, day in bounds)


@dataclass(kw_only=True)
class MeteredCloud(StrictBigQuery):
    """Both proxies; `url` and `storage` are the addresses for the settings of a source."""

    storage_upstream: str
    """host:port of the emulator's Storage Read API."""
    refuses: bool = False
    """True: Google answers each call with 403."""
    storage: str = ""
    reads: list[Read] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    """The query jobs that the tenant's project ran."""

    @contextmanager
    def statement(self, sql: str, dataset: str) -> Iterator[None]:
        """Around each request over REST; `sql` is empty for what is no query."""
        if self.refuses:
            raise access_denied("Dataset costs", "bigquery.tables.get")
        if sql:
            self.queries.append(sql)
        with super().statement(sql, dataset):
            yield


@contextmanager
def metered_cloud(cloud: MeteredCloud) -> Iterator[MeteredCloud]:
    """Both proxies on free ports of loopback."""
    with (
        strict_bigquery(cloud),
        grpc.insecure_channel(cloud.storage_upstream, options=[("grpc.max_receive_message_length", -1)]) as channel,
    ):
        server = grpc.server(ThreadPoolExecutor(8))
        server.add_generic_rpc_handlers((_Forwarding(cloud, channel),))
        cloud.storage = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        yield cloud
        server.stop(None).wait()


class _Forwarding(grpc.GenericRpcHandler):  # type: ignore[misc]  # untyped upstream
    """Passes each call on, as bytes."""

    def __init__(self, cloud: MeteredCloud, channel: grpc.Channel) -> None:
        self._cloud, self._channel = cloud, channel
        self._sessions = dict[str, types.ReadSession]()

    def service(self, handler_call_details: Any) -> Any:
        """The handler of a method."""
        method = handler_call_details.method
        if method.endswith("/CreateReadSession"):
            return grpc.unary_unary_rpc_method_handler(lambda request, context: self._create(method, request, context))
        return grpc.unary_stream_rpc_method_handler(lambda request, context: self._read(method, request, context))

    def _create(self, method: str, request: bytes, context: Any) -> bytes:
        self._refuse(context)
        answer: bytes = self._channel.unary_unary(method)(request, metadata=_caller(context))
        session = types.ReadSession.deserialize(answer)
        self._sessions |= {stream.name: session for stream in session.streams}
        return answer

    def _read(self, method: str, request: bytes, context: Any) -> Iterator[bytes]:
        self._refuse(context)
        session = self._sessions.pop(types.ReadRowsRequest.deserialize(request).read_stream, None)
        if session is not None:
            rows = session.estimated_row_count
            columns = session.estimated_total_bytes_scanned // (BYTES * rows) if rows else 0
            self._cloud.reads.append(Read(columns=columns, rows=rows, restriction=session.read_options.row_restriction))
        yield from self._channel.unary_stream(method)(request, metadata=_caller(context))

    def _refuse(self, context: Any) -> None:
        if self._cloud.refuses:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "request failed: the user does not have 'bigquery.readsessions.create'")


def _caller(context: Any) -> list[tuple[str, str]]:
    return [(key, value) for key, value in context.invocation_metadata() if key == "authorization" or key.startswith("x-goog")]
