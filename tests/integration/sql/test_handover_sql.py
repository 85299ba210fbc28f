"""The flattening of exports in GoogleSQL gives the rows that the flattening in Arrow gives, value by value; ZetaSQL's own implementation of
GoogleSQL says what it gives.
"""

import json
import math
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from zetasql.api import PreparedQuery
from zetasql.core.exceptions import ServerError
from zetasql.types import AnalyzerOptions, Value

from services.executor.records import Period
from services.executor.sources.gcp.export_source import ExportPart
from services.executor.sources.gcp.exports import TableName
from services.executor.sources.gcp.handover.exact_sum import exact_credits
from services.executor.sources.gcp.handover.flatten_sql import NOW, OwnColumns, and_its_moment, day_totals, flattened, rows_of
from services.executor.sources.gcp.rows.flatten import exact_sum, flatten
from services.executor.staging.shape import StagingShape, schema_field
from services.platform.bigquery.ddl import Table, load_tables
from services.platform.settings import REPOSITORY
from tests.support.executor.billing_export import MODERN, STANDARD
from tools.check_sql.language import LANGUAGE, catalog

STAGED = StagingShape.of(load_tables(REPOSITORY / "configs" / "bigquery" / "staging")["x_staging_gcp_billing"]).arrow
SOURCE = TableName(project="p", dataset="d", table="t")
DAY = datetime(2025, 11, 17, tzinfo=UTC)
TEXTS = ("", "a", "b", 'x"y\\', "ü\n\t", "\u2028</b>\x01\x7f", "😀", "null", "{}", " ")
FLOATS = (0.0, -0.0, 1.0, -0.1, 1e-7, 1e21, 5e-324, 123456789012345678.0, math.nan, math.inf, -math.inf)
NUMBERS = ("0", "0.000000001", "-0.1", "9007198.999999999", "9007199254.740993123", "12345678901234567890.123456789", "1234.567891234")
LISTS = frozenset({"labels", "system_labels", "tags", "credits", "ancestors"})
KINDS = {pa.string(): "STRING", pa.float64(): "FLOAT64", pa.bool_(): "BOOL", pa.timestamp("us", tz="UTC"): "TIMESTAMP"}


@pytest.mark.parametrize("schema", [STANDARD, MODERN], ids=["2020", "2025"])
def test_rows_are_those_of_arrow(schema: pa.Schema) -> None:
    rng = random.Random(len(schema))
    rows = [{field.name: made(rng, field.type, field.name) for field in schema} for _ in range(60)]
    columns = flattened([schema_field(field.name, google_type(field.type)) for field in schema], STAGED, SOURCE)
    times = ", ".join(f"UNIX_MICROS({field.name}) AS {field.name}" for field in STAGED if pa.types.is_timestamp(field.type))
    given = f"UNNEST({literal(rows, pa.list_(pa.struct(list(schema))))}) AS r WITH OFFSET AS n"
    found = evaluated(f"SELECT * EXCEPT (n) REPLACE ({times}) FROM (SELECT {columns}, n FROM {given}) ORDER BY n")
    expected = flatten(pa.Table.from_pylist(rows, schema=schema), STAGED, str(SOURCE)).to_pylist()
    assert len(found) == len(rows)
    for cells, row in zip(found, expected, strict=True):
        got = {field.name: python(cell, field.type) for cell, field in zip(cells, STAGED, strict=True)}
        for name, value in row.items():
            assert repr(read(name, got[name])) == repr(read(name, value)), name


