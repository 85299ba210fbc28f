"""Checks in templates: errors are named with their position; valid ones are composed of checked names and parameters."""

import re
from pathlib import Path

import pytest

from services.executor.templates.faults import TemplateError
from services.executor.templates.parameters import ParameterType
from tests.support.executor.quality import HEAD, step

NUMBERS = "this check takes FLOAT64 or INT64"


@pytest.mark.parametrize(
    ("check", "at", "message"),
    [
        (
            "kind: magic",
            "magic",
            "kind is `magic`, but must be one of accepted_values, custom, finite, freshness, not_null, range",
        ),
        ("kind: not_null", "{", "a check needs `column`"),
        ("kind: not_null, column: colour", "colour", "x_staging_sale has no column `colour`"),
        ("kind: not_null, column: shop.name", "shop.name", "x_staging_sale has no column `shop.name`"),
        ("kind: not_null, column: shop.owner", "shop.owner", "`shop.owner` is no single value: name one of its parts"),
        ("kind: not_null, column: id.x", "id.x", "x_staging_sale has no column `id.x`"),
        ("kind: not_null, column: labels.key", "labels.key", "`labels` is an ARRAY, which this check cannot look into"),
        ("kind: not_null, column: 'id` IS NULL --'", "'id`", "`id` IS NULL --` is no column"),
        ("kind: not_null, column: 'id '", "'id '", "is no column"),
        ("kind: not_null, column: Id", "Id", "x_staging_sale has no column `Id`"),
        ("kind: not_null, column: id, columns: [id]", "columns", "a check has no `columns`"),
        ("kind: not_null, column: id, severity: loud", "loud", "severity is `loud`"),
        ("kind: unique", "{", "unique needs at least one column"),
        ("kind: unique, columns: [id, id]", "[id, id]", "columns names a column twice"),
        ("kind: unique, columns: [id, price]", "[id, price]", "`price` is FLOAT64"),
        ("kind: accepted_values, column: id", "{", "accepted_values needs at least one value"),
        ("kind: accepted_values, column: price, values: [1]", "price", "`price` is FLOAT64, this check takes INT64 or STRING"),
        ("kind: accepted_values, column: pieces, values: [1, two]", "[1, two]", "values must be whole numbers"),
        ("kind: accepted_values, column: pieces, values: [9223372036854775808]", "[9", "values must be of 64 bits"),
        ("kind: range, column: price", "{", "range needs `min` or `max`"),
        ("kind: range, column: id, min: 1", "id, min", f"`id` is STRING, {NUMBERS}"),
        ("kind: range, column: parts.amount, min: 1", "parts", "`parts` is an ARRAY"),
        ("kind: range, column: price, min: 2, max: 1.5", "2, max", "min is more than max"),
        ("kind: range, column: price, min: .nan", ".nan", "min must be a number"),
        ("kind: range, column: price, max: -.inf", "-.inf", "max must be a number"),
        ("kind: range, column: price, max: true", "true", "max must be a number"),
        ("kind: range, column: price, max: '1'", "'1'", "max must be a number"),
        ("kind: row_count", "{", "row_count needs `min`, `max` or `source`"),
        ("kind: row_count, min: 3, max: 2", "3, max", "min is more than max"),
        ("kind: row_count, min: 0.5", "0.5", "min must be a whole number"),
        ("kind: row_count, min: -1", "-1", "min must be a whole number"),
        ("kind: row_count, source: source_rows, min: 1", "source_rows", "row_count takes either `source`, or"),
        (
            "kind: row_count, source: source_price",
            "source_price",
            "no earlier step finds out `source_price` as INT64; there is source_pieces, s",
        ),
        ("kind: sum_agrees, column: id, source: source_rows", "id, source", f"`id` is STRING, {NUMBERS}"),
        ("kind: sum_agrees, column: price", "{", "a check needs `source`"),
        ("kind: sum_agrees, column: price, source: source_rows", "source_rows", "no earlier step finds out `source_rows` as FLOAT64"),
        ("kind: sum_agrees, column: parts, source: source_parts", "parts,", "`parts` is no single value"),
        ("kind: sum_agrees, column: price, source: source_price, within: -1", "-1", "within must be a number of at least 0"),
        ("kind: finite", "{", "finite needs at least one column in `columns`"),
        ("kind: finite, columns: [pieces]", "[pieces", "`pieces` is INT64, this check takes FLOAT64"),
        ("kind: freshness, column: sold_at", "{", "a check needs `within`"),
        ("kind: freshness, column: sold_at, within: 36", "36", "within must be text"),
        ("kind: freshness, column: sold_at, within: 36 hours", "36 hours", "within must be a time like 30m, 36h or 2d"),
        ("kind: freshness, column: id, within: 36h", "id,", "`id` is STRING, this check takes TIMESTAMP"),
        ("kind: freshness, column: sold_at, within: 36h, before: noon", "noon", "before is `noon`, but must be one of last_day, now"),
        ("kind: volume, within: half", "half", "within must be a percentage from 1% to 999%"),
        ("kind: volume, within: 0%", "0%", "within must be a percentage"),
        ("kind: volume, within: 50%, days: 0", "0}", "days must be a whole number from 1 to 366"),
        ("kind: volume, within: 50%, only: GCP", "GCP", "only must be a mapping"),
        ("kind: volume, within: 50%, only: {column: cost}", "{column", "only needs `value`"),
        ("kind: volume, within: 50%, only: {column: cost, value: x}", "cost, value", "`cost` is no column of type STRING of the table"),
        ("kind: volume, within: 50%, only: {column: 'a OR b', value: x}", "'a OR b'", "`a OR b` is no column of type STRING"),
        ("kind: volume, within: 50%, only: {column: currency, value: x, or: y}", "or: y", "only has no `or`"),
        ("kind: custom, expect: x", None, "a step needs `sql`"),
        ("kind: custom, sql: 'sale.sql#odd'", "{", "a check needs `expect`"),
        ("kind: custom, expect: x, sql: 'sale.sql#none'", "'sale.sql#none'", "sale.sql has no block `none`"),
    ],
)
def test_a_bad_check_is_named_with_its_place(tmp_path: Path, check: str, at: str | None, message: str) -> None:
    text = f"checks:\n  - {{name: bad, {check}}}\n"
    told = broken(tmp_path, text)
    place = f"sale.yml:5:{text.splitlines()[1].index(at) + 1}: " if at else "sale.yml:1:1: "
    assert told.startswith(place)
    assert message in told


