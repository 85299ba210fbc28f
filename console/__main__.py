"""`python -m console`: serves the console until SIGTERM."""

import logging

import uvicorn

from console.app import create_app
from console.settings import ConsoleSettings
from services.platform.environment.reading import read

GRACE_SECONDS = 3
"""Streams of live runs never end by themselves; browsers open them again."""


def main() -> None:
    """Returns after SIGTERM or SIGINT."""
    settings = read(ConsoleSettings)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # It logs the query of every request that it sends.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    uvicorn.run(
        create_app(settings),
        host=settings.listen_host,
        port=settings.listen_port,
        ssl_certfile=settings.tls_certificate and str(settings.tls_certificate),
        ssl_keyfile=settings.tls_key and str(settings.tls_key),
        proxy_headers=bool(settings.forwarded_allow_ips),
        forwarded_allow_ips=settings.forwarded_allow_ips or None,
        timeout_graceful_shutdown=GRACE_SECONDS,
        # Its lines have the query; ours do not (web/request_log.py).
        access_log=False,
        server_header=False,
        log_config=None,
    )


if __name__ == "__main__":
    main()
