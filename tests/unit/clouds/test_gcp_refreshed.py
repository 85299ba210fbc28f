"""One thread at a time refreshes a tenant's identity."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any

from services.clouds.gcp.refreshed import RefreshedInTurn

THREADS = 4
SECONDS = 30.0


class Counting(RefreshedInTurn):
    """Its tokens are numbered. A refresh lasts until so many threads want one."""

    def __init__(self, threads: int) -> None:
        super().__init__()
        self.refreshes = 0
        self._turn: Any = Turn(threads)

    def _new_token(self, request: Any) -> None:
        assert self._turn.all_came.wait(SECONDS)
        self.refreshes += 1
        self.token, self.expiry = f"token {self.refreshes}", datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=1)


class Turn:
    """A lock that knows how many have come to it."""

    def __init__(self, threads: int) -> None:
        self.all_came = threading.Event()
        self._lock, self._guard, self._left = threading.Lock(), threading.Lock(), threads

    def __enter__(self) -> None:
        with self._guard:
            self._left -= 1
            if self._left <= 0:
                self.all_came.set()
        self._lock.acquire()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._lock.release()


def test_threads_that_need_a_token_at_once_share_one() -> None:
    identity = Counting(THREADS)

    def refresh() -> str:
        identity.refresh(None)
        return str(identity.token)

    with ThreadPoolExecutor(THREADS) as pool:
        tokens = {one.result() for one in [pool.submit(refresh) for _ in range(THREADS)]}

    assert tokens == {"token 1"}
    assert identity.refreshes == 1


def test_a_token_that_is_refused_is_replaced() -> None:
    """A refresh gives a new token, also while the one before is still valid."""
    identity = Counting(1)
    identity.refresh(None)

    identity.refresh(None)

    assert identity.token == "token 2"
