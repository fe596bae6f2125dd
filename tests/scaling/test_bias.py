"""Approach 2 on a known surface: the expected error to its digits."""

import pytest

from tests.scaling.surfaces import ASYMMETRIC, HOFFMANN, SYMMETRIC
from workbench.scaling.bias import parabola_bias, simulated
from workbench.scaling.parabolas import isoflop

WIDTHS = (2, 4, 8, 16)


@pytest.mark.parametrize(
    ("params", "centre", "percent"),
    [
        (HOFFMANN, 1.0, ("-0.33", "-1.30", "-2.90", "-5.10")),
        (HOFFMANN, 3.0, ("7.11", "5.69", "3.38", "0.24")),
    ],
)
def test_the_offset_of_a_parabola(params, centre: float, percent: tuple[str, ...]) -> None:
    for width, printed in zip(WIDTHS, percent, strict=True):
        found = parabola_bias(params, width=width, centre=centre)
        assert f"{100 * found['error']:.2f}" == printed
        assert found["exponent"] == pytest.approx(found["true_exponent"], abs=1e-12)


def test_equal_exponents_have_no_offset() -> None:
    for width in WIDTHS:
        found = parabola_bias(SYMMETRIC, width=width)
        assert found["error"] == pytest.approx(0.0, abs=1e-9)
        assert found["exponent"] == pytest.approx(found["true_exponent"], abs=1e-12)


def test_unequal_exponents_have_a_large_one() -> None:
    # The first is printed as -1.68, and is -1.6748 by this code.
    for width, expected in zip(WIDTHS, (-1.68, -6.50, -13.91, -23.12), strict=True):
        found = parabola_bias(ASYMMETRIC, width=width)
        assert 100 * found["error"] == pytest.approx(expected, abs=6e-3 if width == 2 else 5e-3)
        assert found["exponent"] == pytest.approx(found["true_exponent"], abs=1e-12)


def test_a_drifting_centre_bends_the_exponent() -> None:
    found = [parabola_bias(HOFFMANN, width=width, drift=3.0) for width in WIDTHS]
    for one, printed in zip(found, ("11.6", "9.83", "6.94", "3.05"), strict=True):
        digits = len(printed.partition(".")[2])
        assert f"{100 * one['error']:.{digits}f}" == printed
    bends = [one["exponent"] - one["true_exponent"] for one in found]
    # At 4 and 8: the same parabolas by least squares in another program.
    assert [f"{bend:.4f}" for bend in bends] == ["0.0077", "0.0073", "0.0067", "0.0058"]


def test_the_simulator_and_the_fit_of_tables_agree() -> None:
    runs = simulated(HOFFMANN, 4.0, 1.0, 1.0)
    lines, table = isoflop(runs)
    assert (table["why"] == "").all()
    found = parabola_bias(HOFFMANN, width=4.0)
    assert float(lines.allocation([1e24])["n_tokens"].iloc[0]) == pytest.approx(
        found["n_tokens"], rel=1e-9
    )
    assert lines.data[0] == pytest.approx(found["exponent"], rel=1e-9)
