"""Files decoded in a process of their own: every format, and what a hostile one does."""

import gzip
import io
import json
import os
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.executor.errors import StepError
from services.executor.sources.files.decode import frames
from services.executor.sources.files.decode.bounds import Bounds
from services.executor.sources.files.decode.decoder import Decoder

BOUNDS = Bounds(
    rows=1_000_000,
    columns=200,
    cell_bytes=65_536,
    row_group_bytes=64 * 2**20,
    inflation=50,
    growth=200,
    memory_bytes=768 * 2**20,
    cpu_seconds=60,
)


def zipped(content: bytes, level: int = 9) -> bytes:
    """Without the time, which would be part of test ids."""
    return gzip.compress(content, level, mtime=0)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(BOUNDS, silence_seconds=30) as opened:
        yield opened


def decoded(decoder: Decoder, content: bytes, *, rows: int = 1_000_000, path: Path | None = None) -> list[dict[str, Any]]:
    """The rows of a file with this content."""
    with (path or Path(f"/dev/shm/decoded-{os.getpid()}")).open("w+b") as file:  # a real file, as it is in a run
        file.write(content)
        file.flush()
        batches = list(decoder.batches(file, "a.file", rows=rows, check_cancelled=lambda: None))
    return [row for batch in batches for row in batch.to_pylist()]


