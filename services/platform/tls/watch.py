"""Follows the files of a service's identity, which are replaced while it runs: by cert-manager, a SPIFFE agent, a rotated secret."""

import asyncio
from pathlib import Path

import structlog

from services.platform.clock import Clock, SystemClock
from services.platform.metrics import TLS_EXPIRY
from services.platform.tls.files import TlsFiles, expiry_of, problem_of, read

_log = structlog.get_logger()


class TlsWatch:
    """The newest files that fit each other. A set that is half-written, expired or mixed up is logged once and ignored until it fits."""

    def __init__(self, directory: Path, name: str, *, clock: Clock | None = None) -> None:
        """`directory` has `ca.pem`, `{name}.pem` and `{name}.key`. Raises OSError if one of them cannot be read."""
        self._directory, self._name, self._clock = directory, name, clock or SystemClock()
        self._ignored: tuple[str, TlsFiles | None] | None = None
        self._current = read(directory, name)
        if problem := problem_of(self._current, self._clock.now()):
            # There is nothing better yet, and gRPC may take them all the same.
            self._ignore(problem, self._current)
        else:
            self._show_expiry()

    @property
    def current(self) -> TlsFiles:
        """The same object until newer files fit. May be read from any thread."""
        return self._current

    async def refresh(self) -> None:
        """Reads the files again and keeps them if they fit."""
        await asyncio.to_thread(self._refresh)

    def _refresh(self) -> None:
        try:
            found = read(self._directory, self._name)
        except OSError as error:
            self._ignore(f"a file cannot be read ({type(error).__name__})", None)
            return
        if found == self._current:
            self._ignored = None
            return
        if problem := problem_of(found, self._clock.now()):
            self._ignore(problem, found)
            return
        self._current, self._ignored = found, None
        self._show_expiry()
        _log.info("certificates_renewed", name=self._name, expires_at=expiry_of(found).own.isoformat())

    def _ignore(self, problem: str, found: TlsFiles | None) -> None:
        if (problem, found) != self._ignored:
            self._ignored = (problem, found)
            _log.warning("certificates_unfit", name=self._name, directory=str(self._directory), problem=problem)

    def _show_expiry(self) -> None:
        expiry = expiry_of(self._current)
        TLS_EXPIRY.labels(self._name).set(expiry.own.timestamp())
        TLS_EXPIRY.labels("ca").set(expiry.authorities.timestamp())