def broken(folder: Path, text: str, parameters: dict[str, ParameterType] | None = None) -> str:
    with pytest.raises(TemplateError) as error:
        # One check that is right, so that the step knows a staging table whatever is wrong with the other.
        step(folder, text + "  - {name: good, kind: row_count, min: 1}\n", parameters=parameters)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("checks:\n  - {name: good, kind: row_count, max: 1}\n", "sale.yml:6:12: the check good occurs twice"),
        ("checks:\n  - {name: It's, kind: row_count, max: 1}\n", "sale.yml:5:12: the name `It's` must be lower-case"),
        ("sample: [labels]\nchecks:\n", "sale.yml:4:9: `labels` is an ARRAY"),
        ("sample: [labels.value]\nchecks:\n", "sale.yml:4:9: `labels` is an ARRAY"),
        ("sample: [id, id]\nchecks:\n", "sale.yml:4:9: sample names a column twice"),
        ("sql: sale.sql#odd\nchecks:\n", "sale.yml:4:6: no check is measured by this block"),
        ("all: true\nchecks:\n", "sale.yml:4:1: a step has no `all`"),
    ],
)
def test_a_bad_step_is_named_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    assert broken(tmp_path, text).startswith(message)


def test_declared_checks_need_a_staging_table_and_volume_needs_days(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="a step needs `staging`"):
        step(tmp_path, "checks:\n  - {name: a, kind: row_count, max: 1}\n", head="type: dq.checks\ntable: billing_cost_daily\n")
    assert "needs the parameter date" in broken(tmp_path, "checks:\n  - {name: v, kind: volume, within: 9%}\n", parameters={})
    fresh = "checks:\n  - {name: v, kind: freshness, column: sold_at, within: 1h, before: last_day}\n"
    assert "has no last day" in broken(tmp_path, fresh, parameters={})
    text = "checks:\n  - {name: v, kind: volume, within: 9%}\n"
    with pytest.raises(TemplateError, match="partitioned by a DATE, which x_meta_dq_results is not"):
        step(tmp_path, text, head=HEAD.replace("billing_cost_daily", "x_meta_dq_results"))


