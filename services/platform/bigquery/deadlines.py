"""Ends every request to BigQuery by the deadline of the statement that it belongs to.

google-cloud-bigquery has no limit for a whole statement. `query_and_wait` spends `api_timeout` on its first request and then `wait_timeout`
on polls; each poll waits up to 10 s at the server and at least 120 s at the socket, whatever time is left (3.47:
`_job_helpers._wait_or_cancel`, `client._MIN_GET_QUERY_RESULTS_TIMEOUT`). So the limit is set in the HTTP adapter, which sees every request:
a thread declares its statement's deadline, and each request it sends ends by then.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

CANCEL_SECONDS = 3.0
"""Timeout of a cancel request, also after its statement's deadline."""

_work = threading.local()


@contextmanager
def working_until(deadline: float) -> Iterator[None]:
    """Inside this context, this thread's requests end at `deadline` (monotonic seconds)."""
    _work.deadline = deadline
    try:
        yield
    finally:
        del _work.deadline


def in_time[Answer](send: Callable[[float], Answer], deadline: float) -> Answer:
    """Calls `send` with the time that is left once a thread is free. Does not start after the deadline: the caller is gone."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    with working_until(deadline):
        return send(left)


class DeadlineAdapter(HTTPAdapter):
    """Sends with the time that is left. Raises TimeoutError at the deadline: no library retries it, unlike requests' own timeouts."""

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """Overwrites `timeout`; requests passes all options by name."""
        deadline: float | None = getattr(_work, "deadline", None)
        if deadline is None:
            return super().send(request, *args, **options)
        if request.path_url.split("?")[0].endswith("/cancel"):
            deadline = max(deadline, time.monotonic() + CANCEL_SECONDS)
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        try:
            return super().send(request, *args, **{**options, "timeout": urllib3.Timeout(total=left)})
        except requests.Timeout as error:
            raise TimeoutError from error
