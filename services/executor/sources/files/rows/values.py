"""A column of a data file as the type of its staging column. Exports have the same column as DOUBLE, DECIMAL or text, as a timestamp of any
unit or as ISO 8601; an empty text is NULL.
"""

import re
from collections.abc import Callable, Mapping
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from services.executor.errors import StepError
from services.executor.sources.json_text import json_text

NUMERIC: Final = pa.decimal128(38, 9)
TIMESTAMP: Final = pa.timestamp("us", tz="UTC")
_WIDE: Final = pa.decimal256(76, 38)
"""Holds every text of a double from 1e-21 to 1e38 without rounding."""
_SAFE: Final = 2.0**53
"""Below it a double is the whole number that it says."""
_SURE: Final = 2.0**43
"""Billionths; 8,796 of a currency."""
_BILLIONTH: Final = pa.scalar(Decimal("1e-9"), pa.decimal128(9, 9))
_UNIT: Final = Decimal("1e-9")
_EXACT: Final = Context(prec=60, Emax=999_999, Emin=-999_999)
_NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,5})?", re.ASCII)
_DAY_FIRST: Final = "%m/%d/%Y"
"""Azure's days in CSV files: month, day, year."""


class ValueMisfit(StepError):
    """A column has values that its staging column cannot take."""

    def __init__(self, column: str, what: str) -> None:
        super().__init__(f"Column {column} of the export has values that are no {what}. Check how the export is made, and export it anew.")


def numeric(values: pa.Array, column: str) -> pa.Array:
    """As NUMERIC, nine decimals, rounded half to even; a double as its shortest text says. Raises ValueMisfit, also for NaN and the
    infinities.
    """
    kind = values.type
    if pa.types.is_null(kind):
        return values.cast(NUMERIC)
    try:
        if pa.types.is_decimal(kind):
            return _of_decimals(values)
        if pa.types.is_integer(kind):
            return values.cast(NUMERIC)
        if pa.types.is_float64(kind):
            _check_finite(values, column)
            return _of_doubles(values, column)
        if pa.types.is_floating(kind):  # of few digits: their own text says more than their double's
            _check_finite(values, column)
            return _of_texts(values.cast(pa.string()), column)
        if pa.types.is_string(kind):
            return _of_texts(_trimmed(values), column)
    except pa.ArrowException as error:
        raise ValueMisfit(column, AMOUNTS) from error
    raise ValueMisfit(column, AMOUNTS)


AMOUNTS: Final = "amounts (a finite number of at most 29 digits before the point)"


