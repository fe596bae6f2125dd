"""Numbers are written in one way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.figures import numbers


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (16384, "16\u2009384"),
        (-26.71, "−26.7"),
        (0.97149, "0.971"),
        (0.003, "0.00300"),
        (1e17, "10¹⁷"),
        (2.5e-7, "2.5 × 10⁻⁷"),
        (0, "0"),
        (75.0, "75"),
        (9.999, "10.0"),
        (float("nan"), "–"),
        (float("-inf"), "−∞"),
    ],
)
def test_number(value, written):
    assert numbers.number(value) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.99975, "0.99975"), (0.976, "0.976"), (0.9, "0.90"), (0.6, "0.600"), (1, "1")],
)
def test_a_share_near_one_shows_what_is_missing(value, written):
    assert numbers.near_one(value) == written


def test_units():
    assert numbers.setting(0.003) == "0.003"
    assert numbers.setting(7.5) == "7.5"
    assert numbers.seconds(0.0312) == "31.2 ms"
    assert numbers.seconds(252) == "4.20 min"
    assert numbers.seconds(1.58) == "1.58 s"
    assert numbers.memory(3 * 2**20) == "3 MiB"
    assert numbers.count(9.8e6) == "9.80 M"
    assert numbers.percent(-0.267) == "−26.7 %"
    assert numbers.predicted(numbers.number(73)) == "≈ 73"
    assert numbers.with_unit(0.002, "s") == "2 ms"
    assert numbers.with_unit(31.25, "dB") == "31.2 dB"


@given(st.floats(min_value=1e-4, max_value=9e5))
def test_number_reads_back_within_three_digits(value):
    read = float(numbers.number(value).replace(numbers.THIN, ""))
    assert read == pytest.approx(value, rel=5.1e-3)
