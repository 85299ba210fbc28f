"""Questions: what is accepted, and that each bad field is named with what it takes."""

import json
from datetime import date
from typing import Any

import pytest
from convergence.executor.v1 import cost_service_pb2
from hypothesis import given
from hypothesis import strategies as st

from services.executor.costs.changes import read_change_filter
from services.executor.costs.compose import compose_question
from services.executor.costs.dimensions import COLUMNS, read_filters, read_group_by
from services.executor.costs.invoices import read_amount, read_currency, read_invoice_question
from services.executor.costs.question import Granularity, Metric, Question, read_question
from services.platform.bigquery.ddl import load_tables
from services.platform.errors import InvalidArgument
from services.platform.rpc.rules import find_method, rule_of
from services.platform.settings import REPOSITORY

FOCUS = load_tables(REPOSITORY / "configs" / "bigquery" / "tenant")["focus_cost_daily"]
METHODS = list(cost_service_pb2.DESCRIPTOR.services_by_name["CostService"].methods)
PLAIN: dict[str, Any] = {
    "start_date": "2025-11-01",
    "end_date": "2025-11-30",
    "group_by": [],
    "filters": [],
    "granularity": "",
    "metric": "",
    "top": 0,
}
INVOICES = {"start_month": "2025-10", "end_month": "2025-11", "billing_account_id": "", "used_from": ""}
CHANGES: dict[str, Any] = {
    **dict.fromkeys(("start_date", "end_date", "changed_from", "changed_before", "service", "source", "page_token"), ""),
    "after_final": None,
}


def test_what_is_left_out_has_a_default() -> None:
    asked = read_question(**{**PLAIN, "group_by": [""], "filters": [""]})
    assert asked == read_question(**PLAIN)
    assert asked == Question(first=date(2025, 11, 1), last=date(2025, 11, 30), granularity=Granularity.WHOLE, metric=Metric.BILLED)


def test_dimensions_are_repeated_or_with_commas_and_a_strange_key_is_quoted() -> None:
    apart, together = ["service", "tag:team", 'tag:"a,b=\\"c\\""'], ['service, tag:team,tag:"a,b=\\"c\\""']
    assert read_group_by(apart) == read_group_by(together)
    assert [one.name for one in read_group_by(together)] == ["service", "tag:team", 'tag:a,b="c"']
    assert [one.name for one in read_group_by(["tag:project/cost center"])] == ["tag:project/cost center"]


def test_filters_of_one_dimension_are_one_and_a_value_may_hold_anything() -> None:
    first, second = read_filters(["service=a=b, c", 'tag:"k=1"=v', "service=", "service=a=b, c"])
    assert (first.dimension.name, first.values) == ("service", ("", "a=b, c"))
    assert (second.dimension.key, second.values) == ("k=1", ("v",))


def test_a_provider_may_be_a_cloud_in_any_case_and_of_other_dimensions_it_is_a_value() -> None:
    provider, service = read_filters(["provider=Azure", "provider=aws", "provider=AWS", "provider=Microsoft", "service=AWS"])
    assert (provider.clouds, provider.values) == (("AWS", "AZURE"), ("AWS", "Azure", "Microsoft", "aws"))
    assert service.clouds == ()
    composed = compose_question(Question(first=date(2025, 11, 1), last=date(2025, 11, 2), filters=(provider, service)))
    assert composed.values["filter_clouds_0"] == ["AWS", "AZURE"]
    assert composed.values.keys() == composed.block.params.keys()


@given(st.text(min_size=1, max_size=50).filter(str.isprintable), st.text(max_size=50))
def test_any_tag_can_be_named_and_any_value_asked_for(key: str, value: str) -> None:
    quoted = f"tag:{json.dumps(key, ensure_ascii=False)}"
    [group] = read_group_by([quoted])
    [one] = read_filters([f"{quoted}={value}"])
    assert (group.key, group.name) == (key, f"tag:{key}")
    assert (one.dimension, one.values) == (group, (value,))


