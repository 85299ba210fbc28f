"""How pages write what the API answers."""

from datetime import UTC, datetime, timedelta

import pytest

from console.web.wording import ago, count, duration, iso, kind, minute, moment, money, pipeline, prose, short, size, when, words

NOW = datetime(2026, 11, 26, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("before", "text"),
    [
        (0, "just now"),
        (59, "just now"),
        (60, "1 min ago"),
        (7300, "2 h ago"),
        (86_400, "1 day ago"),
        (200_000, "2 days ago"),
        (-7300, "in 2 h"),
    ],
)
def test_how_long_ago(before: int, text: str) -> None:
    assert ago(NOW - timedelta(seconds=before), NOW) == text


def test_times_of_the_api_are_utc_to_the_second() -> None:
    assert moment("2026-11-26T09:30:00.123456789Z") == datetime(2026, 11, 26, 9, 30, 0, 123456, tzinfo=UTC)
    assert when("2026-11-26T10:30:00+01:00") == "2026-11-26 09:30:00 UTC"
    assert minute("2026-11-26T09:30:59Z") == "2026-11-26 09:30"
    assert iso("2026-11-26T09:30:00Z") == "2026-11-26T09:30:00+00:00"
    assert (when(None), ago("", NOW), iso(None)) == ("—", "never", "")


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(None, "—"), ("0", "0 ms"), (850, "850 ms"), (4200, "4.2 s"), (200_000, "3 min 20 s"), (7_500_000, "2 h 5 min")],
)
def test_lengths(milliseconds: str | float | None, text: str) -> None:
    assert duration(milliseconds) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, "—"),
        (0, "$0.00"),
        (12.345, "$12.35"),
        (1_234_567.8, "$1\u202f234\u202f567.80"),
        (-3.5, "\N{MINUS SIGN}$3.50"),
        (0.0123, "$0.01"),
        (0.00123, "$0.0012"),
        ("2.0e-06", "$0.000002"),
        (1e-12, "under $0.000001"),
    ],
)
def test_money(amount: str | float | None, text: str) -> None:
    assert money(amount) == text


def test_counts_sizes_names_and_states() -> None:
    assert [count("1234567"), count(0), count(None)] == ["1\u202f234\u202f567", "0", "—"]
    assert [size("0"), size(1023), size(1536), size(5 * 2**40), size(None)] == ["0 B", "1023 B", "1.5 KiB", "5.0 TiB", "—"]
    assert [kind("COMPLETED"), kind("failed"), kind("LACKS"), kind("RUNNING"), kind("NEW"), kind(None)] == [
        *("good", "bad", "warn", "busy", "idle", "idle")
    ]
    assert [words("CONCURRENT_LIMIT"), words(None)] == ["concurrent limit", "unknown"]
    assert pipeline("acme_corp-gcp-cost-billing-v2", "acme_corp") == "gcp/cost/billing-v2"
    assert pipeline("gcp-cost-billing") == "gcp/cost/billing"
    assert short("e81b6c11-d43e") == "e81b6c11"


def test_texts_of_the_api_are_never_markup() -> None:
    assert prose("use `a<b>` & <i>") == "use <code>a&lt;b&gt;</code> &amp; &lt;i&gt;"
    assert prose("a lone ` stays <b>") == "a lone ` stays &lt;b&gt;"
    assert prose(None) == ""
