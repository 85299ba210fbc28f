"""Spool files on a disk that is full, or filled by one tenant. /dev/full is the kernel's own full disk."""

import gc
import math
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prometheus_client import REGISTRY

from services.executor.errors import StepError
from services.executor.sources.row_groups import GROUP_BYTES, GROUP_ROWS, Packing, row_groups
from services.executor.sources.spool import SpoolRoom, spool, spool_parts, temporary, writing

SCHEMA = pa.schema([("id", pa.int64()), ("text", pa.string())])


def table(rows: int, *, seed: int = 0) -> pa.Table:
    """Rows that compress badly."""
    texts = random.Random(seed)
    return pa.Table.from_pydict({"id": range(rows), "text": [texts.randbytes(16).hex() for _ in range(rows)]}, schema=SCHEMA)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def on_full_disk(**_: Any) -> IO[bytes]:
        return Path("/dev/full").open("r+b")

    monkeypatch.setattr(tempfile, "TemporaryFile", on_full_disk)


def test_what_is_free_and_taken_is_shown(tmp_path: Path) -> None:
    """Also while the folder is not there yet, and when its disk does not answer."""
    disk: dict[Path, int] = {tmp_path: 7_000}

    def free(folder: Path) -> int:
        if folder not in disk:
            raise OSError
        return disk[folder]

    def value(name: str) -> float | None:
        return REGISTRY.get_sample_value(f"convergence_spool_{name}_bytes")

    room = SpoolRoom(tmp_path / "not" / "yet", free=free)
    room.show()
    assert (value("free"), value("taken")) == (7_000, 0)
    disk[room.folder] = 100
    for tenant_id in ("acme", "other"):
        room.take(tenant_id, 10)
    room.give_back("acme", 4)
    assert value("taken") == 16
    disk.clear()
    assert math.isnan(value("free") or 0)


@pytest.mark.usefixtures("full_disk")
@pytest.mark.parametrize("rows", [1, 50_000])
def test_a_full_disk_is_named_whether_it_shows_at_a_write_or_only_at_the_end(tmp_path: Path, rows: int) -> None:
    """A small file stays in its buffer until it is flushed. Another try may find room."""
    room = SpoolRoom(tmp_path)
    with pytest.raises(StepError, match=r"could not write its spool file\. Run it again in a moment") as failed:
        spool([table(rows)], SCHEMA, room=room, tenant_id="acme")
    assert failed.value.is_retryable
    gc.collect()  # nothing is raised when what is left is dropped
    room.take("acme", 0)


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_is_named_for_a_downloaded_file_too(tmp_path: Path) -> None:
    """What its buffer still holds is not written again when it is closed: that error would hide the first."""

    def download() -> None:
        with temporary(tmp_path) as file, writing():
            file.write(b"x")
            file.flush()

    with pytest.raises(StepError, match="could not write its spool file"):
        download()


def test_an_error_of_the_source_is_not_taken_for_one_of_the_disk(tmp_path: Path) -> None:
    room = SpoolRoom(tmp_path)

    def broken() -> Iterator[pa.Table]:
        yield table(10)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        spool(broken(), SCHEMA, room=room, tenant_id="acme")
    assert room.taken("acme") == 0


def test_rows_come_back_and_the_room_is_given_back(tmp_path: Path) -> None:
    room = SpoolRoom(tmp_path)
    with spool([table(100), table(0), table(50, seed=1)], SCHEMA, room=room, tenant_id="acme") as spooled:
        assert 0 < room.taken("acme") <= spooled.size
        assert (spooled.rows, pq.read_table(spooled.file).num_rows) == (150, 150)
        assert list(tmp_path.iterdir()) == [], "it has no name"
    assert (room.taken("acme"), spooled.file.closed) == (0, True)


def test_what_a_thread_returns_to_a_run_that_is_over_takes_no_room(tmp_path: Path) -> None:
    room = SpoolRoom(tmp_path)
    spooled = spool([table(100)], SCHEMA, room=room, tenant_id="acme")
    file = spooled.file
    assert room.taken("acme") > 0
    del spooled
    gc.collect()
    assert (room.taken("acme"), file.closed) == (0, True)


def test_a_tenant_takes_half_of_the_room_at_most_and_others_find_as_much(tmp_path: Path) -> None:
    """Its runs together. One that asks for more fails alone, gives back what it has taken, and what was spooled before stays."""
    piece = [table(5_000)]
    with spool(piece, SCHEMA, room=SpoolRoom(tmp_path), tenant_id="greedy") as measured:
        disk = int(measured.size * 3.5)
    room = SpoolRoom(tmp_path, free=lambda _: disk - sum(map(room.taken, ("greedy", "good"))))
    with spool(piece, SCHEMA, room=room, tenant_id="greedy") as first:
        assert first.size < disk / 2 < 2 * first.size
        with pytest.raises(StepError, match="a tenant may take half") as refused:
            spool(piece, SCHEMA, room=room, tenant_id="greedy")
        assert refused.value.is_retryable
        assert room.taken("greedy") <= first.size
        with spool(piece, SCHEMA, room=room, tenant_id="good") as other:
            assert other.rows == first.rows == 5_000
    with spool(piece, SCHEMA, room=room, tenant_id="greedy") as again:
        assert again.rows == 5_000


