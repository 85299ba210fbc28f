"""Makes the emulator's Storage Read API refuse sessions on views, as BigQuery does, and read a large table as fast as DuckDB can.

BigQuery reads tables only: "non-table entities cannot be read with the storage API". local-bigquery also reads views. So a read of a view
that works locally would fail in the first real project.

local-bigquery reads each stream of a session by LIMIT and OFFSET, so it reads all rows before the stream: with ten streams, five times the
table. And it sends a stream's 100,000 rows as one message, 40 MB for an export, which each side holds several times. BigQuery's messages
have a few MB at most. Here a stream is a range of row ids, which DuckDB finds without reading, and is sent in batches of BATCH_ROWS. If
rows have no ids (a table with row access policies), only the batches differ.

Upstream would have to do all three in `grpc.read`.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Final

import duckdb
import grpc
from google.cloud.bigquery_storage_v1 import types
from local_bigquery.catalog import tables
from local_bigquery.engine import database
from local_bigquery.grpc import read, server

from localcloud.bigquery.version import require_known_version

VIEWS: Final = {"VIEW", "MATERIALIZED_VIEW"}
BATCH_ROWS: Final = 4096
"""Rows in one message; about 2 MB for an export. Two of DuckDB's vectors."""
SERVICE: Final = "google.cloud.bigquery.storage.v1.BigQueryRead"
PLACE: Final = "_place_of_row"
_FROM: Final = " FROM (SELECT "

type Session = types.ReadSession

_query: Callable[..., Any] = read._query  # noqa: SLF001
_create_session: Callable[..., Session] = read.create_session
_read_rows: Callable[..., Any] = read.read_rows


def install() -> None:
    """Replaces how local-bigquery queries a session's table and reads streams. RuntimeError if it is not the known version."""
    require_known_version()
    if "_query" not in _create_session.__code__.co_names:
        raise RuntimeError("local-bigquery has changed: create_session no longer calls _query")
    read._query = query  # noqa: SLF001
    # These two are bound where the server's methods are listed.
    methods = server.SERVICES[SERVICE]
    methods["CreateReadSession"] = server._unary(create_session, types.CreateReadSessionRequest, types.ReadSession)  # noqa: SLF001
    methods["ReadRows"] = server._streaming(read_rows, types.ReadRowsRequest, types.ReadRowsResponse)  # noqa: SLF001


def query(path: str, *args: Any) -> Any:
    """`read._query`, for tables only."""
    kind = tables.load(*read.table(path)).type
    if kind in VIEWS:
        raise read.StorageError(grpc.StatusCode.INVALID_ARGUMENT, "request failed: non-table entities cannot be read with the storage API")
    return _query(path, *args)


def create_session(request: types.CreateReadSessionRequest) -> Session:
    """`read.create_session`: the same streams, but each selects its rows by their ids."""
    session = _create_session(request)
    names = [stream.name for stream in session.streams]
    streams = [read._streams[name] for name in names]  # noqa: SLF001
    if len(streams) > 1 and (stretches := _stretches(streams)):
        for name, stream, stretch in zip(names, streams, stretches, strict=True):
            read._streams[name] = dataclasses.replace(stream, query=stretch, start=0, end=stream.end - stream.start)  # noqa: SLF001
    return session


def read_rows(request: types.ReadRowsRequest) -> Iterator[types.ReadRowsResponse]:
    """`read.read_rows`, in batches of BATCH_ROWS."""
    stream = read._lookup(request.read_stream)  # noqa: SLF001
    if stream.avro or request.offset > stream.allocated:
        yield from _read_rows(request)
        return
    position, rows = int(request.offset), stream.end - stream.start - int(request.offset)
    with database.cursor() as cursor:
        found = cursor.sql(f"SELECT * FROM ({stream.query}) LIMIT {rows} OFFSET {stream.start + position}")  # noqa: S608 - numbers
        reader = found.to_arrow_reader(BATCH_ROWS)
        schema = types.ArrowSchema(serialized_schema=reader.schema.serialize().to_pybytes())
        for batch in reader:
            after = position + batch.num_rows
            yield types.ReadRowsResponse(
                row_count=batch.num_rows,
                stats=read._progress(stream, position, after),  # noqa: SLF001
                arrow_record_batch=types.ArrowRecordBatch(serialized_record_batch=batch.serialize().to_pybytes()),
                arrow_schema=schema,
            )
            position = after
            stream.allocated = max(stream.allocated, position)


def _stretches(streams: list[Any]) -> list[str]:
    """One query for each stream's rows; empty if the rows have no ids."""
    head, from_, rest = streams[0].query.partition(_FROM)
    source = rest.removesuffix(")")
    edges = ", ".join(str(stream.start) for stream in streams) + f", {streams[-1].end - 1}"
    numbered = f"SELECT {PLACE}, row_number() OVER () - 1 AS n FROM (SELECT rowid AS {PLACE}, {source})"  # noqa: S608
    try:
        with database.cursor() as cursor:
            if any(name.lower() == "rowid" for name in cursor.sql(f"SELECT {source} LIMIT 0").columns):
                return []
            places = [place for (place,) in cursor.sql(f"SELECT {PLACE} FROM ({numbered}) WHERE n IN ({edges}) ORDER BY n").fetchall()]  # noqa: S608
            *firsts, last = places
            if len(firsts) != len(streams) or sorted(places) != places:
                return []
            ends = [*(first - 1 for first in firsts[1:]), last]
            placed = f"{head}{from_}rowid AS {PLACE}, {rest} WHERE {PLACE}"
            queries = [f"{placed} BETWEEN {first} AND {end}" for first, end in zip(firsts, ends, strict=True)]
            cursor.sql(f"SELECT * FROM ({queries[0]}) LIMIT 0")  # noqa: S608
    except duckdb.Error:
        return []
    return queries
