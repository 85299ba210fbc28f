"""The scheduler's RPCs: none yet."""

from convergence.scheduler.v1.scheduler_service_pb2_grpc import SchedulerServiceServicer


class SchedulerServicer(SchedulerServiceServicer):
    """See `scheduler_service.proto`."""
