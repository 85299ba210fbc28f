"""The server's side: every new connection is greeted with the newest certificate, and judged by the newest authorities."""

from typing import Any

import grpc

from services.platform.tls.files import TlsFiles
from services.platform.tls.watch import TlsWatch


def server_credentials(watch: TlsWatch) -> grpc.ServerCredentials:
    """For mTLS with the watch's files. Open connections keep theirs; `server.OPTIONS` bounds how long."""
    used = watch.current

    def newer() -> Any:
        # Called by gRPC's own threads before each handshake. Two at once may both see the change, and configure the same.
        nonlocal used
        files = watch.current
        if files is used:
            return None
        used = files
        return _configuration(files)

    return grpc.dynamic_ssl_server_credentials(_configuration(used), newer, require_client_authentication=True)


def _configuration(files: TlsFiles) -> Any:
    return grpc.ssl_server_certificate_configuration([(files.key, files.certificate)], root_certificates=files.authorities)