def test_sums_of_many_credits_are_rounded_once() -> None:
    """Also where the sum is just in the middle between two doubles, and where almost nothing is left of it."""
    rng = random.Random(7)
    rows = [[amount(rng) for _ in range(rng.choice((0, 1, 2, 3, 3, 4, 5, 9)))] for _ in range(400)]
    rows += [
        [1.0, 2.0**-53, 2.0**-100],
        [1.0, 2.0**-53, -(2.0**-66)],
        [0.1, 0.2, -0.3],
        [2.0**30, 2.0**-66, 2.0**-66],
        [-1.0, -(2.0**-53), 0.0],
    ]
    rows += [
        [sign * high, sign * 2.0**-20, -sign * 2.0**-66] for sign in (1.0, -1.0) for high in (31.9, 2.0**5, 2.0**10 - 2.0**-40, 2.0**20)
    ]
    kind = pa.list_(pa.struct([("credits", pa.list_(pa.struct([("amount", pa.float64())])))]))
    given = literal([{"credits": [{"amount": one} for one in row]} for row in rows], kind)
    found = evaluated(f"SELECT {exact_credits('r.credits')} FROM UNNEST({given}) AS r WITH OFFSET AS n ORDER BY n")
    assert [python(cell, pa.float64()) for [cell] in found] == [exact_sum(one or 0.0 for one in row) for row in rows]


@pytest.mark.parametrize("row", [[1.0, 1e-30, 1.0], [2.0**31, 1.0, 1.0], [math.nan, 1.0, 1.0], [math.inf, 1.0, -math.inf]])
def test_what_cannot_be_added_exactly_is_refused(row: list[float]) -> None:
    kind = pa.list_(pa.struct([("amount", pa.float64())]))
    with pytest.raises(ServerError):
        evaluated(f"SELECT {exact_credits('r.credits')} FROM (SELECT {literal([{'amount': one} for one in row], kind)} AS credits) AS r")


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("cost_center", "STRING"),
        ("cost", "NUMERIC"),
        ("currency", "INT64"),
        ("project.color", "STRUCT<id STRING, color STRING>"),
        ("labels", "ARRAY<STRUCT<key STRING, value STRING, source STRING>>"),
        ("tags", "ARRAY<STRUCT<key STRING, value TIMESTAMP>>"),
        ("credits", "ARRAY<STRUCT<name STRING, amount NUMERIC>>"),
        ("credits", "ARRAY<STRUCT<name STRING>>"),
        ("service", "ARRAY<STRUCT<id STRING>>"),
        ("sku", "STRING"),
    ],
)
def test_an_export_with_columns_of_its_own_has_no_such_sql(column: str, kind: str) -> None:
    export = [schema_field(column.partition(".")[0], kind)]
    if (column, kind) == ("cost", "NUMERIC"):  # as prices are, which are cast
        flattened(export, STAGED, SOURCE)
        return
    with pytest.raises(OwnColumns, match=f"Column {column}(\\.\\w+)? of the export"):
        flattened(export, STAGED, SOURCE)


def test_both_queries_are_what_bigquery_takes() -> None:
    """With the export's pseudo column and at a time of the past; with columns that an export may lack."""
    period = Period(first=DAY.date(), last=DAY.date() + timedelta(days=1))
    whole, new = ExportPart(table=SOURCE, period=period), ExportPart(table=SOURCE, period=period, since=dict.fromkeys(period.days, DAY))
    for part, schema in ((whole, MODERN), (new, MODERN), (whole, pa.schema([STANDARD.field("usage_start_time"), STANDARD.field("cost")]))):
        columns = {field.name: google_type(field.type) for field in schema}
        export = [schema_field(name, kind) for name, kind in columns.items()]
        rest, now = (
            rows_of(part, by_ingestion=True, as_of=moment).replace(str(SOURCE), "t")
            for moment in (f"TIMESTAMP '{DAY.isoformat(' ')}'", NOW)
        )
        tables = [Table(name="t", sql="", columns={**columns, "_PARTITIONTIME": "TIMESTAMP"})]
        totals = f"SELECT {day_totals(export)} {now} GROUP BY day"
        for sql in (f"SELECT {flattened(export, STAGED, SOURCE)} {rest}", totals.replace(now, rest), and_its_moment(totals)):
            with prepared(sql, tables) as query:
                assert query.columns


def prepared(sql: str, tables: list[Table]) -> PreparedQuery:
    options = AnalyzerOptions(language_options=LANGUAGE)
    return PreparedQuery.builder().set_sql(sql).set_analyzer_options(options).set_catalog(catalog(tables)).prepare()


