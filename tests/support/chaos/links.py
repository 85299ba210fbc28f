"""TCP connections that things happen to."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

CHUNK = 64 * 1024
CONNECT_SECONDS = 2.0


@dataclass(kw_only=True)
class Link:
    """A port of loopback in front of one process or several replicas, over which new connections are dealt out in turn."""

    upstreams: list[str]
    """host:port of each."""
    delay: float = 0.0
    """Seconds that each piece waits, in both directions."""
    corrupt: bool = False
    """One byte in each piece of an answer is another one. For links whose protocol notices: TLS, or a checksum."""
    port: int = 0
    _flows: threading.Event = field(default_factory=threading.Event)
    _open: set[socket.socket] = field(default_factory=set)
    _turn: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def address(self) -> str:
        """host:port for callers."""
        return f"127.0.0.1:{self.port}"

    def hold(self) -> None:
        """Nothing comes through, as over a network that drops everything; connections stay open."""
        self._flows.clear()

    def cut(self) -> None:
        """Ends all connections, wherever they are in an answer."""
        with self._lock:
            ends = list(self._open)
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def heal(self) -> None:
        """Everything comes through again, on new connections."""
        self.delay, self.corrupt = 0.0, False
        self._flows.set()

    @contextlib.contextmanager
    def serving(self) -> Iterator["Link"]:
        """Listens until the end."""
        self.heal()
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.port = server.getsockname()[1]
            threading.Thread(target=self._accept, args=(server,), daemon=True).start()
            yield self
            self.heal()
            # A thread that waits in accept() would keep the port open.
            server.shutdown(socket.SHUT_RDWR)
        self.cut()

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        upstream = self._upstream()
        if upstream is None:
            client.close()
            return
        with self._lock:
            self._open |= {client, upstream}
        there = threading.Thread(target=self._pump, args=(client, upstream), kwargs={"is_answer": False}, daemon=True)
        there.start()
        self._pump(upstream, client, is_answer=True)
        there.join()
        with self._lock:
            self._open -= {client, upstream}
        client.close()
        upstream.close()

    def _upstream(self) -> socket.socket | None:
        """A connection to the next replica that takes one."""
        with self._lock:
            self._turn += 1
            first = self._turn % max(1, len(self.upstreams))
            order = self.upstreams[first:] + self.upstreams[:first]
        for address in order:
            host, _, port = address.rpartition(":")
            with contextlib.suppress(OSError):
                connection = socket.create_connection((host, int(port)), CONNECT_SECONDS)
                connection.settimeout(None)
                return connection
        return None

    def _pump(self, source: socket.socket, sink: socket.socket, *, is_answer: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(CHUNK):
                self._flows.wait()
                if self.delay:
                    time.sleep(self.delay)
                if self.corrupt and is_answer:
                    changed = bytearray(piece)
                    changed[len(changed) // 2] ^= 0x55
                    piece = bytes(changed)
                sink.sendall(piece)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