def parquet(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def nested(levels: int) -> pa.Array:
    values = pa.array([1])
    for _ in range(levels):
        values = pa.StructArray.from_arrays([values], ["a"])
    return values


def process_of(decoder: Decoder) -> int:
    decoder.start()
    process = decoder._process
    assert process is not None
    return process.pid


MAP = pa.map_(pa.string(), pa.int64())
ROWS = [{"a": "x", "b": 1.5}, {"a": None, "b": 2.5}]


@pytest.mark.parametrize("compression", ["snappy", "zstd", "gzip", "none"])
def test_parquet_of_any_compression_is_read(decoder: Decoder, compression: str) -> None:
    assert decoded(decoder, parquet(pa.Table.from_pylist(ROWS), compression=compression)) == ROWS


@pytest.mark.parametrize("wrap", [bytes, zipped, lambda data: zipped(data[:9]) + zipped(data[9:])])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_is_read_whatever_it_is_called(decoder: Decoder, wrap: Any, mark: str, end: str) -> None:
    text = mark + end.join(['"a",b', '"1, ü ""x""",', '"two', 'lines",2']) + end

    assert decoded(decoder, wrap(text.encode())) == [{"a": '1, ü "x"', "b": ""}, {"a": f"two{end}lines", "b": "2"}]


@pytest.mark.parametrize("header", [b"a\n" + b"\n" * 300_000, b"a".ljust(131_071) + b",".ljust(131_072) + b"\n"])
def test_rows_that_begin_late_are_not_overlooked(decoder: Decoder, header: bytes) -> None:
    names = header.partition(b"\n")[0].count(b",")

    assert decoded(decoder, header + b"1" + b"," * names + b"\n")[0]["a"] == "1"


def test_rows_in_another_member_of_a_gzip_file_are_not_overlooked(decoder: Decoder) -> None:
    assert decoded(decoder, zipped(b"a\n") + zipped(b"1\n")) == [{"a": "1"}]


def test_types_that_cost_reports_do_not_have_become_plain(decoder: Decoder) -> None:
    table = pa.table(
        {
            "dictionary": pa.array(["x"]).dictionary_encode(),
            "large": pa.array(["x"], pa.large_string()),
            "view": pa.array(["x"], pa.string_view()),
            "bytes": pa.array([b"x"]),
            "map": pa.array([[("k", "v")]], pa.map_(pa.string(), pa.string())),
            "nested": pa.array([[{"k": [Decimal("1.5")]}]]),
            "nanoseconds": pa.array([1_790_812_800_000_000_000], pa.timestamp("ns")),
        }
    )

    rows = decoded(decoder, parquet(table, use_deprecated_int96_timestamps=True))

    assert rows == [
        {
            **dict.fromkeys(("dictionary", "large", "view", "bytes"), "x"),
            "map": [("k", "v")],
            "nested": [{"k": [Decimal("1.5")]}],
            "nanoseconds": datetime(2026, 10, 1, tzinfo=UTC).replace(tzinfo=None),
        }
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "first line of a.file is empty"),
        (b"\n1,2\n", "first line of a.file is empty"),
        (b"a,b\n1\n", "row of 1 values, but its first line has 2"),
        (b"a,b\n1,2,3\n", "row of 3 values, but its first line has 2"),
        (b"a,b\n\xff\xfe,2\n", "cannot be read as CSV: it is damaged or not in UTF-8"),
        (b"a,b", "first line of a.file, which has the names of the columns, has no end: the file was cut off"),
        (zipped(b"a,b"), "has no end: the file was cut off"),
        (b"<html>AccessDenied</html>", "has no end"),
        (b"PK\x03\x04" + b"\x00" * 300_000, "has no end"),
        (b"\xff\xfea\x00\n", "first line of a.file cannot be read"),
        (b'"a,b\n1,2\n', "first line of a.file cannot be read"),
        (b",".join(b"a" for _ in range(201)) + b"\n", "has 201 columns; at most 200"),
        (b"a\n" + b"x" * 65_537 + b"\n", "A value of column a of a.file has 65,537 bytes; at most 65,536"),
        (zipped(b"a,b\n1,2\n")[:-4], "not all of it has arrived"),
        (zipped(b"a,b\n1,2\n")[:-8] + b"\x00" * 8, "cannot be read as CSV: it is damaged"),
        (b"\x1f\x8bnothing", "cannot be read as CSV: it is damaged"),
        (b"PAR1", "cannot be read as Parquet"),
        (b"PAR1" + b"\x00" * 100 + struct.pack("<I", 90) + b"PAR1", "cannot be read as Parquet"),
        (parquet(pa.table({f"c{number}": [1] for number in range(201)})), "has 201 columns; at most 200"),
        (parquet(pa.table({"a": pa.array([{f"c{number}": 1 for number in range(201)}])})), "has 201 columns; at most 200"),
        (parquet(pa.table({"n" * 301: [1]})), "has a column whose name has more than 300 characters"),
        (parquet(pa.table({"a": nested(8)})), "has columns of more than 8 levels"),
        (parquet(pa.table({"a": [[None] * 5_000_000]})), "A value of column a of a.file has 40,000,000 bytes; at most 65,536"),
        (parquet(pa.table({"a": ["x" * 65_537]})), "A value of column a of a.file has 65,537 bytes"),
        (parquet(pa.table({"a": [[{"b": ["x" * 65_537]}]]})), "A value of column a of a.file has 65,537 bytes"),
        (parquet(pa.table({"a": [list(range(10_000))]})), "A value of column a of a.file has 80,000 bytes"),
        (
            parquet(pa.table({"a": pa.array([[(str(place), 1) for place in range(9_000)]], MAP)})),
            "A value of column a of a.file has 106,890",
        ),
        (parquet(pa.table({"a": pa.array([b"\xff"])})), "A value of column a of a.file is not UTF-8"),
        (parquet(pa.table({"a": ["\u00fc"]})).replace("\u00fc".encode(), b"\xff\xff"), "A value of column a of a.file is not UTF-8"),
        (parquet(pa.table({"\u00fc": ["a"]})).replace("\u00fc".encode(), b"\xff\xff"), "cannot be read as Parquet"),
        (parquet(pa.table({"a": pa.array([1], pa.duration("s"))})), "Column a of a.file has a type that cost exports do not have"),
        (parquet(pa.table({"a": pa.array([1, 2, 3])}))[:-20] + b"PAR1", "cannot be read as Parquet"),
    ],
)
def test_a_file_that_is_not_as_it_should_be_is_refused_by_its_name(decoder: Decoder, content: bytes, message: str) -> None:
    with pytest.raises(StepError, match=message):
        decoded(decoder, content)

    assert decoded(decoder, b"a\n1\n") == [{"a": "1"}], "the process lives on"


def test_a_gzip_bomb_is_refused_while_it_is_inflated(decoder: Decoder) -> None:
    bomb = zipped(b"a\n" + (b"x" * 999 + b"\n") * 50_000)
    assert len(bomb) < 2**18

    with pytest.raises(StepError, match=r"becomes more than 50 times as large"):
        decoded(decoder, bomb)

    small = zipped(b"a\n" + b"1\n" * 20_000)
    assert len(decoded(decoder, small)) == 20_000, "a small file may be repetitive"


