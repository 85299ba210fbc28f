"""How large the rows of a file become. Counted in the child process, and again in the executor, which does not trust the child."""

import os
from dataclasses import dataclass
from typing import Self

import pyarrow as pa

from services.executor.errors import StepError
from services.executor.sources.files.decode.bounds import FREE_DECODED, Bounds


@dataclass(slots=True)
class Growth:
    """The rows of one file so far. Parquet says a text of ten kilobytes once, however many rows have it."""

    file: str
    """For messages."""
    most: int
    """Bytes."""
    times: int
    decoded: int = 0

    @classmethod
    def of(cls, path: str | int, file: str, bounds: Bounds) -> Self:
        """Of the file with this path or descriptor. Raises OSError."""
        return cls(file=file, most=max(FREE_DECODED, bounds.growth * os.stat(path).st_size), times=bounds.growth)  # noqa: PTH116 - also a descriptor

    def add(self, batch: pa.RecordBatch) -> None:
        """Counts rows. Raises StepError once they are too large."""
        self.decoded += batch.nbytes
        if self.decoded > self.most:
            raise StepError(
                f"The rows of {self.file} take more than {self.most:,} bytes, at least {self.times} times as much as the file: no cost"
                " export repeats itself so much. It is not read. Export the month anew; if it stays so, ask the operator for a higher"
                " limit."
            )
