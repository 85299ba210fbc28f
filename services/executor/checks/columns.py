"""Columns of a staging table, as templates name them: `cost`, `service.id`."""

import re
from dataclasses import dataclass

from services.executor.staging.shape import StagingShape
from services.platform.bigquery.query_parameters import struct_fields

NUMBERS = ("FLOAT64", "INT64")
_PATH = re.compile(r"[A-Za-z_]\w{0,127}(\.[A-Za-z_]\w{0,127}){0,5}", re.ASCII)
_WRAPPED = re.compile(r"(ARRAY|STRUCT)<(.*)>", re.DOTALL)
_TEXT_LENGTH = 200
"""Characters of a value in a sample; the rest is cut."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A scalar value of each row, or of each element of an ARRAY in the row."""

    path: str
    """As written in the template."""
    kind: str
    """GoogleSQL type of the value; neither STRUCT nor ARRAY."""
    array: str | None = None
    """The part of the path that is an ARRAY, if any."""

    @property
    def sql(self) -> str:
        """The value in row `s`; for an ARRAY the sum over its elements, 0 if it is empty."""
        if self.array is None:
            return f"s.{_quoted(self.path)}"
        inner = self.path.removeprefix(f"{self.array}.")
        return f"IFNULL((SELECT SUM(e.{_quoted(inner)}) FROM UNNEST(s.{_quoted(self.array)}) AS e), 0)"

    @property
    def text(self) -> str:
        """The value in row `s` as text, for a sample."""
        if self.kind == "STRING":
            return f"SUBSTR({self.sql}, 1, {_TEXT_LENGTH})"
        # BigQuery cannot cast JSON to STRING.
        return f"SUBSTR(TO_JSON_STRING({self.sql}), 1, {_TEXT_LENGTH})" if self.kind == "JSON" else f"CAST({self.sql} AS STRING)"


def find_column(shape: StagingShape, path: str, *, repeated: bool = False) -> Column:
    """The column at that path; `repeated`: the path may lead through an ARRAY. Raises ValueError, saying what is wrong, for any other
    path.
    """
    if not _PATH.fullmatch(path):
        raise ValueError(f"`{path}` is no column: letters, digits and underscores, with dots between the parts")
    array, fields = None, shape.columns
    parts = path.split(".")
    for depth, part in enumerate(parts, 1):
        here = ".".join(parts[:depth])
        if part not in fields:
            raise ValueError(f"{shape.name} has no column `{here}`")
        kind = fields[part].strip()
        match = _WRAPPED.fullmatch(kind)
        if match and match[1] == "ARRAY":
            if not repeated or array:
                raise ValueError(f"`{here}` is an ARRAY, which this check cannot look into")
            array, kind = here, match[2].strip()
            match = _WRAPPED.fullmatch(kind)
        fields = struct_fields(match[2]) if match else {}
    if fields or array == path:
        raise ValueError(f"`{path}` is no single value: name one of its parts")
    return Column(path=path, kind=kind, array=array)


def _quoted(path: str) -> str:
    return ".".join(f"`{part}`" for part in path.split("."))
