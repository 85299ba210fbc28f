"""Arrow values as JSON text, a column at a time, for columns of an export that have no column of their own, whatever their type.

The format is that of BigQuery's TO_JSON_STRING: numbers are JSON numbers if no digit is lost, else text; NaN and the infinities are the
texts "NaN", "Infinity" and "-Infinity"; times are ISO 8601, bytes base64. Python handles each distinct value once, not each row.

BigQuery's PARSE_JSON refuses a number that a double does not hold exactly, so such a number becomes text wherever it stands.
"""

import base64
import json
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

MAX_DEPTH: Final = 100
"""Objects and lists within each other; PARSE_JSON takes 500."""
WHOLE_DIGITS: Final = 20
"""Characters of the greatest whole number that PARSE_JSON holds."""
DOUBLE_DIGITS: Final = 15
"""A double holds every number of so many digits,"""
MAX_DOUBLE_DIGITS: Final = 17
"""and none of more, as its shortest text has them."""
_WIDE: Final = pa.decimal256(76, 38)
_ESCAPED: Final = r'["\\\x00-\x1f]'
"""What a JSON string escapes."""


def json_text(values: pa.Array) -> pa.Array:
    """Each value as JSON; NULL for NULL, `null` for a NULL within a STRUCT or a list."""
    kind = values.type
    if pa.types.is_struct(kind):
        texts = object_text({field.name: json_text(pc.struct_field(values, [place])) for place, field in enumerate(kind)}, len(values))
    elif is_list(kind):
        texts = list_text(values, json_text(pc.list_flatten(values)))
    elif pa.types.is_map(kind):
        texts = map_text(values)
    else:
        return _scalar_text(values)
    return pc.if_else(values.is_null(), None, texts) if values.null_count else texts


def compact_text(values: pa.Array) -> pa.Array:
    """As `json_text`, but empty lists are NULL, and STRUCTs omit NULL fields; a STRUCT without any value is NULL."""
    kind = values.type
    if values.null_count == len(values):
        return pa.nulls(len(values), pa.string())
    if pa.types.is_struct(kind):
        return compact_object({field.name: compact_text(pc.struct_field(values, [place])) for place, field in enumerate(kind)}, len(values))
    texts = json_text(values)
    return pc.if_else(pc.equal(texts, "[]"), None, texts) if is_list(kind) else texts


def object_text(fields: Mapping[str, pa.Array], rows: int) -> pa.Array:
    """One object a row of these texts; `null` for NULL."""
    if not fields:
        return pa.repeat(pa.scalar("{}"), rows)
    parts: list[Any] = []
    for name, text in fields.items():
        parts += [f"{',' if parts else '{'}{json.dumps(name)}:", text.fill_null("null")]
    return pc.binary_join_element_wise(*parts, "}", "")


def compact_object(fields: Mapping[str, pa.Array], rows: int) -> pa.Array:
    """One object a row of these texts (also dictionary-encoded ones), without NULLs; NULL for a row that has none."""
    # Each with a comma in front: Arrow's own option to skip NULLs loses the rows that have only NULLs.
    pairs = [_pair(name, text) for name, text in fields.items() if text.null_count < rows]
    if not pairs:
        return pa.nulls(rows, pa.string())
    joined = pc.binary_join_element_wise(*(pair.fill_null("") for pair in pairs), "")
    return pc.if_else(pc.equal(joined, ""), None, pc.binary_join_element_wise("{", pc.utf8_slice_codeunits(joined, 1), "}", ""))


def _pair(name: str, text: pa.Array) -> pa.Array:
    prefix = f",{json.dumps(name)}:"
    if pa.types.is_dictionary(text.type):
        return pc.binary_join_element_wise(prefix, text.dictionary, "").take(text.indices)
    return pc.binary_join_element_wise(prefix, text, "")


def list_text(lists: pa.Array, entries: pa.Array) -> pa.Array:
    """One list a row of the texts of all rows' entries, in order; `[]` for NULL."""
    return pc.binary_join_element_wise("[", _join_lists(lists, entries.fill_null("null"), ","), "]", "")


def map_text(maps: pa.Array) -> pa.Array:
    """One object a row of its entries, in order, without those whose value is NULL or an empty text; `{}` for NULL."""
    kind = maps.type
    lists = maps.cast(pa.list_(pa.struct([kind.key_field, kind.item_field])))
    entries = pc.list_flatten(lists)
    keys, values = pc.struct_field(entries, [0]), pc.struct_field(entries, [1])
    texts = json_text(values)
    pairs = pc.binary_join_element_wise(",", json_text(keys.cast(pa.string())), ":", texts, "")
    # Each with a comma in front, and an entry without a value is an empty text: that spares new offsets.
    pairs = pc.if_else(pc.equal(texts, '""'), "", pairs).fill_null("")
    joined = _join_lists(lists, pairs, "")
    return pc.binary_join_element_wise("{", pc.utf8_slice_codeunits(joined, 1), "}", "")


def embedded(texts: pa.Array) -> pa.Array:
    """Texts as JSON: those that are JSON objects or lists themselves, as they are; the others as JSON strings."""
    quoted = json_text(texts)
    could_be = pc.match_substring_regex(texts, r"^\s*[\[{]").fill_null(False)  # noqa: FBT003 - the value for NULL
    if not pc.any(could_be).as_py():
        return quoted
    made = per_value(pc.if_else(could_be, texts, None), lambda text: as_json(text) or _scalar(text))
    return pc.if_else(could_be, made, quoted)


