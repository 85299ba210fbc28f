"""Spans of OpenTelemetry, in one trace from the gateway to BigQuery and KMS.

A span is recorded only inside a recorded span: in a call that the gateway has sampled, or in a run. So no process decides about sampling,
background work leaves no traces, and with tracing off no span is recorded.

There are few different names of spans, and no span has a message: the texts of errors may quote parameters and rows. The tracer is not
OpenTelemetry's global one: Google's clients would use that, and record such texts.
"""