def test_many_rows_are_in_several_files_and_few_in_one(tmp_path: Path) -> None:
    """A file ends with the table that fills it, or with the one after that, which is made meanwhile; none is lost, and none is empty."""
    room = SpoolRoom(tmp_path)

    def written(tables: list[pa.Table], most: int) -> list[tuple[list[int], bool]]:
        found = list[tuple[list[int], bool]]()
        for part, is_last in spool_parts(iter(tables), SCHEMA, room=room, tenant_id="acme", most=most):
            with part:
                rows = pq.read_table(part.file)
                found.append((rows["id"].to_pylist(), is_last))
                assert part.rows == rows.num_rows
        return found

    pieces = [table(10, seed=seed).slice(seed, 1) for seed in range(7)]
    assert written([], 1) == [([], True)]
    assert written(pieces, 2**20) == [(list(range(7)), True)]
    parts = written(pieces, 1)
    assert [one for ids, _ in parts for one in ids] == list(range(7))
    assert [is_last for _, is_last in parts] == [False] * (len(parts) - 1) + [True]
    assert 3 <= len(parts) <= 7
    assert all(ids for ids, _ in parts)
    assert room.taken("acme") == 0


def test_what_is_left_after_many_files_is_in_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.executor.sources.spool.MOST_PARTS", 2)
    parts = list(spool_parts(iter([table(1)] * 20), SCHEMA, room=SpoolRoom(tmp_path), tenant_id="acme", most=1))
    assert (len(parts), sum(part.rows for part, _ in parts)) == (3, 20)


def test_rows_are_in_large_groups_as_long_as_these_take_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What repeats is written once a group. All rows are there, in order."""
    ids = pa.table({"id": range(GROUP_ROWS), "text": pa.nulls(GROUP_ROWS, pa.string())}, schema=SCHEMA)
    pieces = [ids.slice(begin, 20_480) for begin in range(0, GROUP_ROWS, 20_480)]

    def groups() -> list[int]:
        with spool([*pieces, pieces[0]], SCHEMA, room=SpoolRoom(tmp_path), tenant_id="acme") as spooled:
            written = pq.ParquetFile(spooled.file)
            assert written.read()["id"].to_pylist() == [*range(GROUP_ROWS), *range(20_480)]
            return [written.metadata.row_group(number).num_rows for number in range(written.num_row_groups)]

    assert groups() == [GROUP_ROWS, 20_480]
    monkeypatch.setattr("services.executor.sources.spool.GROUP_BYTES", pieces[0].nbytes * 2)
    assert groups() == [40_960, 40_960, 40_960, 20_480]


def test_texts_that_repeat_take_little_memory_and_are_read_as_they_came(tmp_path: Path) -> None:
    """Also in a STRUCT, among NULLs, and where later rows have other texts than the first; in as large groups as if they were short."""
    schema = pa.schema([("place", pa.struct([("zone", pa.string()), ("none", pa.string())])), ("text", pa.string()), ("id", pa.int64())])
    zones = ["us-central1-a" * 100, None, "europe-west1-b" * 100]

    def piece(begin: int, rows: int) -> pa.Table:
        places = [None if n % 7 == 0 else {"zone": zones[n % 3] if begin < 60_000 else str(n)} for n in range(begin, begin + rows)]
        texts = [None if n % 11 == 0 else f"{n:>200}" for n in range(begin, begin + rows)]
        return pa.Table.from_pydict({"place": places, "text": texts, "id": range(begin, begin + rows)}, schema=schema)

    pieces = [piece(begin, 20_000) for begin in range(0, 140_000, 20_000)]
    assert sum(one.nbytes for one in pieces[:3]) > GROUP_BYTES
    with spool(pieces, schema, room=SpoolRoom(tmp_path), tenant_id="acme") as spooled:
        written = pq.ParquetFile(spooled.file)
        assert written.schema_arrow.equals(schema)
        assert written.read().equals(pa.concat_tables(pieces))
        groups = [written.metadata.row_group(number).num_rows for number in range(written.num_row_groups)]
        assert groups == [GROUP_ROWS, 140_000 - GROUP_ROWS]
    plain = Packing.of(schema, pieces[0])
    assert plain.schema.field("text").type == pa.string()  # each its own


def test_a_group_of_wide_rows_has_as_many_as_fit_without_a_rest() -> None:
    """DuckDB writes rows twice that come in other numbers than it keeps together."""
    wide = [table(count) for count in (50_000, 13_000, 7_000, 40_000, 30_000)]
    groups = list(row_groups(iter(wide), 61_500 * wide[0].nbytes // 50_000))
    assert pa.concat_tables(groups).equals(pa.concat_tables(wide))
    assert [group.num_rows for group in groups] == [61_440, 61_440, 17_120]


def test_what_a_full_file_has_taken_is_written_to_it(tmp_path: Path) -> None:
    """Also the rows that did not fit into a group."""
    rows = [table(25, seed=seed) for seed in range(4)]
    parts = list(spool_parts(iter(rows), SCHEMA, room=SpoolRoom(tmp_path), tenant_id="acme", most=1))
    assert pa.concat_tables([pq.ParquetFile(part.file).read() for part, _ in parts]).equals(pa.concat_tables(rows))
    assert len(parts) > 1
