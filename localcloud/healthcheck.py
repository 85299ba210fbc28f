"""`python -m localcloud.healthcheck EMULATOR`: checks that an emulator in this container is ready; for docker-compose.yml. What else runs
there is asked by `services.probe`.
"""

import os
import sys

from localcloud.processes.process import Ready
from localcloud.processes.readiness import grpc_serving, http_answers, https_answers
from localcloud.settings import LocalSettings
from services.platform.environment.reading import read

HERE = "127.0.0.1"


def check_of(name: str, settings: LocalSettings) -> Ready:
    """The emulator's own check. Raises ValueError for what has none."""
    plain = {
        "bigquery": f"http://{HERE}:{settings.bigquery_port}/",
        "aws": f"http://{HERE}:{settings.aws_port}/favicon.ico",
        "google_sts": f"http://{HERE}:{settings.google_sts_port}/.well-known/jwks.json",
    }
    match name:
        case _ if name in plain:
            return http_answers(plain[name])
        case "kms":
            return grpc_serving(HERE, settings.kms_port)
        case "azure":
            return https_answers(f"https://{HERE}:{settings.azure_port}/_admin/requests", settings.certs_dir / "ca.pem")
        case "cloud_scheduler":
            # It does not listen, and if one of its threads ends, the process ends; what remains to check is the connection to its target.
            return http_answers(f"{os.environ['GATEWAY_URL']}/healthz")
        case _:
            raise ValueError(f"no emulator is called {name!r}: {', '.join((*plain, 'kms', 'azure', 'cloud_scheduler'))}")


if __name__ == "__main__":
    # A text is the problem; sys.exit prints it and exits with status 1.
    sys.exit(check_of(sys.argv[1], read(LocalSettings))())