def as_json(text: str) -> str | None:
    """The text, if it is a JSON object or list that BigQuery's PARSE_JSON takes, else None. Numbers that PARSE_JSON refuses become text."""
    changed = list[str]()

    def number(digits: str) -> object:
        value = float(digits)
        if math.isfinite(value) and Decimal(digits) == Decimal(value if value.is_integer() else repr(value)):
            return value
        changed.append(digits)
        return digits

    def whole(digits: str) -> object:
        return int(digits) if len(digits) <= WHOLE_DIGITS and -(2**63) <= int(digits) < 2**64 else number(digits)

    try:
        found = json.loads(text, parse_float=number, parse_int=whole, parse_constant=_refuse)
        if not isinstance(found, dict | list) or _is_deep(text):
            return None
        made = json.dumps(found, ensure_ascii=False) if changed or "\\u" in text else text
        made.encode()  # half of a surrogate pair is no text
    except (ValueError, ArithmeticError, RecursionError):
        return None
    return made


def per_value(values: pa.Array, made: Callable[[Any], str]) -> pa.Array:
    """The result of `made` for each value; NULL for NULL. Most columns have few distinct values, and each is computed once."""
    distinct = values.dictionary_encode()
    texts = pa.array([None if value is None else made(value) for value in distinct.dictionary.to_pylist()], pa.string())
    return texts.take(distinct.indices)


def is_list(kind: pa.DataType) -> bool:
    """True for the type of a REPEATED column."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _join_lists(lists: pa.Array, entries: pa.Array, separator: str) -> pa.Array:
    ends = pc.cumulative_sum(pc.list_value_length(lists).fill_null(0)).cast(pa.int32())
    return pc.binary_join(pa.ListArray.from_arrays(pa.concat_arrays([pa.array([0], pa.int32()), ends]), entries), separator)


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _is_deep(text: str) -> bool:
    depth = deepest = 0
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return False
    for character in text:
        depth += (character in "{[") - (character in "}]")
        deepest = max(deepest, depth)
    return deepest > MAX_DEPTH


def _scalar_text(values: pa.Array) -> pa.Array:
    kind = values.type
    if pa.types.is_null(kind):
        return pa.nulls(len(values), pa.string())
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        return values.cast(pa.string())
    if pa.types.is_floating(kind):
        texts = values.cast(pa.string())
        finite = pc.is_finite(values).fill_null(True)  # noqa: FBT003 - the value for NULL
        return texts if pc.all(finite).as_py() else pc.if_else(finite, texts, per_value(values, _not_finite))
    if pa.types.is_string(kind):
        return _string_text(values)
    if pa.types.is_decimal(kind) and (texts := _decimal_text(values)) is not None:
        return texts
    return per_value(values, _scalar)


def _string_text(values: pa.Array) -> pa.Array:
    found = values.dictionary_encode()
    distinct = found.dictionary
    if pc.any(pc.match_substring_regex(distinct, _ESCAPED)).as_py():
        texts = pa.array([None if value is None else _scalar(value) for value in distinct.to_pylist()], pa.string())
    else:
        texts = pc.binary_join_element_wise('"', distinct, '"', "")
    return texts.take(found.indices)


def _decimal_text(values: pa.Array) -> pa.Array | None:
    """As `_scalar` does it, without Python; None if a value is too large or too small for that."""
    digits = values.cast(pa.string())
    if values.type.scale <= 0 or pc.any(pc.match_substring(digits, "E")).as_py():
        return None
    trimmed = pc.ascii_rtrim(digits, "0")
    numbers = pc.if_else(pc.ends_with(trimmed, "."), pc.binary_join_element_wise(trimmed, "0", ""), trimmed)
    count = pc.binary_length(pc.ascii_ltrim(trimmed, "-0."))
    texts = pc.if_else(pc.less_equal(count, DOUBLE_DIGITS), numbers, pc.binary_join_element_wise('"', digits, '"', ""))
    unsure = pc.and_(pc.greater(count, DOUBLE_DIGITS), pc.less_equal(count, MAX_DOUBLE_DIGITS + 1))  # the point is counted, too
    unsure = unsure.fill_null(False)  # noqa: FBT003 - the value for NULL
    return (
        pc.replace_with_mask(texts, unsure, _round_trip(values.filter(unsure), digits.filter(unsure))) if pc.any(unsure).as_py() else texts
    )


def _round_trip(values: pa.Array, digits: pa.Array) -> pa.Array:
    doubles = digits.cast(pa.float64()).cast(pa.string())  # of texts: from decimals Arrow does not always take the nearest double
    is_same = pc.equal(doubles.cast(_WIDE), values.cast(_WIDE))
    return pc.if_else(is_same, doubles, pc.binary_join_element_wise('"', digits, '"', ""))


def _not_finite(value: float) -> str:
    return '"NaN"' if math.isnan(value) else '"Infinity"' if value > 0 else '"-Infinity"'


def _scalar(value: object) -> str:
    match value:
        case Decimal():
            number = repr(float(value))
            return number if Decimal(number) == value else json.dumps(f"{value:f}")
        case datetime() | date() | time():
            return json.dumps(value.isoformat().replace("+00:00", "Z"))
        case bytes():
            return json.dumps(base64.b64encode(value).decode("ascii"))
        case _:
            return json.dumps(str(value), ensure_ascii=False)
