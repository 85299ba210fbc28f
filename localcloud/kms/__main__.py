"""`python -m localcloud.kms`: Cloud KMS on a laptop; `python -m localcloud.kms rotate [KEY]` rotates a key of the one that runs."""

import argparse
import sys

from google.api_core.exceptions import GoogleAPICallError

from localcloud.kms.rotate import rotate
from localcloud.kms.server import main
from localcloud.settings import LocalSettings
from services.platform.environment.reading import read


def rotate_command(arguments: list[str]) -> int:
    """The exit code."""
    settings = read(LocalSettings)
    parser = argparse.ArgumentParser(prog="python -m localcloud.kms rotate", description="Makes a new version of a key, the primary one.")
    parser.add_argument("key", nargs="?", default=settings.kms_key, help="full name of the key (%(default)s)")
    parser.add_argument("--address", default=settings.address("kms"), help="host:port of the local KMS (%(default)s)")
    options = parser.parse_args(arguments)
    try:
        print(rotate(options.address, options.key))
    except GoogleAPICallError as error:
        print(f"the KMS at {options.address} did not rotate the key: {error}. Is make up running, and is the name right?", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["rotate"]:
        sys.exit(rotate_command(sys.argv[2:]))
    main()
