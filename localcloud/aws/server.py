"""`python -m localcloud.aws`: serves until SIGTERM. Everything is in memory, so callers must fill the account again after a restart."""

import argparse
import logging
import signal
import threading

from localcloud.aws.account import ACCOUNT, ADMIN, READER, REGION, LocalUser
from localcloud.settings import LocalSettings
from services.platform.environment.reading import read


def main() -> None:
    """Serves until SIGTERM or SIGINT, then exits with status 0."""
    options = _arguments()
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    from moto import settings  # noqa: PLC0415 - `--help` needs no second
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app  # noqa: PLC0415
    from werkzeug.serving import make_server  # noqa: PLC0415

    from localcloud.aws.strictness import make_strict  # noqa: PLC0415

    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    make_strict()
    for user in (ADMIN, READER):
        _add(user)
    server = make_server(
        options.host, options.port, DomainDispatcherApplication(create_backend_app), threaded=True, request_handler=MotoRequestHandler
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
    stop.wait()
    server.shutdown()


def _add(user: LocalUser) -> None:
    from moto.iam.models import iam_backends  # noqa: PLC0415

    account = iam_backends[ACCOUNT]["aws"]
    account.create_user(REGION, user.name)
    if user.policy:
        account.put_user_policy(user.name, "all", user.policy)
    key = account.create_access_key(user.name)
    del account.access_keys[key.access_key_id]
    key.access_key_id, key.secret_access_key = user.access_key_id, user.secret_access_key
    account.access_keys[user.access_key_id] = key


def _arguments() -> argparse.Namespace:
    settings = read(LocalSettings)
    parser = argparse.ArgumentParser(prog="python -m localcloud.aws", description="S3, STS and IAM on a laptop.")
    parser.add_argument("--host", default=settings.host, help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=settings.aws_port, help="HTTP port (%(default)s)")
    return parser.parse_args()
