"""Quantities are whole milli-units, rounded away from zero."""

from __future__ import annotations

import pytest

from autoscaler.policies.hpa.quantity import INT64_MAX, measured_milli, milli, parse_quantity
from autoscaler.policies.keda.settings import written_milli


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("10", 10_000),
        (44.001, 44_001),
        ("500m", 500),
        ("1500u", 2),
        ("1n", 1),
        ("-1500u", -2),
        ("0.0001", 1),
        ("1k", 1_000_000),
        ("2M", 2_000_000_000),
        ("128Mi", 128 * 2**20 * 1000),
        ("1Gi", 2**30 * 1000),
        ("1e3", 1_000_000),
        ("5E-1", 500),
        (".5", 500),
        ("+3", 3000),
        ("-50", -50_000),
        (1e-7, 1),
        ("9E", INT64_MAX),
    ],
)
def test_quantities_in_milli_units(raw: str | float, expected: int) -> None:
    assert milli(raw) == expected


@pytest.mark.parametrize("raw", ["", "ten", "1 k", "1KB", "1e", "--1", "1.2.3", "0x10", "NaN", "1e9999", True])
def test_what_is_no_quantity_is_refused(raw: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity"):
        parse_quantity(raw)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.7, 700), (3.9, 3900), (2.0001, 2001), (0.1 + 0.2, 300), (0.0, 0), (1e30, INT64_MAX)],
)
def test_measured_numbers_are_rounded_up_without_the_noise_of_binary_fractions(value: float, expected: int) -> None:
    assert measured_milli(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.7, 700), (1.2344, 1234), (1.2346, 1235), (-3.0, 0), (float("nan"), 0), (float("inf"), 0), (250.0, 250_000)],
)
def test_keda_writes_three_decimals(value: float, expected: int) -> None:
    assert written_milli(value) == expected
