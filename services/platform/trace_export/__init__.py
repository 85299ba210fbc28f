"""Sends spans to an OpenTelemetry collector, in the background."""