def test_what_is_composed(tmp_path: Path) -> None:
    """Values are parameters, names are quoted; the staging table is read once, and once by each custom block, which comes once."""
    text = """
sample: [id]
checks:
  - {name: fair, kind: range, column: price, min: 0.25, max: 77}
  - {name: known_shop, kind: accepted_values, column: shop.id, values: ["'x' OR TRUE", 12]}
  - {name: usual, kind: volume, within: 35%, only: {column: currency, value: "'x' OR TRUE", or_null: true}}
  - {name: first, sql: 'sale.sql#two', expect: x}
  - {name: second, kind: custom, sql: 'sale.sql#two', expect: x}
  - {name: odd, sql: 'sale.sql#odd', expect: x}
"""
    made = step(tmp_path, text)
    block = made.query.block
    assert made.query.values == {
        "_dq0_min": 0.25,
        "_dq0_max": 77,
        "_dq1_values": ["'x' OR TRUE", "12"],
        "_dq2_days": 7,
        "_dq2_within": 0.35,
        "_dq2_only": "'x' OR TRUE",
    }
    assert block.params == {
        "_dq0_min": "FLOAT64",
        "_dq0_max": "FLOAT64",
        "_dq1_values": "ARRAY<STRING>",
        "_dq2_days": "INT64",
        "_dq2_within": "FLOAT64",
        "_dq2_only": "STRING",
        "first_day": "DATE",
        "run_days": "ARRAY<DATE>",
        "source_rows": "INT64",
    }
    for value in ("0.25", "77", "OR TRUE", "0.35"):
        assert value not in block.sql
    assert "s.`price` < @_dq0_min OR s.`price` > @_dq0_max OR IS_NAN(s.`price`)" in block.sql
    assert "s.`shop`.`id` NOT IN UNNEST(@_dq1_values)" in block.sql
    assert "p.`usage_date` >= DATE_SUB(@first_day, INTERVAL @_dq2_days DAY) AND p.`usage_date` < @first_day" in block.sql
    assert " AND (p.`currency` = @_dq2_only OR p.`currency` IS NULL)" in block.sql
    assert len(re.findall(r"\bFROM x_staging_sale\b", block.sql)) == 3
    assert set(block.read) >= {"x_staging_sale", "billing_cost_daily"}
    assert block.written == ()
    assert [(check.expect, check.sampled) for check in made.checks] == [
        ("price from 0.25 to 77", ("price", "id")),
        ("shop.id one of 'x' OR TRUE, 12", ("shop.id", "id")),
        ("within 35% of the mean of the 7 days before", ()),
        ("x", ()),
        ("x", ()),
        ("x", ()),
    ]


def test_the_published_table_is_made_only_for_checks_that_read_it(tmp_path: Path) -> None:
    count = "checks:\n  - {name: few, kind: row_count, min: 1, max: 2}\n"
    assert step(tmp_path, count).published is None
    assert step(tmp_path, count + "  - {name: usual, kind: volume, within: 9%}\n").published is not None


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ("kind: row_count, min: 1", "at least 1 row"),
        ("kind: row_count, min: 2", "at least 2 rows"),
        ("kind: row_count, max: 5", "at most 5 rows"),
        ("kind: row_count, source: source_rows", "as many rows as were read from the source"),
        ("kind: not_null, column: shop.id", "no NULL shop.id"),
        ("kind: unique, columns: [id, pieces]", "no two rows with the same id, pieces"),
        ("kind: freshness, column: sold_at, within: 90m", "sold_at at most 1.5 h before now"),
        ("kind: freshness, column: sold_at, within: 2d, before: last_day", "sold_at at most 48 h before the end of the last day"),
        ("kind: sum_agrees, column: price, source: source_price", "the sum of price that was read from the source"),
        ("kind: range, column: pieces, min: 0, expect: no negative pieces", "no negative pieces"),
    ],
)
def test_a_rule_has_words_of_its_own(tmp_path: Path, check: str, words: str) -> None:
    [only] = step(tmp_path, f"checks:\n  - {{name: a, {check}}}\n").checks
    assert only.expect == words
