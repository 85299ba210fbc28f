"""`python -m services.probe URL`: whether a process in this container answers; for health checks of containers, which have no curl.

Ends with 0 if the URL answers 200 within three seconds, else with 1 and the reason. It imports nothing of ours, as it runs every few
seconds.
"""

import sys
import urllib.request
from http import HTTPStatus

SECONDS = 3.0


def probe(url: str) -> str | None:
    """None if the URL answers 200, else the reason."""
    # Proxies of the environment are for other hosts.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=SECONDS) as answer:
            return None if answer.status == HTTPStatus.OK else f"{url} answers {answer.status}"
    except OSError as error:
        return f"{url}: {error}"


if __name__ == "__main__":
    # A text is the problem; sys.exit prints it and exits with status 1.
    sys.exit(probe(sys.argv[1]))
