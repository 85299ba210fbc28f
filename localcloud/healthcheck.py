"""`python -m localcloud.healthcheck PROCESS`: checks that a process in this container is ready; used by Docker (docker-compose.yml)."""

import os
import sys

from localcloud.processes.process import Ready
from localcloud.processes.readiness import gateway_ready, grpc_serving, http_answers, https_answers
from localcloud.settings import SERVICES, LocalSettings

HERE = "127.0.0.1"


def check_of(name: str, settings: LocalSettings) -> Ready:
    """The process's own check. Raises ValueError for a process that has none."""
    plain = {
        "bigquery": f"http://{HERE}:{settings.bigquery_port}/",
        "aws": f"http://{HERE}:{settings.aws_port}/favicon.ico",
        "console": f"http://{HERE}:{settings.console_port}/healthz",
        "google_sts": f"http://{HERE}:{settings.google_sts_port}/.well-known/jwks.json",
    }
    match name:
        case _ if name in plain:
            return http_answers(plain[name])
        case "kms":
            return grpc_serving(HERE, settings.kms_port)
        case "azure":
            return https_answers(f"https://{HERE}:{settings.azure_port}/_admin/requests", settings.certs_dir / "ca.pem")
        case "gateway":
            return gateway_ready(f"http://{HERE}:{settings.gateway_port}", f"http://{HERE}:{settings.envoy_admin_port}")
        case "cloud_scheduler":
            # It does not listen, and if one of its threads ends, the process ends; what remains to check is the connection to its target.
            return http_answers(f"{os.environ.get('GATEWAY_URL', f'http://{settings.address("gateway")}')}/healthz")
        case _ if name in SERVICES:
            return grpc_serving(HERE, settings.port(name), tls_dir=settings.certs_dir, server_name=f"{name}.convergence.internal")
        case _:
            known = (*plain, "kms", "azure", "gateway", "cloud_scheduler", *SERVICES)
            raise ValueError(f"no process is called {name!r}: {', '.join(known)}")


if __name__ == "__main__":
    # A text is the problem; sys.exit prints it and exits with status 1.
    sys.exit(check_of(sys.argv[1], LocalSettings())())
