"""Spans of OpenTelemetry, in one trace from the gateway to BigQuery and KMS.

A span is recorded inside one that is recorded, and nowhere else: in a call that the gateway has chosen, or in a run. So no process decides
about sampling, what works in the background leaves no traces, and with tracing off no span is ever recorded.

Spans have names of which there are few, and never a message: the texts of errors may quote parameters and rows. The tracer is not
OpenTelemetry's global one: Google's clients would use that, and record such texts.
"""