def test_a_row_group_that_is_too_large_is_refused_by_the_footer() -> None:
    wide = pa.table({f"c{place}": pa.array(range(20_000)) for place in range(10)})

    with Decoder(replace(BOUNDS, row_group_bytes=2**20), silence_seconds=30) as decoder:
        with pytest.raises(StepError, match=r"A row group of a\.file has 1,.* bytes, uncompressed; at most 1,048,576"):
            decoded(decoder, parquet(wide, use_dictionary=False))
        assert len(decoded(decoder, parquet(wide, use_dictionary=False, row_group_size=5000))) == 20_000


def test_rows_beyond_the_limit_are_refused_by_the_footer_or_while_they_are_counted(decoder: Decoder) -> None:
    for content in (parquet(pa.table({"a": ["1", "2", "3"]})), b"a\n1\n2\n3\n"):
        with pytest.raises(StepError, match=r"at most (2 are|so many are)"):
            decoded(decoder, content, rows=2)


def test_values_that_take_much_more_memory_than_the_file_are_refused(decoder: Decoder) -> None:
    """One value of the dictionary in a million rows: 64 GB of rows in a file of some kilobytes."""
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 1_000_000, pa.int32()), pa.array(["x" * 65_000]))
    content = parquet(pa.table({"a": column}), store_schema=False)
    assert len(content) < 200_000

    with pytest.raises(StepError, match=f"takes more than {BOUNDS.memory_bytes:,} bytes of memory"):
        decoded(decoder, content)

    assert decoded(decoder, b"a\n1\n") == [{"a": "1"}]


def test_a_small_file_whose_rows_become_much_larger_is_refused(decoder: Decoder) -> None:
    """A text of the dictionary in many rows. No batch of them takes much memory."""
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 80_000, pa.int32()), pa.array(["x" * 4_000]))
    content = parquet(pa.table({"a": column}), store_schema=False)

    with pytest.raises(StepError, match=r"The rows of a\.file take more than 268,435,456 bytes, at least 200 times as much as the file"):
        decoded(decoder, content)


def test_large_rows_come_in_small_frames(decoder: Decoder) -> None:
    rows = [{"a": f"{number:05}" + "x" * 60_000} for number in range(1000)]
    with Path(f"/dev/shm/decoded-{os.getpid()}").open("w+b") as file:
        file.write(parquet(pa.Table.from_pylist(rows)))
        file.flush()
        batches = list(decoder.batches(file, "a.file", rows=1_000, check_cancelled=lambda: None))

    assert [value[:5] for batch in batches for value in batch["a"].to_pylist()] == [f"{number:05}" for number in range(1000)]
    assert len(batches) > 1
    assert max(batch.nbytes for batch in batches) <= 32 * 2**20


def test_rows_that_become_large_as_json_come_in_small_frames_too(decoder: Decoder) -> None:
    """Bits in columns with long names: a megabyte that would become gigabytes."""
    table = pa.table({f"{place:03}".ljust(300, "n"): pa.array([True] * 20_000) for place in range(100)})
    with Path(f"/dev/shm/decoded-{os.getpid()}").open("w+b") as file:
        file.write(parquet(table))
        file.flush()
        batches = list(decoder.batches(file, "a.file", rows=20_000, check_cancelled=lambda: None))

    assert sum(batch.num_rows for batch in batches) == 20_000
    assert max(batch.num_rows for batch in batches) * 300 * 100 <= 2**27


def test_a_file_whose_rows_were_not_all_taken_does_not_disturb_the_next(decoder: Decoder) -> None:
    with Path(f"/dev/shm/decoded-{os.getpid()}").open("w+b") as file:
        file.write(parquet(pa.table({"a": range(50_000)})))
        file.flush()
        next(decoder.batches(file, "a.file", rows=50_000, check_cancelled=lambda: None))

    assert decoded(decoder, b"b\n1\n") == [{"b": "1"}]


