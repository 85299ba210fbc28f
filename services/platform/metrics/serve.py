"""`/metrics` and `/healthz`, over plain HTTP in threads of their own."""

import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import disable_created_metrics, make_wsgi_app

type StartResponse = Callable[[str, list[tuple[str, str]]], object]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the standard library calls it
        """Logs nothing: metrics are scraped every few seconds."""


def serve_metrics(host: str, port: int, *, is_serving: Callable[[], bool]) -> None:
    """Serves plain HTTP on host:port, in threads of its own, until the process ends. Raises OSError if the port is taken.

    `GET /metrics` is for Prometheus. `GET /healthz` is for probes without a client certificate, such as a kubelet's: 200 while the
    service's gRPC health is SERVING, else 503.
    """
    # A series beside each counter and histogram that says when it was made: a third more series, which nothing reads.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    prometheus = make_wsgi_app()

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/healthz":
            answer: Iterable[bytes] = prometheus(environ, start_response)
            return answer
        serving = is_serving()
        start_response("200 OK" if serving else "503 Service Unavailable", [("Content-Type", "application/json")])
        return [b'{"status": "SERVING"}' if serving else b'{"status": "NOT_SERVING"}']

    server = make_server(host, port, app, _Server, _Silent)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
