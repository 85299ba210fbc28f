"""Rows of a Parquet file. Runs in the child process."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from services.executor.errors import StepError
from services.executor.sources.files.decode.bounds import BATCH_ROWS, Bounds
from services.executor.sources.files.decode.growth import Growth
from services.executor.sources.files.decode.plain import no_rows, plain, plain_schema


def parquet_batches(path: str, name: str, bounds: Bounds) -> Iterator[pa.RecordBatch]:
    """All rows of the file at `path`, at least one batch. Its footer is checked before any row is decoded. Raises StepError, calling the
    file `name`.
    """
    try:
        opened = pq.ParquetFile(pa.OSFile(path), coerce_int96_timestamp_unit="us", pre_buffer=False, buffer_size=2**20)
        _check_footer(opened.metadata, name, bounds)
        schema, rows, growth = plain_schema(opened.schema_arrow, name, bounds), 0, Growth.of(path, name, bounds)
        for batch in opened.iter_batches(batch_size=BATCH_ROWS, use_threads=False):
            rows += batch.num_rows
            found = plain(batch, schema, name, bounds)
            growth.add(found)
            yield found
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:  # also of names that are no UTF-8
        if isinstance(error, MemoryError):
            raise
        raise StepError(f"{name} cannot be read as Parquet: it is damaged, or not all of it has arrived.") from error
    if not rows:
        yield no_rows(schema)
    if rows != opened.metadata.num_rows:
        raise StepError(f"{name} has {rows:,} rows, but its footer says {opened.metadata.num_rows:,}: it is damaged.")


def _check_footer(footer: pq.FileMetaData, name: str, bounds: Bounds) -> None:
    if footer.num_columns > bounds.columns:
        raise StepError(f"{name} has {footer.num_columns:,} columns; at most {bounds.columns:,} are read.")
    if footer.num_rows > bounds.rows:
        raise StepError(f"{name} has {footer.num_rows:,} rows; at most {bounds.rows:,} are read of a billing period.")
    for place in range(footer.num_row_groups):
        group = footer.row_group(place)
        size = max(group.total_byte_size, sum(group.column(column).total_uncompressed_size for column in range(group.num_columns)))
        if size > bounds.row_group_bytes:
            raise StepError(
                f"A row group of {name} has {size:,} bytes, uncompressed; at most {bounds.row_group_bytes:,} are read. Let the cloud write"
                " the export: its row groups are smaller."
            )
