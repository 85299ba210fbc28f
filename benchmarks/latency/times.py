"""How long BigQuery takes for a request, by the kind of the request."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What a request is, as far as its time is concerned."""

    STATEMENT = "statement"
    """A query job: one statement, or a script."""
    LOAD = "load"
    STREAM = "stream"
    """`tabledata.insertAll`."""
    METADATA = "metadata"
    """Datasets and tables, made, listed, described or dropped; also dry runs and the begin of an upload in parts."""
    RESULT = "result"
    """The state, or the rows, of a job that was sent before."""
    SESSION = "session"
    """`CreateReadSession` of the Storage Read API."""
    ROWS = "rows"
    """`ReadRows` of the Storage Read API, to the last row."""


JOBS: Final = frozenset({Kind.STATEMENT, Kind.LOAD})
"""What BigQuery takes about a second for, and budgets count."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Times:
    """Seconds that requests wait before the emulator gets them. The defaults are BigQuery's."""

    statement: float = 1.0
    load: float = 2.0
    stream: float = 0.1
    metadata: float = 0.15
    """Also of a RESULT."""
    session: float = 0.5
    each_of_a_script: bool = False
    """Whether a script takes a `statement` for each of its statements, as on BigQuery, where each is a job of its own, or one for all."""

    def of(self, kind: Kind, statements: int = 1) -> float:
        """Seconds for a request. `statements`: of a script, as `strict_bigquery.script.parse` counts them, without BEGIN and COMMIT."""
        match kind:
            case Kind.STATEMENT:
                return self.statement * (max(1, statements) if self.each_of_a_script else 1)
            case Kind.LOAD:
                return self.load
            case Kind.STREAM:
                return self.stream
            case Kind.METADATA | Kind.RESULT:
                return self.metadata
            case Kind.SESSION:
                return self.session
            case Kind.ROWS:
                return 0.0


AT_ONCE: Final = Times(statement=0.0, load=0.0, stream=0.0, metadata=0.0, session=0.0)
"""The emulator as it is."""
AS_BIGQUERY: Final = Times()
SCRIPTS_AS_BIGQUERY: Final = Times(each_of_a_script=True)
NAMED: Final[Sequence[tuple[str, Times]]] = (
    ("the emulator as it is", AT_ONCE),
    ("as BigQuery is, a script as one statement", AS_BIGQUERY),
    ("as BigQuery is, each statement of a script", SCRIPTS_AS_BIGQUERY),
)
