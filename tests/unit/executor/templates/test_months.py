"""Which billing periods a run covers, and where its files lie."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from services.executor.templates import months
from services.executor.templates.parameters import ParameterSpec, ParameterType, Value, resolve
from services.platform.errors import InvalidArgument

NOW = datetime(2025, 11, 20, 12, tzinfo=UTC)
SPECS = [
    ParameterSpec(name="month", type=ParameterType.MONTH, description=""),
    ParameterSpec(name="months", type=ParameterType.CHOICE, choices=("open",), scheduled="open", description=""),
    ParameterSpec(name="export", type=ParameterType.EXPORT, required=True, description=""),
]


def values(given: Mapping[str, object], *, scheduled: bool = False) -> Mapping[str, Value]:
    found = resolve(
        SPECS, {"export": "s3://bucket/a", **given}, now=NOW, fire_day=NOW.date(), scheduled=scheduled, unfilled=months.unfilled(given)
    )
    months.check_months(found, NOW)
    return found


def test_one_month_or_those_that_are_open() -> None:
    assert months.month_of(values({"month": "last_month"})) == datetime(2025, 10, 1, tzinfo=UTC).date()
    assert months.month_of(values({"months": "open"})) is None
    assert values({}, scheduled=True)["months"] == "open"
    assert values({"month": "2025-01"}, scheduled=True)["months"] is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "Give month, YYYY-MM, or months: open"),
        ({"month": "2025-11", "months": "open"}, "give either months, or month"),
        ({"month": "2025-12"}, "2025-12 is still to come"),
    ],
)
def test_what_names_no_period_is_refused(given: Mapping[str, object], said: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        values(given)
    assert said in refused.value.message


@pytest.mark.parametrize(
    "export",
    [
        "s3://my-bucket/billing/focus",
        "s3://b.c-1/a b/c=d",
        "s3://my-bucket//billing/focus",
        "account1/container-a/exports/daily",
        "account1/$root/x",
    ],
)
def test_an_export_lies_in_a_bucket_or_a_container(export: str) -> None:
    assert values({"months": "open", "export": export})["export"] == export


@pytest.mark.parametrize(
    "export",
    [
        "s3://bucket",
        "s3://bucket/",
        "s3://bucket/a/../b",
        "s3://bucket/./a",
        "s3://bucket///a",
        "account1/container-a//x",
        "s3://Bucket/a",
        "s3://bucket/a?b",
        "s3://bucket/a\\b",
        "s3://bucket/a\n",
        "https://bucket.s3.amazonaws.com/a",
        "account1/c",
        "acc.ount/container/a",
        "account1/con--tainer/a",
        "account1/container/..",
        "gs://bucket/a",
    ],
)
def test_another_text_is_no_export(export: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        values({"months": "open", "export": export})
    assert (
        "use `s3://bucket/prefix/name`, or `account/container/directory/name` in Azure" in refused.value.message
        or "printable" in refused.value.message
    )


@pytest.mark.parametrize(
    ("provider", "export", "location"),
    [("aws", "account1/container/a", "s3://bucket/prefix/name"), ("azure", "s3://bucket/a", "account/container/directory/name")],
)
def test_an_export_lies_in_the_pipeline_s_cloud(provider: str, export: str, location: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        months.check_export(provider, "export", export)
    assert refused.value.field == "parameters.export"
    assert location in refused.value.message
    other = {"aws": "azure", "azure": "aws"}[provider]
    months.check_export(other, "export", export)
    months.check_export(provider, "replaces", None)


def test_months_go_with_month() -> None:
    with pytest.raises(ValueError, match="the one choice open, and goes with month"):
        months.has_months({"months": ParameterType.CHOICE}, {"months": ("open",)})
    with pytest.raises(ValueError, match="the one choice open"):
        months.has_months({"months": ParameterType.CHOICE, "month": ParameterType.MONTH}, {"months": ("all",)})
    # A template may have a parameter `month` for other reasons.
    assert not months.has_months({"month": ParameterType.MONTH}, {})
