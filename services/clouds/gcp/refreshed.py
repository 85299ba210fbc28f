"""Credentials that one thread at a time refreshes.

A run reads and queries in several threads with one identity. google-auth's classes are not safe for that: a refresh makes the object that
signs or impersonates, and of two at once, one reads the token of the other's object before it has any.
"""

import threading
from abc import ABC, abstractmethod
from typing import Any

from google.auth.credentials import Credentials


class RefreshedInTurn(Credentials, ABC):
    """A thread that has waited for another one's refresh takes the token of that."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._turn = threading.Lock()

    def refresh(self, request: Any) -> None:
        """A new token. Raises what `_new_token` raises."""
        seen = self.token
        with self._turn:
            if self.token is seen or not self.valid:
                self._new_token(request)

    @abstractmethod
    def _new_token(self, request: Any) -> None:
        """Sets `token` and `expiry`."""
