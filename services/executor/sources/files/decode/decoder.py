"""The executor's side of the process that decodes a run's data files."""

import ctypes
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

import pyarrow as pa

from services.executor.errors import StepError
from services.executor.sources.files.decode import frames
from services.executor.sources.files.decode.bounds import Bounds
from services.executor.sources.files.decode.growth import Growth
from services.executor.sources.files.decode.plain import fits, is_plain
from services.executor.sources.source import CheckCancelled

ROOT: Final = Path(__file__).parents[5]
"""The folder from which `services` is imported."""
ENVIRONMENT: Final = {
    "LANG": "C.UTF-8",
    # The bound on memory counts what is reserved: mimalloc would reserve a gigabyte at once; glibc's allocator breaks memory into pieces
    # that it does not give back.
    "ARROW_DEFAULT_MEMORY_POOL": "mimalloc",
    "MIMALLOC_DISALLOW_ARENA_ALLOC": "1",
    "MALLOC_ARENA_MAX": "1",
}
"""Of the process: nothing of the executor's, which may have secrets."""
PR_SET_DUMPABLE: Final = 4
"""linux/prctl.h"""
LOOK_SECONDS: Final = 0.25
"""How often it is looked whether the run is over while rows are awaited."""


class Decoder:
    """One process, for the files of one run, one after another. Leaving the context ends it, whatever it is doing.

    Not for several threads at once.
    """

    def __init__(self, bounds: Bounds, *, silence_seconds: float, command: tuple[str, ...] = ()) -> None:
        """`silence_seconds`: the process is killed if it sends nothing for so long. `command`: another program in its place, for tests."""
        self._bounds, self._silence_seconds = bounds, silence_seconds
        self._command = command or (sys.executable, "-s", "-E", "-m", "services.executor.sources.files.decode.child")
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._is_busy = False

    def start(self) -> None:
        """Starts the process, which takes some tenths of a second until it decodes, if it does not run yet. Raises StepError."""
        if self._process:
            return
        _hide_memory()
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - a program of ours, without a shell
                    [*self._command, str(theirs.fileno()), json.dumps(asdict(self._bounds))],
                    pass_fds=[theirs.fileno()],
                    cwd=ROOT,
                    env=ENVIRONMENT,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
        except OSError as error:
            ours.close()
            raise StepError("The executor could not start the process that decodes files. Run it again.", is_retryable=True) from error
        ours.settimeout(LOOK_SECONDS)
        self._connection = ours

    def batches(self, file: IO[bytes], name: str, *, rows: int, check_cancelled: CheckCancelled) -> Iterator[pa.RecordBatch]:
        """All rows of a file, at most `rows`, some twenty thousand at a time, with plain types (see `plain`); at least one batch, whose
        columns tell what a file without rows is. `name` is for messages. Raises StepError, also for a file that ends the process; and what
        `check_cancelled` raises.
        """
        if self._is_busy:  # the rows of a file that were not taken
            self.close()
        self.start()
        self._is_busy = True
        try:
            frames.send_request(self._open, {"name": name, "rows": rows}, file.fileno())
        except OSError:
            raise self._death(name) from None
        found, is_shown, growth = 0, False, Growth.of(file.fileno(), name, self._bounds)
        while True:
            kind, content = self._frame(name, check_cancelled)
            if kind == frames.ROWS:
                batch = _batch(content, name)
                found, is_shown = found + batch.num_rows, True
                growth.add(batch)
                if found > rows:
                    raise StepError(f"{name} has more than {rows:,} rows: more than are read of a billing period.")
                yield batch
                continue
            self._is_busy, note = False, _note(content)
            if kind == frames.REFUSED:
                raise StepError(str(note.get("message"))[:1000])
            if kind != frames.END or note.get("rows") != found or not is_shown:
                raise _broken(name)
            return

    def close(self) -> None:
        """Ends the process and closes the connection."""
        connection, process = self._connection, self._process
        self._connection = self._process = None
        self._is_busy = False
        if connection:
            connection.close()
        if process:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def _open(self) -> socket.socket:
        if self._connection is None:
            raise RuntimeError("the decoder is closed")
        return self._connection

    def _frame(self, name: str, check_cancelled: CheckCancelled) -> tuple[bytes, pa.Buffer]:
        deadline = time.monotonic() + self._silence_seconds
        kind, length = frames.HEADER.unpack(self._receive(frames.HEADER.size, name, deadline, check_cancelled))
        if length > frames.MAX_REPLY:
            raise _broken(name)
        return kind, self._receive(length, name, deadline, check_cancelled)

    def _receive(self, length: int, name: str, deadline: float, check_cancelled: CheckCancelled) -> pa.Buffer:
        buffer = pa.allocate_buffer(length)
        view, got = memoryview(buffer).cast("B"), 0
        while got < length:
            try:
                count = self._open.recv_into(view[got:])
            except TimeoutError:
                check_cancelled()
                if time.monotonic() > deadline:
                    self.close()
                    raise StepError(
                        f"Decoding {name} made no progress for {self._silence_seconds:.0f} s and was stopped. Run it again; if it happens"
                        " again, the file is damaged."
                    ) from None
                continue
            except OSError:
                count = 0
            if not count:
                raise self._death(name)
            got += count
        return buffer

    def _death(self, name: str) -> StepError:
        """The error for a process that has ended by itself."""
        process = self._process
        if process is None:
            return _broken(name)
        try:
            code = process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            code = 0
        self.close()
        if code == -signal.SIGXCPU:
            return StepError(
                f"Decoding up to {name} took more than {self._bounds.cpu_seconds:,} s of CPU time and was stopped. Run the months one by"
                " one, or ask the operator for a higher limit."
            )
        if code == -signal.SIGKILL:  # by the kernel, which is out of memory, or by an operator
            message = (
                f"The process that decoded {name} was killed, most likely for want of memory. Run it again; if it happens again, ask the"
                " operator for more memory, or let the cloud write smaller files."
            )
            return StepError(message, is_retryable=True)
        if code > 0:  # a Python error: ours
            return StepError(f"The executor's process that decodes files failed at {name}. Ask the operator.", metadata={"exit_code": code})
        return _broken(name)


def _hide_memory() -> None:
    """From now on no process of the same user reads this one's memory or environment (ptrace, /proc); it dumps no core either."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def _broken(name: str) -> StepError:
    return StepError(f"The process that decoded {name} broke off: the file is damaged or malicious. It is not read. Export the month anew.")


def _batch(content: pa.Buffer, name: str) -> pa.RecordBatch:
    """The rows in a frame. They come from a process that a file may have captured: nothing about them is taken for granted."""
    try:
        with pa.ipc.open_stream(content) as reader:
            if not all(is_plain(field.type) for field in reader.schema):
                raise _broken(name)
            batch = reader.read_next_batch()
        batch.validate(full=True)
    except (pa.ArrowException, StopIteration, OSError):
        raise _broken(name) from None
    if not fits(batch):
        raise _broken(name)
    return batch


def _note(content: pa.Buffer) -> dict[str, Any]:
    try:
        found = json.loads(content.to_pybytes())
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