@pytest.mark.parametrize(
    ("given_", "field", "says"),
    [
        ({"start_date": "2025-11-31"}, "start_date", "use a date that exists, YYYY-MM-DD"),
        ({"end_date": "tomorrow"}, "end_date", "YYYY-MM-DD"),
        ({"end_date": "2025-10-31"}, "end_date", "use start_date or a later day"),
        ({"end_date": "2030-11-01"}, "end_date", "at most 1,100 days"),
        ({"granularity": "week"}, "granularity", "use day or month"),
        ({"metric": "net"}, "metric", "billed, effective, contracted, list"),
        ({"top": 5}, "top", "group_by"),
        ({"top": -1, "group_by": ["service"]}, "top", "1 to 1,000"),
        ({"top": 1001, "group_by": ["service"]}, "top", "1 to 1,000"),
        ({"group_by": ["project"]}, "group_by", "provider, service, category, account, billing_account, region"),
        ({"group_by": ["service,"]}, "group_by", "empty name"),
        ({"group_by": [" "]}, "group_by", "with commas between them"),
        ({"group_by": ["service,,region"]}, "group_by", "with commas between them"),
        ({"group_by": ["service", "service"]}, "group_by", "twice"),
        ({"group_by": ["tag:"]}, "group_by", "printable characters: tag:team"),
        ({"group_by": ['tag:"a']}, "group_by", "with commas between them"),
        ({"group_by": ['tag:"\\x"']}, "group_by", "JSON string"),
        ({"group_by": ["tag:a\nb"]}, "group_by", "printable"),
        ({"group_by": list(COLUMNS)[:5]}, "group_by", "at most 4"),
        ({"filters": ["service"]}, "filter", "dimension=value"),
        ({"filters": ["servce=x"]}, "filter", "'servce' is no dimension"),
        ({"filters": ["service=" + "x" * 513]}, "filter", "at most 512 characters"),
        ({"filters": ["service=x"] * 51}, "filter", "at most 50"),
        ({"filters": ["x_UsageDate) OR (1=1"]}, "filter", "is no dimension"),
    ],
)
def test_a_bad_field_is_named_with_what_it_takes(given_: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        read_question(**{**PLAIN, **given_})
    assert refused.value.field == field
    assert says in refused.value.message


@pytest.mark.parametrize(
    ("given_", "field"),
    [
        ({"start_month": "2025-13"}, "start_month"),
        ({"end_month": "2025-09"}, "end_month"),
        ({"end_month": "2027-11"}, "end_month"),
        ({"used_from": "2025-12-01"}, "used_from"),
        ({"used_from": "x"}, "used_from"),
        ({"billing_account_id": "x" * 513}, "billing_account_id"),
    ],
)
def test_a_bad_field_of_a_question_about_invoices_is_named(given_: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        read_invoice_question(**{**INVOICES, **given_})
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("given_", "field"),
    [
        ({"start_date": "x"}, "start_date"),
        ({"start_date": "2025-11-02", "end_date": "2025-11-01"}, "end_date"),
        ({"changed_from": "yesterday"}, "changed_from"),
        ({"changed_from": "2025-11-17T06:00:00"}, "changed_from"),
        ({"changed_before": "0001-01-01"}, "changed_before"),
        ({"changed_from": "2025-11-17", "changed_before": "2025-11-17"}, "changed_before"),
        ({"service": "x" * 513}, "service"),
        ({"page_token": "x"}, "page_token"),
    ],
)
def test_a_bad_field_of_a_question_about_changes_is_named(given_: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        read_change_filter(**{**CHANGES, **given_})
    assert refused.value.field == field


@pytest.mark.parametrize("text", ["", "1,5", "1.0000000001", "NaN", "1e5", "9" * 30, "$5", "१"])
def test_an_amount_is_a_plain_decimal(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^amount: "):
        read_amount(text)


@pytest.mark.parametrize("text", ["usd", "US", "EURO", "ÄÖÜ"])
def test_a_currency_has_three_capital_letters(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^currency: "):
        read_currency(text)


@pytest.mark.parametrize("metric", Metric)
@pytest.mark.parametrize("granularity", Granularity)
def test_no_text_of_a_caller_gets_into_the_sql(metric: Metric, granularity: Granularity) -> None:
    """Only parameters hold it, and the SQL names only columns of ours."""
    evil = "evil') OR TRUE --"
    asked = Question(
        first=date(2025, 11, 1),
        last=date(2025, 11, 2),
        group_by=read_group_by([f"tag:{json.dumps(evil)}", "region"]),
        filters=read_filters([f"tag:{json.dumps(evil)}={evil}", f"service={evil}", "region="]),
        granularity=granularity,
        metric=metric,
        top=3,
    )
    composed = compose_question(asked)
    assert "evil" not in composed.block.sql
    assert composed.values.keys() == composed.block.params.keys()
    assert metric.column in FOCUS.columns
    assert composed.block.read == ("focus_cost_daily",)
    assert "f.x_UsageDate BETWEEN @first_day AND @last_day" in composed.block.sql


def test_every_dimension_is_a_column() -> None:
    assert {column.name for column in COLUMNS.values()} <= FOCUS.columns.keys()
    for column in COLUMNS.values():
        assert column.nullable == (f"  {column.name} STRING NOT NULL" not in FOCUS.sql), column.name


@pytest.mark.parametrize("method", METHODS, ids=lambda method: str(method.name))
def test_costs_are_for_the_tenant_with_a_scope_that_is_no_default(method: Any) -> None:
    found = find_method(f"/{method.containing_service.full_name}/{method.name}")
    assert found is not None
    rule = rule_of(found)
    assert rule is not None
    assert rule.tenant.scope == ("costs:write" if method.name in {"PutInvoiceAmount", "DeleteInvoiceAmount"} else "costs:read")
