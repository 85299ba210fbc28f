"""The process that decodes data files: `python -m services.executor.sources.files.decode.child FD BOUNDS`.

It imports pyarrow and little else, and first of all bounds itself.
"""

import contextlib
import json
import os
import resource
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import IO, Any, Final

PARQUET: Final = b"PAR1"


def confine(memory_bytes: int, cpu_seconds: int) -> None:
    """Bounds this process, for good: memory, CPU time, no files written, no core dump; and, where the kernel lets it, no network."""
    for what, most in (
        (resource.RLIMIT_DATA, memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))  # first SIGXCPU, which says why
    if hasattr(os, "unshare"):
        with contextlib.suppress(OSError):  # containers may forbid it; the other bounds hold
            os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET)


def serve(connection: socket.socket, bounds: Any) -> None:
    """Answers requests until there are no more."""
    import pyarrow as pa  # noqa: PLC0415 - after `confine`

    from services.executor.errors import StepError  # noqa: PLC0415
    from services.executor.sources.files.decode import frames  # noqa: PLC0415

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    sender = frames.FrameSender(connection)
    while request := frames.receive_request(connection):
        asked, descriptor = request
        rows = 0
        try:
            with os.fdopen(descriptor, "rb") as file:
                for batch in _batches(file, asked, bounds):
                    sender.send_rows(batch)
                    rows += batch.num_rows
            sender.send_note(frames.END, {"rows": rows})
        except StepError as error:
            sender.send_note(frames.REFUSED, {"message": error.message})
        except MemoryError:
            message = (
                f"Decoding {asked['name']} takes more than {bounds.memory_bytes:,} bytes of memory. Let the cloud write smaller files."
            )
            sender.send_note(frames.REFUSED, {"message": message})


def _batches(file: IO[bytes], asked: dict[str, Any], bounds: Any) -> Iterator[Any]:
    from services.executor.sources.files.decode.csv_file import csv_batches  # noqa: PLC0415
    from services.executor.sources.files.decode.parquet_file import parquet_batches  # noqa: PLC0415

    file.seek(0)
    start = file.read(len(PARQUET))
    decode = parquet_batches if start == PARQUET else csv_batches
    return decode(f"/dev/fd/{file.fileno()}", asked["name"], replace(bounds, rows=asked["rows"]))


def main(arguments: list[str]) -> None:
    """Bounds the process and serves the socket with this descriptor."""
    from services.executor.sources.files.decode.bounds import Bounds  # noqa: PLC0415

    bounds = Bounds(**json.loads(arguments[1]))
    confine(bounds.memory_bytes, bounds.cpu_seconds)
    with socket.socket(fileno=int(arguments[0])) as connection:
        serve(connection, bounds)


if __name__ == "__main__":
    main(sys.argv[1:])
