"""A read session of several streams, and a day with more rows than a run may read. The reader is BigQuery's client as we use it."""

import threading
from collections.abc import Generator, Iterator
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest
from google.cloud.bigquery_storage_v1 import types

from services.executor.errors import StepError
from services.executor.metering.cap import CapExceeded, RunCap
from services.executor.metering.meter import Reading, RunMeter
from services.executor.records import Period
from services.executor.sources import overlap
from services.executor.sources.gcp.export_source import ExportPart, ExportSelection
from services.executor.sources.gcp.exports import TableName
from services.executor.sources.gcp.prices import GcpPrices
from services.executor.sources.gcp.read_streams import read_session
from services.executor.sources.gcp.source import GROUP_ROWS, GcpExport, RowLimits
from services.executor.staging.shape import StagingShape
from services.executor.workers import Cancelled
from services.platform.bigquery.ddl import load_tables
from services.platform.settings import REPOSITORY

SCHEMA = pa.schema([("id", pa.int64())])
SECONDS = 30.0
"""For what happens at once."""
DAY = date(2025, 11, 17)
STAGED = StagingShape.of(load_tables(REPOSITORY / "configs" / "bigquery" / "staging")["x_staging_gcp_billing"]).arrow


class Reader:
    """Streams of two batches of one row each: stream `3` has the rows 30 and 31."""

    def __init__(self, *, hangs: bool = False) -> None:
        self.opened, self._hangs = dict[str, Stream](), hangs

    def read_rows(self, name: str) -> "Stream":
        stream = self.opened[name] = Stream(int(name), hangs=self._hangs)
        return stream


class Stream:
    def __init__(self, number: int, *, hangs: bool) -> None:
        self._number, self._hangs, self._answers = number, hangs, threading.Event()
        self.is_cancelled = False

    def __iter__(self) -> Iterator[types.ReadRowsResponse]:
        for row in range(2):
            if self._hangs:
                self._answers.wait(SECONDS)
                return
            batch = pa.RecordBatch.from_pydict({"id": [self._number * 10 + row]}, schema=SCHEMA)
            rows = types.ArrowRecordBatch(serialized_record_batch=batch.serialize().to_pybytes())
            yield types.ReadRowsResponse(arrow_record_batch=rows, uncompressed_byte_size=100)

    def cancel(self) -> None:
        self.is_cancelled = True
        self._answers.set()


def session(streams: int) -> types.ReadSession:
    schema = types.ArrowSchema(serialized_schema=SCHEMA.serialize().to_pybytes())
    return types.ReadSession(arrow_schema=schema, streams=[types.ReadStream(name=str(number)) for number in range(streams)])


def reading(meter: RunMeter) -> Reading:
    return meter.step("extract", 1).allow(10, usd_per_tib=0.0)


@pytest.mark.parametrize("at_once", [1, 2, 8])
def test_every_row_of_every_stream_is_read_and_counted_once(at_once: int) -> None:
    meter, reader = RunMeter(), Reader()
    batches = list(read_session(reader, session(5), reading(meter), at_once, lambda: None))
    assert sorted(row for batch in batches for row in batch["id"].to_pylist()) == [place * 10 + row for place in range(5) for row in (0, 1)]
    assert meter.cost.bytes_read == 1000
    assert set(reader.opened) == {"0", "1", "2", "3", "4"}
    assert list(read_session(reader, session(0), reading(meter), at_once, lambda: None)) == []


def test_a_run_that_is_over_cancels_the_streams_in_which_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, "LOOK_SECONDS", 0.05)

    def over() -> None:
        raise Cancelled

    reader = Reader(hangs=True)
    with pytest.raises(Cancelled):
        list(read_session(reader, session(1), reading(RunMeter()), 1, over))
    assert reader.opened["0"].is_cancelled


def test_a_cap_ends_the_reading_of_all_streams() -> None:
    meter, reader = RunMeter(cap=RunCap(bytes_read=350)), Reader()
    with pytest.raises(CapExceeded):
        list(read_session(reader, session(100), reading(meter), 4, lambda: None))
    assert len(reader.opened) < 20


class Cloud:
    """A project with one export."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self.is_closed = False

    def read(self, *given: Any) -> Generator[pa.RecordBatch]:
        time = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
        try:
            for _batch in range(3):
                yield pa.RecordBatch.from_pydict({"usage_start_time": [time] * self._rows, "cost": [0.1] * self._rows})
        finally:
            self.is_closed = True


def exported(cloud: Cloud, *, max_rows: int) -> GcpExport:
    part = ExportPart(table=TableName(project="p", dataset="d", table="t"), period=Period.of([DAY]))
    stub: Any = cloud
    prices = GcpPrices(query=0.0, storage_read=0.0)
    return GcpExport(stub, ExportSelection(parts=(part,), reason=""), prices, limits=RowLimits(most=max_rows))


def test_a_day_with_more_rows_than_a_run_may_read_fails_and_says_what_to_do() -> None:
    """As many as it may read are read; large batches are cut, small ones put together."""
    rows = GROUP_ROWS * 5 // 3 + 1
    tables = list(exported(Cloud(rows), max_rows=rows * 3).read(STAGED, lambda: None))
    assert sum(table.num_rows for table in tables) == rows * 3
    assert max(table.num_rows for table in tables) < 2 * GROUP_ROWS
    cloud = Cloud(rows)
    with pytest.raises(StepError, match=r"more than 100,001 rows.*CONVERGENCE_READ_MAX_ROWS") as refused:
        list(exported(cloud, max_rows=rows * 3 - 1).read(STAGED, lambda: None))
    assert not refused.value.is_retryable
    assert cloud.is_closed
