"""Fire times: worked examples around daylight saving, and properties on all other days."""

import re
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Literal
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from services.platform.errors import InvalidArgument
from services.platform.time_zones import zone_names
from services.scheduler.cron.expression import check_cron, fire_times, fire_times_between, latest_between, next_after
from services.scheduler.cron.zones import first_moment

# zone: (the night clocks go forward, the night they go back, the hours such a day has more than 24)
NIGHTS: dict[str, tuple[date, date, float]] = {
    "America/New_York": (date(2026, 3, 8), date(2026, 11, 1), 1.0),
    "Europe/Berlin": (date(2026, 3, 29), date(2026, 10, 25), 1.0),
    "Australia/Lord_Howe": (date(2026, 10, 4), date(2026, 4, 5), 0.5),
    "America/Santiago": (date(2026, 9, 6), date(2026, 4, 4), 1.0),
    "Africa/Cairo": (date(2026, 4, 24), date(2026, 10, 29), 1.0),
    "Asia/Kolkata": (date(2026, 3, 29), date(2026, 10, 25), 0.0),
}
CRONS = [
    "30 1 * * *",
    "30 2 * * *",
    "0 0 * * *",
    "30 23 * * *",
    "0,30 1,2 * * *",
    "30 2 * * 0",
    "15 4 1 * *",
    "*/20 2 * * *",
    "0 9-17 * * 1-5",
]
CRONS_ELAPSED = ["0 * * * *", "*/30 * * * *", "30 */2 * * *", "17 1-5/2 * * *", "0 0-23 * * *", "* * * * *", "45 * 1,15 * *"]

