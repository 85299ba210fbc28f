"""Prints each fault of one template; exits with 1 if there is one, with 2 for a path that is no template's."""

import argparse
import sys
from pathlib import Path

from tools.check_template.check import NotATemplate, check_template


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.check_template", description="Names all faults of a template.")
    parser.add_argument("file", type=Path, help="configs/PROVIDER/DOMAIN/TEMPLATE.yml")
    path: Path = parser.parse_args().file
    try:
        faults = check_template(path)
    except NotATemplate as error:
        print(error, file=sys.stderr)
        return 2
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"{path}: {len(faults)} faults" if faults else f"{path}: no faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
