"""What is logged while the collector is away."""

import logging

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import SpanKind

from localcloud.ports import free_ports
from services.platform.trace_export.quiet import EXPORTER, OnceAMinute, quiet
from services.platform.tracing import propagation, tracer
from tests.support.spans import SAMPLED, kept_spans


def test_one_warning_a_minute_says_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    """However many batches are lost: with the exporter's own words, which name the error."""
    with kept_spans() as kept:
        with tracer.within(propagation.read({"traceparent": SAMPLED}), "served", {}, kind=SpanKind.SERVER):
            pass
        ended = kept.get_finished_spans()
    quiet()
    quiet()
    [ours] = [one for one in logging.getLogger(EXPORTER).filters if isinstance(one, OnceAMinute)]
    exporter = OTLPSpanExporter(endpoint=f"http://127.0.0.1:{free_ports(1)[0]}", timeout=0.2)
    for _ in range(3):
        assert exporter.export(ended) is SpanExportResult.FAILURE
    exporter.shutdown()
    [line] = [one for one in caplog.records if one.name == EXPORTER]
    assert (line.levelname, line.exc_info) == ("WARNING", None)
    assert all(text in line.getMessage() for text in ("UNAVAILABLE", "CONVERGENCE_OTLP_ENDPOINT"))
    ours._next = 0.0
    record = logging.LogRecord(EXPORTER, logging.ERROR, "x", 1, "Failed again", (), None)
    assert (ours.filter(record), ours.filter(record)) == (True, False)