zones = st.sampled_from(sorted(NIGHTS))
moments = st.datetimes(datetime(2016, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def day(zone: str, on: date) -> tuple[datetime, datetime]:
    """A local day, from just before its first moment to just before the next day's."""
    first, last = (
        first_moment(datetime.combine(one, datetime.min.time()), ZoneInfo(zone)) - timedelta(microseconds=1)
        for one in (on, on + timedelta(days=1))
    )
    return first, last


def locals_on(cron: str, zone: str, on: date) -> list[str]:
    return [f"{slot.astimezone(ZoneInfo(zone)):%H:%M%z}" for slot in fire_times_between(cron, zone, *day(zone, on), 5000)]


@pytest.mark.parametrize(
    ("zone", "forward", "back"),
    [
        ("America/New_York", ["03:00-0400"], ["02:30-0500"]),
        ("Europe/Berlin", ["03:00+0200"], ["02:30+0200"]),
        ("Australia/Lord_Howe", ["02:30+1100"], ["02:30+1030"]),
        ("America/Santiago", ["02:30-0300"], ["02:30-0300"]),
        ("Africa/Cairo", ["02:30+0300"], ["02:30+0300"]),
        ("Asia/Kolkata", ["02:30+0530"], ["02:30+0530"]),
    ],
)
def test_half_past_two(zone: str, forward: list[str], back: list[str]) -> None:
    """Once on each of both nights; 02:30 that does not exist is 03:00."""
    assert (locals_on("30 2 * * *", zone, NIGHTS[zone][0]), locals_on("30 2 * * *", zone, NIGHTS[zone][1])) == (forward, back)


@pytest.mark.parametrize(
    ("zone", "forward", "back"),
    [
        ("America/New_York", ["01:30-0500"], ["01:30-0400"]),
        ("Europe/Berlin", ["01:30+0100"], ["01:30+0200"]),
        ("Australia/Lord_Howe", ["01:30+1030"], ["01:30+1100"]),
        ("America/Santiago", ["01:30-0300"], ["01:30-0300"]),
        ("Africa/Cairo", ["01:30+0300"], ["01:30+0300"]),
        ("Asia/Kolkata", ["01:30+0530"], ["01:30+0530"]),
    ],
)
def test_half_past_one(zone: str, forward: list[str], back: list[str]) -> None:
    """Once on each of both nights, the first time the clock shows it."""
    assert (locals_on("30 1 * * *", zone, NIGHTS[zone][0]), locals_on("30 1 * * *", zone, NIGHTS[zone][1])) == (forward, back)


@pytest.mark.parametrize("zone", NIGHTS)
def test_hourly_fires_every_real_hour(zone: str) -> None:
    """23 and 25 times where the clock moves by an hour; every half hour, twice as often."""
    forward, back, hours = NIGHTS[zone]
    for on, length in ((forward, 24 - hours), (back, 24 + hours)):
        halves = fire_times_between("*/30 * * * *", zone, *day(zone, on), 5000)
        assert len(halves) == length * 2
        assert {later - earlier for earlier, later in pairwise(halves)} == {timedelta(minutes=30)}
        if hours != 0.5:
            hourly = fire_times_between("0 * * * *", zone, *day(zone, on), 5000)
            assert len(hourly) == length
            assert {later - earlier for earlier, later in pairwise(hourly)} == {timedelta(hours=1)}


def test_midnight_that_does_not_exist() -> None:
    """Cairo and Santiago move their clocks at midnight."""
    assert locals_on("0 0 * * *", "Africa/Cairo", NIGHTS["Africa/Cairo"][0]) == ["01:00+0300"]
    assert locals_on("30 0 * * *", "America/Santiago", NIGHTS["America/Santiago"][0]) == ["01:00-0300"]
    assert locals_on("30 23 * * *", "America/Santiago", NIGHTS["America/Santiago"][1]) == ["23:30-0300"]


def test_named_times_that_fall_on_one_moment_are_one_slot() -> None:
    assert locals_on("0,30 2,3 * * *", "Europe/Berlin", NIGHTS["Europe/Berlin"][0]) == ["03:00+0200", "03:30+0200"]
    assert locals_on("30 1,2 * * *", "America/New_York", NIGHTS["America/New_York"][1]) == ["01:30-0400", "02:30-0500"]


def test_fire_times_say_what_daylight_saving_does() -> None:
    before = datetime(2026, 3, 28, 12, tzinfo=UTC)
    first, second = fire_times("30 2 * * *", "Europe/Berlin", before, 2)
    assert (first.local.isoformat(), first.note) == ("2026-03-29T03:00:00+02:00", "02:30 does not exist on 2026-03-29: it runs at 03:00.")
    assert (second.local.isoformat(), second.note) == ("2026-03-30T02:30:00+02:00", "")

    autumn = datetime(2026, 10, 25, 0, 15, tzinfo=UTC)
    assert fire_times("30 2 * * *", "Europe/Berlin", autumn, 1)[0].note == "02:30 comes twice on 2026-10-25: it runs the first time."
    notes = [f"{one.local:%H:%M%z} {one.note}" for one in fire_times("30 * * * *", "Europe/Berlin", autumn, 3)]
    assert notes == [
        "02:30+0200 02:30 comes twice on 2026-10-25: it runs both times.",
        "02:30+0100 02:30 comes twice on 2026-10-25: it runs both times.",
        "03:30+0100 ",
    ]


@pytest.mark.parametrize(
    "cron",
    ["", "* * * *", "0 3-3 * * *", "* * * * * *", "@daily", "* * 31 2 *", "0 0 31 4,6 *", "60 * * * *", "0 24 * * *", "a b c d e",
     "R 2 * * *", "0 H * * *", "0 03-3/2 * * *", "-1 * * * *", "*/0 * * * *", "0 2 * * * UTC", "0 0 W * *", "1," * 120 + "1 2 * * *"],
)  # fmt: skip
def test_an_expression_that_cannot_fire_names_its_field(cron: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        check_cron(cron)
    assert refused.value.field == "schedule_cron"


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("*/90 * * * *", ["minute: ", "at most 59", "once an hour", "`0`", "hour `*/2`"]),
        ("*/60 * * * *", ["minute: ", "at most 59", "write `0`"]),
        ("5/70 * * * *", ["minute: ", "`5/70`", "write `5`"]),
        ("5/0 * * * *", ["minute: ", "`5/0`", "write `5`"]),
        ("5/20 * * * *", ["minute: ", "two ways", "`5-59/20`", "`5`"]),
        ("30,5/20 * * * *", ["minute: ", "`5/20`", "`5-59/20`"]),
        ("0 12/6 * * *", ["hour: ", "`12-23/6`", "`12`"]),
        ("0 0 1/7 * *", ["day of month: ", "`1-31/7`"]),
        ("0 0 31 2/2 *", ["month: ", "`2-12/2`"]),
        ("0 0 1 feb/3 *", ["month: ", "`feb-DEC/3`", "`feb`"]),
        ("0 0 1 * MON/2", ["day of week: ", "`MON-SAT/2`", "`MON`"]),
        ("0 0 * * 1/2", ["day of week: ", "`1-6/2`"]),
        ("0 0 * * 7/2", ["day of week: ", "write `7`"]),
        ("1-5/30 * * * *", ["minute: ", "at most 4", "write `1`"]),
        ("0,59/2 * * * *", ["minute: ", "`59/2`"]),
        ("*/0 * * * *", ["minute: ", "`*/0`"]),
        ("60 * * * *", ["minute: ", "0 to 59"]),
        ("H 2 * * *", ["minute: ", "`H`"]),
        ("0 */25 * * *", ["hour: ", "at most 23", "once a day"]),
        ("0 */48 * * *", ["hour: ", "day of month `*/2`"]),
        ("0 22-2 * * *", ["hour: ", "`22-23,0-2`"]),
        ("0 3-3 * * *", ["hour: ", "write `3`"]),
        ("0 0 */31 * *", ["day of month: ", "at most 30", "write `1`"]),
        ("0 0 L * *", ["day of month: ", "`L`", "1 to 31"]),
        ("0 0 ? * 1", ["day of month: ", "`?`", "`*`"]),
        ("0 0 1,,2 * *", ["day of month: ", "lists"]),
        ("0 0 31 4,6 *", ["day of month: ", "`4,6`", "no such date"]),
        ("0 0 1 */12 *", ["month: ", "at most 11"]),
        ("0 0 * MARCH *", ["month: ", "JAN to DEC"]),
        ("0 0 * 11-2 *", ["month: ", "`11-12,1-2`"]),
        ("0 0 * * */7", ["day of week: ", "at most 6", "write `0`"]),
        ("0 0 * * 1#2", ["day of week: ", "`1#2`"]),
        ("0 0 * * SAT-MON", ["day of week: ", "`6,0-1`"]),
        ("0 0 * * 8", ["day of week: ", "0 to 6"]),
        ("0 0 */2 * 1", ["day of month `*/2`", "day of week `1`", "both", "either", "`1-31/2`"]),
        ("0 0 1 * */2", ["day of month `1`", "day of week `*/2`", "both", "either", "`0-6/2`"]),
        ("0 0 */3 * */2", ["day of month `*/3`", "day of week `*/2`", "both", "either"]),
        ("0 0 1-31 * 1", ["day of month `1-31`", "both", "either"]),
        ("0 0 * * * 2026", ["6 fields", "years"]),
        ("@daily", ["`0 0 * * *`"]),
        ("@reboot", ["five fields"]),
    ],
)
def test_what_others_read_otherwise_is_refused_by_the_name_of_its_field(cron: str, said: list[str]) -> None:
    with pytest.raises(InvalidArgument) as refused:
        check_cron(cron)
    assert [word for word in said if word not in refused.value.message] == [], refused.value.message


@pytest.mark.parametrize("proposed", ["5-59/20 * * * *", "0 12-23/6 * * *", "0 0 31 2-12/2 *", "0 0 1 feb-DEC/3 *", "0 0 1 * MON-SAT/2"])
def test_what_is_proposed_for_a_step_on_a_single_value_is_taken_and_fires_as_it_did(proposed: str) -> None:
    start = datetime(2026, 11, 26, tzinfo=UTC)
    before = re.sub(r"-(59|23|12|DEC|SAT)/", "/", proposed)
    assert check_cron(proposed) == proposed
    assert fire_times_between(proposed, "UTC", start, start + timedelta(days=500), 20) == fire_times_between(
        before, "UTC", start, start + timedelta(days=500), 20
    )


@pytest.mark.parametrize(
    ("cron", "days"),
    [
        ("0 0 1 * MON", "1 Tue, 7 Mon, 14 Mon, 21 Mon"),  # either, as everywhere
        ("0 0 1-31/10 * 1", "1 Tue, 7 Mon, 11 Fri, 14 Mon"),
        ("0 0 */10 * *", "1 Tue, 11 Fri, 21 Mon, 31 Thu"),
        ("0 0 * * FRI-SUN", "4 Fri, 5 Sat, 6 Sun, 11 Fri"),
        ("0 0 * * 6-7", "5 Sat, 6 Sun, 12 Sat, 13 Sun"),
        ("0 0 * dec 7,0", "6 Sun, 13 Sun, 20 Sun, 27 Sun"),
        ("0 0 05,05 * *", "5 Sat, 5 Tue, 5 Fri, 5 Fri"),
        ("0 12-23/6 29 * *", "29 Tue, 29 Tue, 29 Fri, 29 Fri"),
    ],
)
def test_what_all_read_alike_is_taken(cron: str, days: str) -> None:
    slots = fire_times(check_cron(cron), "UTC", datetime(2026, 11, 30, 23, tzinfo=UTC), 4)
    assert ", ".join(f"{slot.utc.day} {slot.utc:%a}" for slot in slots) == days


def test_a_schedule_that_was_taken_before_goes_on() -> None:
    """As it fired until now: its row was written before such an expression was refused, or by others."""
    start = datetime(2026, 11, 26, tzinfo=UTC)
    assert [slot.day for slot in fire_times_between("0 0 */2 * 1", "UTC", start, start + timedelta(days=5), 9)] == [27, 29, 30, 1]
    assert [slot.minute for slot in fire_times_between("5/20 * * * *", "UTC", start, start + timedelta(hours=1), 9)] == [5, 25, 45]
    assert [slot.day for slot in fire_times_between("0 0 1 * MON/2", "UTC", start, start + timedelta(days=6), 9)] == [27, 30, 1, 2]
    assert [slot.hour for slot in fire_times_between("*/90 * * * *", "UTC", start, start + timedelta(hours=3), 9)] == [1, 2, 3]


@pytest.mark.parametrize(
    "zone",
    ["", "Mars/Olympus", "Factory", "europe/berlin", "localtime", "posixrules", "../etc/passwd", "America", "CEST", "+02:00", "UTC "],
)
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        next_after("0 2 * * *", zone, datetime(2026, 1, 1, tzinfo=UTC))
    assert refused.value.field == "timezone"


def test_spaces_are_folded_and_leap_days_come() -> None:
    assert check_cron("  0  0\t29 2 * ") == "0 0 29 2 *"
    assert next_after("0 0 29 2 *", "UTC", datetime(2026, 1, 1, tzinfo=UTC)) == datetime(2028, 2, 29, tzinfo=UTC)


@given(st.sampled_from(CRONS + CRONS_ELAPSED), zones, moments)
@settings(max_examples=60, deadline=None)
def test_slots_are_next_after_again_and_again(cron: str, zone: str, moment: datetime) -> None:
    """Strictly later each time, and the same whether asked one by one or at once, from the slot before or from in between."""
    slots = fire_times_between(cron, zone, moment, moment + timedelta(days=3650), 6)
    asked = moment
    for slot in slots:
        following = next_after(cron, zone, asked)
        between = asked + (following - asked) // 2
        assert (following, next_after(cron, zone, between)) == (slot, slot)
        assert following > asked
        asked = following
    assert latest_between(cron, zone, moment, slots[-1]) == slots[-1]
    assert latest_between(cron, zone, moment, slots[0] - timedelta(microseconds=1)) is None


@given(st.sampled_from(["30 1 * * *", "30 2 * * *", "0 0 * * *", "59 23 * * *", "15 3 * * *"]), zones, moments)
@settings(max_examples=25, deadline=None)
def test_a_daily_schedule_fires_once_a_local_date(cron: str, zone: str, moment: datetime) -> None:
    slots = fire_times_between(cron, zone, moment, moment + timedelta(days=400), 1000)
    days = [slot.astimezone(ZoneInfo(zone)).date() for slot in slots]
    assert all(later - earlier == timedelta(days=1) for earlier, later in pairwise(days))


def test_in_every_zone_there_is_a_daily_schedule_fires_once_a_local_date() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for zone in sorted(zone_names()):
        days = [
            slot.astimezone(ZoneInfo(zone)).date()
            for slot in fire_times_between("30 2 * * *", zone, start, start + timedelta(days=366), 400)
        ]
        assert all(later - earlier == timedelta(days=1) for earlier, later in pairwise(days)), zone


@given(st.sampled_from(CRONS_ELAPSED), zones, st.sampled_from((0, 1)), st.integers(-20, 20))
@settings(max_examples=20, deadline=None)
def test_elapsed_time_is_what_the_clock_shows(cron: str, zone: str, night: Literal[0, 1], hours: int) -> None:
    """Held against looking at the clock every minute of a day around the night."""
    start = datetime.combine(NIGHTS[zone][night], datetime.min.time(), UTC) + timedelta(hours=hours)
    minutes = [start + timedelta(minutes=minute) for minute in range(1, 24 * 60 + 1)]
    expected = [one for one in minutes if croniter.match(cron, one.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0))]
    assert fire_times_between(cron, zone, start, minutes[-1], 5000) == expected
