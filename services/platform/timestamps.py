"""Timestamps between Python and protobuf. All are UTC."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp


def to_timestamp(moment: datetime | None) -> Timestamp | None:
    """`moment` (with a timezone) as a protobuf timestamp; None stays unset."""
    if moment is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(moment.astimezone(UTC))
    return stamp


def to_datetime(stamp: Timestamp) -> datetime:
    """A set protobuf timestamp, in UTC. Raises ValueError outside the years 1 to 9999."""
    return stamp.ToDatetime(UTC)
