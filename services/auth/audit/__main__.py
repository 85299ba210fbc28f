"""`python -m services.auth.audit verify FILE [--head CHAIN:SEQ:HASH ...]`: verifies downloaded entries of the audit log, offline.

FILE has a JSON object a line: responses of `GET .../audit`, or rows of a BigQuery export; `-` is standard input. Ends with 1 if a chain is
broken, with 2 if FILE cannot be read as entries or has none.
"""

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path

from services.auth.audit.chain import Head
from services.auth.audit.verify import NotAnEntryError, Verdict, read_entries, verify


def head(text: str) -> Head:
    """An argument of `--head`."""
    chain, seq, found = text.split(":")
    return Head(chain=chain, seq=int(seq), hash=found)


def describe(verdict: Verdict) -> str:
    """A line for people."""
    if verdict.problem is not None:
        return f"{verdict.chain}: BROKEN: {verdict.problem}"
    begins = "" if verdict.first_seq <= 1 else f"; begins at {verdict.first_seq}, older entries are not in this file"
    return f"{verdict.chain}: intact, {verdict.entries} entries{begins}; ends with {verdict.chain}:{verdict.head.seq}:{verdict.head.hash}"


def main(arguments: list[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m services.auth.audit", description="Verifies entries of the audit log, offline.")
    command = parser.add_subparsers(dest="command", required=True).add_parser("verify", help="check hashes, links and gaps")
    command.add_argument("file", help="one JSON object a line: pages of the API or rows of an export; - is standard input")
    command.add_argument("--head", action="append", type=head, default=[], help="CHAIN:SEQ:HASH, an entry that must be there")
    given = parser.parse_args(arguments)
    try:
        with nullcontext(sys.stdin) if given.file == "-" else Path(given.file).open(encoding="utf-8") as lines:
            verdicts = verify(read_entries(lines), given.head)
    except (OSError, NotAnEntryError, UnicodeDecodeError) as error:
        print(f"{given.file}: {error}", file=sys.stderr)
        return 2
    for verdict in verdicts:
        print(describe(verdict))
    if not verdicts:
        # A download that failed must not pass for a chain that is intact.
        print(f"{given.file}: there are no entries; look whether the download has failed, and at its start_time", file=sys.stderr)
        return 2
    return int(any(verdict.problem for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