def evaluated(sql: str) -> list[list[Value]]:
    """The rows of a query."""
    with prepared(sql, []) as query:
        return [list(row.cell) for row in query.execute().content.table_data.row]


def made(rng: random.Random, kind: pa.DataType, name: str) -> Any:
    """A value of a column, NULL in some rows; credits that can be added. `name`: of the column, or of the list or STRUCT that it is in."""
    is_entry = name in LISTS
    found: Any = None
    if pa.types.is_list(kind):
        return [made(rng, kind.value_type, name) for _ in range(rng.choice((0, 0, 1, 2, 4)))]
    if pa.types.is_struct(kind) and (is_entry or rng.random() < 0.9):
        found = {part.name: made(rng, part.type, name if is_entry else part.name) for part in kind}
    elif rng.random() < 0.15 or pa.types.is_struct(kind):
        found = None
    elif pa.types.is_timestamp(kind):
        found = DAY + timedelta(microseconds=rng.randrange(86_400_000_000))
    elif pa.types.is_floating(kind):
        found = amount(rng) if is_entry else rng.choice((rng.choice(FLOATS), rng.uniform(-1e6, 1e6), round(rng.random(), 6)))
    else:
        found = number(rng) if pa.types.is_decimal(kind) else rng.choice((True, False) if pa.types.is_boolean(kind) else TEXTS)
    return found


def number(rng: random.Random) -> Decimal:
    return Decimal(rng.choice(NUMBERS)) if rng.random() < 0.5 else Decimal(rng.randrange(10 ** rng.randrange(1, 24))).scaleb(-9)


def amount(rng: random.Random) -> float | None:
    sign = rng.choice((1.0, -1.0))
    return rng.choice(
        (
            None,
            -round(rng.random() * 10, 6),
            sign * rng.random() * 2.0 ** rng.randrange(-12, 25),
            sign * (1 + rng.randrange(2**52) * 2.0**-52),
            rng.choice((0.0, -0.0, 0.5, 2.0**-52, -(2.0**-53), 3 * 2.0**-54, 1 + 2.0**-52)),
        )
    )


def google_type(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"ARRAY<{google_type(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return f"STRUCT<{', '.join(f'{part.name} {google_type(part.type)}' for part in kind)}>"
    return "NUMERIC" if pa.types.is_decimal(kind) else KINDS[kind]


def literal(value: Any, kind: pa.DataType) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return f"CAST({'NULL' if value is None else repr(str(value))} AS {google_type(kind)})"
    if pa.types.is_list(kind):
        return f"{google_type(kind)}[{', '.join(literal(one, kind.value_type) for one in value)}]"
    if pa.types.is_struct(kind):
        return f"{google_type(kind)}({', '.join(literal(value[part.name], part.type) for part in kind)})"
    if pa.types.is_timestamp(kind):
        return f"TIMESTAMP '{value.isoformat(' ')}'"
    if pa.types.is_decimal(kind):
        return f"NUMERIC '{value}'"
    return (
        repr(value)
        if pa.types.is_floating(kind)
        else json.dumps(value, ensure_ascii=False)
        if isinstance(value, str)
        else str(value).upper()
    )


def python(value: Value, kind: pa.DataType) -> Any:
    """A value of a result as Arrow gives it."""
    if pa.types.is_struct(kind):
        fields = value.struct_value
        return None if fields is None else {part.name: python(one, part.type) for part, one in zip(kind, fields.field, strict=True)}
    if pa.types.is_timestamp(kind):
        return None if value.int64_value is None else datetime.fromtimestamp(0, UTC) + timedelta(microseconds=value.int64_value)
    return value.double_value if pa.types.is_floating(kind) else value.string_value


def read(name: str, value: Any) -> Any:
    """As it can be compared by its repr, for NaN is like nothing."""
    if isinstance(value, datetime):
        return value.isoformat()
    return json.loads(value) if name.endswith("_json") and value is not None else value
