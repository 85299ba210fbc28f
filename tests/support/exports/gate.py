"""A reverse proxy before an object store: it counts what is asked of it, and lets something happen just before a request is passed on, so
that a test decides what the cloud does while a run reads.
"""

import http.client
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SECONDS = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One request."""

    method: str
    path: str
    """Without the query, unquoted."""
    query: str

    @property
    def is_listing(self) -> bool:
        """True for a request for the names of objects."""
        return "list-type" in self.query or "comp=list" in self.query

    @property
    def is_token(self) -> bool:
        """True for a request to a token endpoint or STS, which is none of the object store."""
        return self.method == "POST" or ".well-known" in self.path


@dataclass(kw_only=True)
class ObjectGate:
    """The proxy. Not a mock: every request is answered by the emulator behind it."""

    upstream: str
    """URL of the emulator."""
    url: str = ""
    ca: Path | None = None
    asked: list[Asked] = field(default_factory=list)
    _actions: list[tuple[str, Callable[[], None]]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def before(self, ending: str, action: Callable[[], None]) -> None:
        """Does `action` once, before the next request for an object whose name has this ending is passed on."""
        self._actions.append((ending, action))

    def objects(self) -> list[Asked]:
        """Requests for objects or their names, and forgets them."""
        with self._lock:
            found = [one for one in self.asked if not one.is_token]
            self.asked.clear()
        return found

    @property
    def is_done(self) -> bool:
        """True if everything that was to happen has happened."""
        return not self._actions

    def take(self, asked: Asked) -> None:
        """Counts a request, and does what is to be done before it."""
        with self._lock:
            self.asked.append(asked)
            due = [one for one in self._actions if asked.path.endswith(one[0]) and not asked.is_token][:1]
            for one in due:
                self._actions.remove(one)
        for _, action in due:
            action()


@contextmanager
def object_gate(gate: ObjectGate, folder: Path) -> Iterator[ObjectGate]:
    """Opens the proxy on a free port of loopback, with TLS if the emulator has it: then `ca` is its authority, written to `folder`."""

    class Handler(_Handler):
        door = gate

    is_tls = gate.upstream.startswith("https:")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        if is_tls:
            gate.ca = _certify(folder)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(folder / "gate.pem")
            server.socket = context.wrap_socket(server.socket, server_side=True)
        gate.url = f"{'https' if is_tls else 'http'}://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield gate
        server.shutdown()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    door: ObjectGate
    protocol_version = "HTTP/1.1"

    def handle_any(self) -> None:
        parts = urlsplit(self.path)
        self.door.take(Asked(method=self.command, path=unquote(parts.path), query=parts.query))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with closing(self._connection()) as upstream:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() != "connection":
                    upstream.putheader(name, value)
            upstream.endheaders(body or None)
            answer = upstream.getresponse()
            self._reply(answer.status, answer.getheaders(), b"" if self.command == "HEAD" else answer.read())

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 - as http.server calls them

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.door.upstream)
        if parts.scheme == "https":
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            return http.client.HTTPSConnection(parts.netloc, timeout=SECONDS, context=context)
        return http.client.HTTPConnection(parts.netloc, timeout=SECONDS)

    def _reply(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        is_head = self.command == "HEAD"
        for name, value in headers:
            if name.lower() not in {"transfer-encoding", "connection"} and (is_head or name.lower() != "content-length"):
                self.send_header(name, value)
        if not is_head:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _certify(folder: Path) -> Path:
    """An authority and a certificate for 127.0.0.1: the path of the authority's."""
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("gate authority", "gate")]
    made = []
    for index, (key, name) in enumerate(zip(keys, names, strict=True)):
        is_ca = index == 0
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"), False
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(names[0])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(digital_signature=not is_ca, key_cert_sign=is_ca, crl_sign=is_ca, **usage), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key()), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1")), x509.DNSName("localhost")]), critical=False
            )
        )
        made.append(builder.sign(keys[0], hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    secret = keys[1].private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "gate.pem").write_bytes(secret + made[1])
    (folder / "gate-ca.pem").write_bytes(made[0])
    return folder / "gate-ca.pem"
