"""Reads the streams of a read session at once."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import pyarrow as pa
from google.cloud.bigquery_storage_v1 import types
from opentelemetry.trace import SpanKind, get_current_span

from services.executor.metering.meter import Reading
from services.executor.sources.overlap import merged
from services.platform.tracing import calls, failures, tracer

READ_STREAMS: Final = 4
"""The streams of a session that are read at once unless a setting says otherwise. Each takes some 40 MB, whatever its batches: gRPC
receives ahead of its reader. One core flattens some 120 MB a second, so that more streams mostly wait for it.
"""
AHEAD_BYTES: Final = 64 * 2**20
"""About how much memory batches may take that were read and wait to be flattened. BigQuery's batches have some MB at most."""


def read_session(
    reader: Any, session: types.ReadSession, reading: Reading, at_once: int, check_cancelled: Callable[[], None]
) -> Iterator[pa.RecordBatch]:
    """All rows of the session, in no order. `at_once`: the most streams that are read at once, if AHEAD_BYTES is enough for their batches.
    BigQuery decides how many streams the session has. `reading` counts what arrives. Raises the reader's errors, and what `check_cancelled`
    raises.
    """
    reading.begin()
    schema = pa.ipc.read_schema(pa.py_buffer(session.arrow_schema.serialized_schema))
    names, opened, reader_span = iter([stream.name for stream in session.streams]), set[Any](), get_current_span()
    span_name, attributes = calls.of_bigquery("read_rows")

    def lane() -> Iterator[tuple[pa.RecordBatch, int]]:
        """Reads one stream after the other: when one has ended, the next that no lane has begun."""
        for name in names:
            span = tracer.begin(span_name, attributes, inside=reader_span, kind=SpanKind.CLIENT)
            try:
                opened.add(stream := reader.read_rows(name))
                yield from _batches(stream, schema)
                opened.discard(stream)
            except BaseException as error:
                failures.note_failure(span, error)
                raise
            finally:
                span.end()

    lanes = [lane() for _ in range(min(at_once, len(session.streams)))]
    try:
        for batch, size in merged(lanes, size=lambda one: one[0].nbytes, most=AHEAD_BYTES, check_cancelled=check_cancelled):
            reading.receive(size)
            yield batch
    finally:
        deque(names, maxlen=0)  # no lane begins another stream
        for stream in opened.copy():  # streams in which a thread may still wait
            stream.cancel()


def _batches(stream: Any, schema: pa.Schema) -> Iterator[tuple[pa.RecordBatch, int]]:
    """The batches of one stream, and their bytes as BigQuery counts them."""
    for answer in stream:
        rows = answer.arrow_record_batch.serialized_record_batch
        yield pa.ipc.read_record_batch(pa.py_buffer(rows), schema), answer.uncompressed_byte_size or len(rows)


def checked(batches: Iterable[pa.RecordBatch], check_cancelled: Callable[[], None]) -> Iterator[pa.RecordBatch]:
    """The batches; `check_cancelled` is called before each, and its exception ends the iteration."""
    for batch in batches:
        check_cancelled()
        yield batch
