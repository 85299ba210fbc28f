"""What the executor and the process that decodes say to each other over a Unix socket.

A request is one message of JSON, with the file's descriptor. The answer is a number of frames: a byte for the kind, the length, and as many
bytes. Rows come as an Arrow IPC stream of one batch.
"""

import json
import socket
import struct
from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa

from services.executor.errors import StepError
from services.executor.sources.files.decode.bounds import MAX_FRAME
from services.executor.sources.files.decode.plain import fits, weight

HEADER: Final = struct.Struct("<cQ")
MAX_REQUEST: Final = 4096
MAX_REPLY: Final = 2 * MAX_FRAME
"""The most bytes of a frame: a batch with its schema."""

ROWS: Final = b"B"
END: Final = b"E"
REFUSED: Final = b"X"


def send_request(to: socket.socket, request: Mapping[str, Any], file: int) -> None:
    """Asks for the rows of a file. Raises OSError."""
    socket.send_fds(to, [json.dumps(request).encode()], [file])


def receive_request(whence: socket.socket) -> tuple[dict[str, Any], int] | None:
    """The next request; None if there will be none. Raises OSError."""
    data, files, _, _ = socket.recv_fds(whence, MAX_REQUEST, 1)
    return (json.loads(data), files[0]) if data and files else None


class FrameSender:
    """Sends frames. Rows are written into one buffer again and again: fresh memory for each costs more than decoding them."""

    def __init__(self, to: socket.socket) -> None:
        self._to = to
        self._buffer = pa.allocate_buffer(MAX_REPLY)

    def send_rows(self, batch: pa.RecordBatch) -> None:
        """Sends rows, in as many frames as they need. Raises OSError; StepError for a row that is too long for one."""
        if not fits(batch) and batch.num_rows > 1:
            half = batch.num_rows // 2
            self.send_rows(batch.slice(0, half))
            self.send_rows(batch.slice(half))
            return
        if not fits(batch):
            raise StepError(f"A row of the export has {weight(batch):,} bytes; at most {MAX_FRAME:,} are read.")
        sink = pa.FixedSizeBufferWriter(self._buffer)
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        self._send(ROWS, memoryview(self._buffer)[: sink.tell()])

    def send_note(self, kind: bytes, note: Mapping[str, Any]) -> None:
        """Sends a frame without rows. Raises OSError."""
        self._send(kind, json.dumps(note).encode())

    def _send(self, kind: bytes, content: bytes | memoryview) -> None:
        self._to.sendall(HEADER.pack(kind, len(content)))
        self._to.sendall(content)