def number(values: pa.Array, column: str) -> pa.Array:
    """As FLOAT64. Raises ValueMisfit, also for NaN and the infinities."""
    kind = values.type
    if not (pa.types.is_null(kind) or pa.types.is_decimal(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        if not pa.types.is_string(kind):
            raise ValueMisfit(column, "finite numbers")
        values = _trimmed(values)
    try:
        found = values.cast(pa.float64(), safe=False)
    except pa.ArrowException as error:
        raise ValueMisfit(column, "finite numbers") from error
    _check_finite(found, column)
    return found


def whole(values: pa.Array, column: str) -> pa.Array:
    """As INT64. Raises ValueMisfit."""
    try:
        return numeric(values, column).cast(pa.int64())
    except pa.ArrowException as error:
        raise ValueMisfit(column, "whole numbers") from error


def timestamp(values: pa.Array, column: str) -> pa.Array:
    """As TIMESTAMP; without an offset it is UTC. Raises ValueMisfit."""
    kind = values.type
    try:
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_null(kind):
            found = values.cast(pa.timestamp("us", tz=getattr(kind, "tz", None)), safe=getattr(kind, "unit", "us") != "ns")
            found = found.cast(TIMESTAMP) if found.type.tz else pc.assume_timezone(found, "UTC")
            if not _is_datable(pc.year(found)):
                raise ValueMisfit(column, TIMES)
            return found
        if pa.types.is_string(kind):
            return _per_text(values, TIMESTAMP, _time)
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise ValueMisfit(column, TIMES) from error
    raise ValueMisfit(column, TIMES)


TIMES: Final = "times (ISO 8601)"


def day(values: pa.Array, column: str) -> pa.Array:
    """As DATE, in UTC. Raises ValueMisfit."""
    if not pa.types.is_date32(values.type):
        return timestamp(values, column).cast(pa.timestamp("us")).cast(pa.date32(), safe=False)
    if not _is_datable(pc.year(values)):
        raise ValueMisfit(column, TIMES)
    return values


def _is_datable(years: pa.Array) -> bool:
    """True if BigQuery and Python have these years."""
    found = pc.min_max(years).as_py()
    return found["min"] is None or (found["min"] >= MINYEAR and found["max"] <= MAXYEAR)


def boolean(values: pa.Array, column: str) -> pa.Array:
    """As BOOL. Raises ValueMisfit."""
    try:
        return (_trimmed(values) if pa.types.is_string(values.type) else values).cast(pa.bool_())
    except pa.ArrowException as error:
        raise ValueMisfit(column, "true or false") from error


def text(values: pa.Array, column: str) -> pa.Array:
    """As STRING: whole numbers without a point, times as ISO 8601, lists and maps as JSON."""
    del column  # every value has a text
    kind = values.type
    if pa.types.is_string(kind):
        return empty_as_null(values)
    if pa.types.is_floating(kind):
        wholes = pc.if_else(pc.and_(pc.equal(pc.floor(values), values), pc.less(pc.abs(values), _SAFE)), values, None)
        return pc.coalesce(wholes.cast(pa.int64()).cast(pa.string()), values.cast(pa.string()))
    if pa.types.is_decimal(kind):
        return pc.replace_substring_regex(pc.replace_substring(json_text(values), '"', ""), r"\.0+$", "")
    texts = json_text(values)
    is_quoted = pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_time(kind)
    return pc.replace_substring(texts, '"', "") if is_quoted else texts


def empty_as_null(values: pa.Array) -> pa.Array:
    """Texts, with NULL for an empty one."""
    empty = pc.equal(values, "")
    return pc.if_else(empty, None, values) if pc.any(empty).as_py() else values


CONVERTED: Mapping[pa.DataType, Callable[[pa.Array, str], pa.Array]] = {
    NUMERIC: numeric,
    TIMESTAMP: timestamp,
    pa.float64(): number,
    pa.int64(): whole,
    pa.date32(): day,
    pa.bool_(): boolean,
    pa.string(): text,
}
"""By the staging column's type."""


def _check_finite(values: pa.Array, column: str) -> None:
    if not pc.all(pc.is_finite(values)).as_py() and pc.any(pc.invert(pc.is_finite(values))).as_py():
        raise ValueMisfit(column, "finite numbers")


def _trimmed(values: pa.Array) -> pa.Array:
    return empty_as_null(pc.ascii_trim_whitespace(values))


def _of_doubles(values: pa.Array, column: str) -> pa.Array:
    """Most doubles are far from the middle between two numbers of nine decimals: a product with 1e9, whose error and that of the shortest
    text are less than 0.002 together below _SURE, rounds as the text does. The others go through their texts, at ten times the cost.
    """
    scaled = pc.multiply(values, 1e9)
    nearest = pc.round(scaled)
    is_sure = pc.and_(pc.less(pc.abs(pc.subtract(scaled, nearest)), 0.49), pc.less(pc.abs(scaled), _SURE))
    rounded = pc.multiply(pc.if_else(is_sure, nearest, None).cast(pa.int64()).cast(pa.decimal128(19, 0)), _BILLIONTH).cast(NUMERIC)
    others = pc.invert(is_sure.fill_null(True))  # noqa: FBT003 - the value for NULL
    if not pc.any(others).as_py():
        return rounded
    return pc.replace_with_mask(rounded, others, _of_texts(values.filter(others).cast(pa.string()), column))


def _of_decimals(values: pa.Array) -> pa.Array:
    if values.type.scale <= NUMERIC.scale:
        return values.cast(NUMERIC)
    try:
        return pc.round(values, 9, "half_to_even").cast(NUMERIC)
    except pa.ArrowInvalid:  # rounding up takes a digit more
        return pc.round(values.cast(pa.decimal256(76, values.type.scale)), 9, "half_to_even").cast(NUMERIC)


def _of_texts(texts: pa.Array, column: str) -> pa.Array:
    try:
        wide = texts.cast(_WIDE)
    except pa.ArrowInvalid:  # more decimals than it holds, or no number at all
        return _per_text(texts, NUMERIC, lambda one: _rounded(one, column))
    return pc.round(wide, 9, "half_to_even").cast(NUMERIC)


def _rounded(one: str, column: str) -> Decimal:
    try:
        if _NUMBER.fullmatch(one):
            return _EXACT.create_decimal(one).quantize(_UNIT, rounding=ROUND_HALF_EVEN, context=_EXACT)
    except InvalidOperation:
        pass
    raise ValueMisfit(column, AMOUNTS)


def _per_text(values: pa.Array, kind: pa.DataType, made: Callable[[str], Any]) -> pa.Array:
    """Most columns of texts have few distinct values: each is converted once."""
    distinct = _trimmed(values).dictionary_encode()
    found = [None if one is None else made(one) for one in distinct.dictionary.to_pylist()]
    return pa.array(found, kind).take(distinct.indices)


def _time(one: str) -> datetime:
    if "/" in one:
        return datetime.strptime(one[:10], _DAY_FIRST).replace(tzinfo=UTC)
    found = datetime.fromisoformat(one.removesuffix(" UTC"))
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def month_start(month: date) -> datetime:
    """The first instant of a month."""
    return datetime(month.year, month.month, 1, tzinfo=UTC)
