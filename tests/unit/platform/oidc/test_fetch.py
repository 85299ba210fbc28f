"""Reading an issuer's documents over HTTP, from a server that does not behave."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from localcloud.ports import free_ports
from services.platform.oidc import fetch
from services.platform.oidc.fetch import MAX_BYTES, NotRead, fetch_json


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = {
                "/good": b'{"keys": []}',
                "/list": b"[]",
                "/text": b"<html>",
                "/deep": b"[" * 100_000,
                "/large": b'{"keys": "%s"}' % (b"x" * MAX_BYTES),
            }.get(self.path, b"{}")
            if self.path == "/slow":
                ended.wait(10)
            self.send_response({"/moved": 302, "/gone": 404}.get(self.path, 200))
            self.send_header("Location", "/good")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        ended.set()
        server.shutdown()
        thread.join()


async def test_a_document_is_read(server: str) -> None:
    assert await fetch_json(f"{server}/good") == {"keys": []}


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/list", "no JSON object"),
        ("/text", "no JSON"),
        ("/deep", "no JSON"),
        ("/large", "larger than"),
        ("/moved", "answers 302"),
        ("/gone", "answers 404"),
    ],
)
async def test_what_is_no_document_is_not_read(server: str, path: str, said: str) -> None:
    with pytest.raises(NotRead, match=said):
        await fetch_json(server + path)


async def test_a_server_that_is_slow_or_away_is_not_waited_for(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "SECONDS", 0.2)
    with pytest.raises(NotRead, match="TimeoutError"):
        await fetch_json(f"{server}/slow")
    with pytest.raises(NotRead, match="ConnectError"):
        await fetch_json(f"http://127.0.0.1:{free_ports(1)[0]}/good")


@pytest.mark.parametrize(
    "url", ["http://issuer.example.com/keys", "ftp://127.0.0.1/", "None", "https://u:p@127.0.0.1/", "http://10.0.0.1/"]
)
async def test_only_https_is_read_beyond_this_machine(url: str) -> None:
    with pytest.raises(NotRead, match="not https"):
        await fetch_json(url)