def test_the_process_has_nothing_of_the_executor_s(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVERGENCE_NOTIFY_SMTP_PASSWORD", "geheim")
    with Decoder(BOUNDS, silence_seconds=30) as opened, Path("/dev/shm").joinpath(f"secret-{os.getpid()}").open("w+b") as secret:
        process = Path("/proc") / str(process_of(opened))
        decoded(opened, b"a\n1\n")
        environment = process.joinpath("environ").read_bytes()
        descriptors = [str(path.readlink()) for path in process.joinpath("fd").iterdir()]
        limits = process.joinpath("limits").read_text()
    Path(secret.name).unlink()

    assert b"geheim" not in environment
    assert b"CONVERGENCE" not in environment
    assert not any("secret" in one for one in descriptors)
    assert len(descriptors) == 4, descriptors
    assert f"Max data size             {BOUNDS.memory_bytes}" in limits
    assert "Max file size             0" in limits


def test_a_process_of_the_same_user_cannot_read_the_executor_s_memory() -> None:
    code = (
        "import ctypes; from services.executor.sources.files.decode.decoder import Bounds, Decoder\n"
        f"with Decoder({BOUNDS!r}, silence_seconds=5) as decoder:\n    decoder.start()\n"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"  # PR_GET_DUMPABLE
    )

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "0"


def test_the_process_imports_no_service_and_no_cloud() -> None:
    """It starts in a tenth of a second, and has little that a file could use."""
    code = (
        "import sys; from services.executor.sources.files.decode import child, frames, csv_file, parquet_file;"
        "print([name for name in sys.modules if name.split('.')[0] in ('pydantic', 'grpc', 'google', 'boto3', 'azure', 'yaml')])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def program(text: str) -> tuple[str, ...]:
    """A program in the place of the process; `connection` is its socket."""
    return (sys.executable, "-c", f"import os, signal, socket, sys, time\nconnection = socket.socket(fileno=int(sys.argv[1]))\n{text}")


BROKEN = "broke off: the file is damaged or malicious"


@pytest.mark.parametrize(
    ("text", "message", "is_retryable"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", BROKEN, False),
        ("sys.exit(0)", BROKEN, False),
        ("os.kill(os.getpid(), signal.SIGKILL)", "was killed, most likely for want of memory", True),
        ("os.kill(os.getpid(), signal.SIGXCPU)", "more than 60 s of CPU time", False),
        ("time.sleep(600)", r"made no progress for 1 s and was stopped", False),
        ("connection.sendall(b'B' + (2**40).to_bytes(8, 'little')); time.sleep(600)", BROKEN, False),
        ("connection.sendall(b'B' + (10).to_bytes(8, 'little') + b'0123456789'); time.sleep(600)", BROKEN, False),
        ("connection.sendall(b'B' + (1000).to_bytes(8, 'little') + b'half')", BROKEN, False),
        ("connection.sendall(b'?' + (2).to_bytes(8, 'little') + b'{}'); time.sleep(600)", BROKEN, False),
        ("connection.sendall(b'E' + (3).to_bytes(8, 'little') + b'[1]'); time.sleep(600)", BROKEN, False),
        ("connection.sendall(b'E' + (10).to_bytes(8, 'little') + b'{\"rows\":0}'); time.sleep(600)", BROKEN, False),
        ("connection.sendall(b'E' + (10).to_bytes(8, 'little') + b'{\"rows\":5}'); time.sleep(600)", BROKEN, False),
    ],
)
def test_a_process_that_a_file_has_captured_or_broken_does_no_harm(text: str, message: str, is_retryable: bool) -> None:
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    with Decoder(BOUNDS, silence_seconds=1, command=program(f"connection.recv(4096)\n{text}")) as opened:
        process = process_of(opened)
        with pytest.raises(StepError, match=message) as caught:
            decoded(opened, b"a\n1\n")

    assert caught.value.is_retryable is is_retryable
    assert not Path(f"/proc/{process}").exists(), "it is gone, not a zombie"
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


def test_rows_that_are_not_valid_arrow_are_refused() -> None:
    """Offsets that lead out of the buffer would read other memory of the executor."""
    good = pa.record_batch({"a": pa.array(["a", "b"])})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, good.schema) as writer:
        writer.write_batch(good)
    offsets = struct.pack("<3i", 0, 1, 2)
    content = sink.getvalue().to_pybytes().replace(offsets, struct.pack("<3i", 0, 2**20, 2**21))
    text = f"connection.recv(4096)\nconnection.sendall({frames.HEADER.pack(frames.ROWS, len(content)) + content!r}); time.sleep(600)"

    with Decoder(BOUNDS, silence_seconds=5, command=program(text)) as opened, pytest.raises(StepError, match=BROKEN):
        decoded(opened, b"a\n1\n")


def test_a_cancelled_run_does_not_wait_for_the_process() -> None:
    class Ended(Exception):
        pass

    def check_cancelled() -> None:
        raise Ended

    with Decoder(BOUNDS, silence_seconds=600, command=program("time.sleep(600)")) as opened:
        process = process_of(opened)
        with Path(f"/dev/shm/decoded-{os.getpid()}").open("w+b") as file, pytest.raises(Ended):
            next(opened.batches(file, "a.file", rows=1, check_cancelled=check_cancelled))

    assert not Path(f"/proc/{process}").exists()


def test_cpu_time_is_bounded() -> None:
    text = "from services.executor.sources.files.decode.child import confine\nconfine(2**30, 1)\nwhile True: pass"

    bounds = replace(BOUNDS, cpu_seconds=1)
    with Decoder(bounds, silence_seconds=60, command=program(text)) as opened, pytest.raises(StepError, match="more than 1 s of CPU time"):
        decoded(opened, b"a\n1\n")


def test_a_note_of_a_captured_process_is_cut() -> None:
    note = json.dumps({"message": "x" * 5000}).encode()
    text = f"connection.recv(4096)\nconnection.sendall({frames.HEADER.pack(frames.REFUSED, len(note)) + note!r})"

    with Decoder(BOUNDS, silence_seconds=5, command=program(text)) as opened, pytest.raises(StepError) as caught:
        decoded(opened, b"a\n1\n")

    assert len(caught.value.message) == 1000


def test_one_process_serves_all_files_of_a_run(decoder: Decoder) -> None:
    before = process_of(decoder)
    for _ in range(3):
        decoded(decoder, parquet(pa.Table.from_pylist(ROWS)))

    assert process_of(decoder) == before


def test_zlib_streams_are_no_gzip_files(decoder: Decoder) -> None:
    with pytest.raises(StepError):
        decoded(decoder, zlib.compress(b"a,b\n1,2\n"))


def test_times_are_read_as_they_are(decoder: Decoder) -> None:
    when = datetime(2026, 10, 1, 5, tzinfo=UTC)

    assert decoded(decoder, parquet(pa.table({"a": pa.array([when], pa.timestamp("ms", tz="UTC"))}))) == [{"a": when}]


def test_damaged_files_are_refused_whatever_is_damaged(decoder: Decoder) -> None:
    """Some of these crash Arrow (an exception that C++ does not catch): that ends the process, not the test."""
    rng = random.Random(20261126)
    table = pa.Table.from_pylist([{"a": f"text {number}", "b": number / 7, "c": [{"d": number}]} for number in range(300)])
    text = ("a,b\n" + "".join(f"text {number},{number / 7}\n" for number in range(300))).encode()
    files = [parquet(table, compression=one, row_group_size=100) for one in ("snappy", "zstd", "gzip")] + [text, zipped(text)]
    refused = 0
    for _ in range(200):
        content = bytearray(rng.choice(files))
        for _ in range(rng.choice([1, 2, 20])):
            place = rng.randrange(len(content))
            content[place : place + rng.randrange(3)] = bytes(rng.randrange(256) for _ in range(rng.randrange(3)))
        try:
            decoded(decoder, bytes(content))
        except StepError:
            refused += 1

    assert refused > 100


@pytest.mark.parametrize("content", [b"a,b\n", b"a,b\r\n\r\n", zipped(b"a,b\r\n"), parquet(pa.table({"a": ["x"], "b": [1]}).slice(0, 0))])
def test_a_file_without_rows_still_says_its_columns(decoder: Decoder, content: bytes) -> None:
    with Path(f"/dev/shm/decoded-{os.getpid()}").open("w+b") as file:
        file.write(content)
        file.flush()
        (batch,) = decoder.batches(file, "a.file", rows=1, check_cancelled=lambda: None)

    assert (batch.num_rows, batch.schema.names) == (0, ["a", "b"])
