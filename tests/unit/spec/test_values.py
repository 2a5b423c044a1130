"""Values with units: what they mean, and that writing and reading agree."""

from __future__ import annotations

from decimal import Decimal
from zoneinfo import available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from autoscaler.spec.values import (
    Duration,
    LenientFlag,
    LenientReal,
    TimeZone,
    format_duration,
    format_share,
    parse_duration,
    parse_quantity,
    parse_share,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("800ms", 0.8),
        ("180ms", 0.18),
        ("15s", 15.0),
        ("20.84306s", 20.84306),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("1d", 86400.0),
        ("1d2h3m4s5ms", 93784.005),
        ("90s", 90.0),
        ("0s", 0.0),
        ("0.5h", 1800.0),
    ],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "15",
        "s",
        "15 s",
        "15S",
        "-5s",
        "+5s",
        "1m1h",
        "1m1m",
        "1.s",
        ".5s",
        "1e3s",
        "15sec",
        "1µs",
        "١s",
        "1000000000000s0",
    ],
)
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="a duration with its unit, such as 800ms, 15s, 5m or 1h30m"):
        parse_duration(text)


@pytest.mark.parametrize("raw", [15, 0.5, None, True, ["15s"]])
def test_a_bare_number_is_no_duration(raw):
    with pytest.raises(ValueError, match="a duration with its unit, such as 800ms, 15s, 5m or 1h30m"):
        parse_duration(raw)


@given(st.floats(1e-9, 1e9))
def test_a_duration_is_written_so_that_it_is_read_back_exactly(seconds):
    seconds = round(seconds, 6)
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (0.8, "800ms"),
        (1.5, "1.5s"),
        (59.0, "59s"),
        (60.0, "1m"),
        (5400.0, "1h30m"),
        (20.84306, "20.84306s"),
    ],
)
def test_durations_are_written_as_people_write_them(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize(("text", "ratio"), [("99%", 0.99), ("99.9%", 0.999), ("0.1%", 0.001), ("50%", 0.5)])
def test_shares(text, ratio):
    assert parse_share(text) == ratio
    assert format_share(ratio) == text


@pytest.mark.parametrize("text", ["99", 99, 0.99, "0%", "100%", "101%", "-1%", "99 %", "%", None, True])
def test_what_is_no_share(text):
    with pytest.raises(ValueError, match="a share in percent"):
        parse_share(text)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("700m", "0.7"),
        ("10", "10"),
        (10, "10"),
        (0.7, "0.7"),
        ("1.5k", "1500"),
        ("1Ki", "1024"),
        ("128Mi", "134217728"),
        ("1e3", "1000"),
        ("1E", "1e18"),
        ("1E3", "1000"),
        ("100u", "0.0001"),
        ("-3", "-3"),
        (".5", "0.5"),
        ("5.", "5"),
    ],
)
def test_quantities(raw, value):
    assert parse_quantity(raw) == Decimal(value)


@pytest.mark.parametrize("raw", ["", "m", "1mi", "1 k", "1K", "ten", None, True, [], "1e999", float("nan")])
def test_what_is_no_quantity(raw):
    with pytest.raises(ValueError, match="a Kubernetes quantity"):
        parse_quantity(raw)


@pytest.mark.parametrize(("raw", "value"), [("5", 5.0), (5, 5.0), ("3.889", 3.889), ("-1", -1.0)])
def test_numbers_of_other_projects_may_be_text(raw, value):
    assert TypeAdapter(LenientReal).validate_python(raw) == value


@pytest.mark.parametrize("raw", ["five", "nan", "inf", "", None, True, [1]])
def test_what_is_no_number(raw):
    with pytest.raises(ValidationError, match='a number, such as 5 or "5"'):
        TypeAdapter(LenientReal).validate_python(raw)


@pytest.mark.parametrize(("raw", "value"), [("true", True), (False, False), ("False", False)])
def test_switches_of_other_projects_may_be_text(raw, value):
    assert TypeAdapter(LenientFlag).validate_python(raw) is value


def test_a_duration_of_a_field_is_above_zero():
    with pytest.raises(ValidationError, match="above 0; a duration"):
        TypeAdapter(Duration).validate_python("0s")


@given(st.sampled_from(sorted(available_timezones())))
def test_every_time_zone_of_the_database_is_known(name):
    assert TypeAdapter(TimeZone).validate_python(name) == name
