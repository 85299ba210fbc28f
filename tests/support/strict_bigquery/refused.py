"""BigQuery's refusals, in its own format."""


class Refused(Exception):
    """An error answer: HTTP status, BigQuery's reason and message."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message


class Lost(Exception):
    """No answer reaches the caller; `said`: but this beginning of one."""

    def __init__(self, said: bytes = b"") -> None:
        super().__init__()
        self.said = said


def aborted(table: str) -> Refused:
    """A transaction lost against somebody else's mutation of `table`."""
    return Refused(400, "invalidQuery", f"Transaction is aborted due to concurrent update against table {table}.")


def outstanding(table: str) -> Refused:
    """Too many plain mutations wait for `table`."""
    return Refused(400, "resourcesExceeded", f"Too many DML statements outstanding against table {table}, limit is 20.")


def too_fast(table: str) -> Refused:
    """More DML on `table` than its rate allows."""
    return Refused(403, "rateLimitExceeded", f"Exceeded rate limits: too many DML statements for table {table}")


def in_streaming_buffer(table: str) -> Refused:
    """Rows of `table` have just been streamed."""
    words = f"UPDATE or DELETE statement over table {table} would affect rows in the streaming buffer, which is not supported"
    return Refused(400, "invalidQuery", words)


def too_many_bytes(most: int, needed: int) -> Refused:
    """A query would be billed more than it allows."""
    words = f"Query exceeded limit for bytes billed: {most}. {needed} or higher required."
    return Refused(400, "bytesBilledLimitExceeded", words)


def job_backend_error() -> Refused:
    """The job failed on BigQuery's side; another one may pass."""
    return Refused(400, "jobBackendError", "The job encountered an error during execution. Retrying the job may solve the problem.")


def backend_error() -> Refused:
    """BigQuery could not say how a job stands."""
    return Refused(503, "backendError", "Visibility check was unavailable. Please retry the request.")


def access_denied(what: str, permission: str) -> Refused:
    """The caller lacks `permission` on `what`, e.g. `Dataset p:d`."""
    return Refused(403, "accessDenied", f"Access Denied: {what}: Permission {permission} denied on {what.lower()} (or it may not exist).")
