"""Second-order degradation: kernels by their formulas, resizing by hand, knobs and refusals."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from workbench.diffusion.super_resolution import blur_kernels
from workbench.diffusion.super_resolution.degradation import MILD, Degradation
from workbench.diffusion.super_resolution.degrading import (
    degraded,
    drawn_kernel,
    jpeg,
    noisy,
)
from workbench.diffusion.super_resolution.resizing import enlarged, resize_matrix, resized
from workbench.study.knobs import KnobError


def picture(height: int = 32, width: int = 32, seed: int = 0, block: int = 16) -> np.ndarray:
    """Smooth: colours that are drawn every `block` pixels, and mixed between."""
    size = height // block, width // block, 3
    coarse = np.random.default_rng(seed).random(size).astype(np.float32)
    return resized(coarse, (height, width), "bilinear")


@pytest.mark.parametrize("size", [7, 21])
def test_a_gaussian_has_its_spreads_and_its_turn(size: int) -> None:
    kernel = blur_kernels.gaussian(size, (1.1, 0.8), 0.0)
    axis = np.arange(size) - size // 2
    assert kernel.sum() == pytest.approx(1)
    assert (kernel.sum(0) * axis**2).sum() == pytest.approx(1.1**2, rel=0.05)
    assert (kernel.sum(1) * axis**2).sum() == pytest.approx(0.8**2, rel=0.05)
    turned = blur_kernels.gaussian(size, (1.1, 0.8), np.pi / 2)
    np.testing.assert_allclose(turned, kernel.T, atol=1e-12)


def test_kernels_by_hand() -> None:
    """Ratios of the middle to its right neighbour, where Σ = diag(4, 1)."""
    flat = blur_kernels.gaussian(7, (2.0, 1.0), 0.0, 3.0)
    assert flat[3, 4] / flat[3, 3] == pytest.approx(np.exp(-0.5 * 0.25**3))
    wide = blur_kernels.plateau(7, (2.0, 1.0), 0.0, 1.5)
    assert wide[3, 4] / wide[3, 3] == pytest.approx(1 / (1 + 0.25**1.5))


def test_a_sinc_is_the_transform_of_a_disc() -> None:
    """∫∫ over |ω| < c of cos(ω·x) / 4π² = ∫ ρ J₀(ρ r) / 2π, by numbers."""
    from scipy.special import j0

    cutoff = 1.3
    kernel = blur_kernels.sinc(9, cutoff)

    def exact(radius: float) -> float:
        return quad(lambda rho: rho * j0(rho * radius), 0, cutoff)[0] / (2 * np.pi)

    for row, column in ((4, 5), (6, 5), (0, 0)):
        radius = float(np.hypot(row - 4, column - 4))
        assert kernel[row, column] / kernel[4, 4] == pytest.approx(exact(radius) / exact(0.0))


@pytest.mark.parametrize("mode", ["area", "bilinear", "bicubic"])
def test_resizing_keeps_what_is_constant_and_averages_blocks(mode) -> None:
    for before, after in ((16, 4), (7, 19), (9, 5)):
        matrix = resize_matrix(before, after, mode)
        np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-6)
    ramp = np.arange(8, dtype=np.float32)
    found = resize_matrix(8, 4, mode) @ ramp
    np.testing.assert_allclose(found[1:3], [2.5, 4.5], atol=1e-5)


def test_the_traced_form_is_that_of_the_host() -> None:
    values = picture(16, 24)
    both = enlarged(jnp.asarray(values[None]), 4)
    np.testing.assert_allclose(both[0], resized(values, (64, 96), "bicubic"), atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), grey=st.booleans())
def test_a_degraded_picture_is_a_quarter_in_range_and_the_same_again(seed: int, grey: bool) -> None:
    knobs = Degradation(first_grey=float(grey), second_grey=float(grey))
    sharp = picture(32, 48, seed % 7)
    small = degraded(sharp, knobs, np.random.default_rng(seed))
    assert small.shape == (8, 12, 3)
    assert small.dtype == np.float32
    np.testing.assert_allclose(small * 255, np.rint(small * 255), atol=1e-4)
    assert small.min() >= 0
    assert small.max() <= 1
    np.testing.assert_array_equal(small, degraded(sharp, knobs, np.random.default_rng(seed)))


def test_nothing_asked_for_leaves_a_reduction() -> None:
    gentle = Degradation(
        first_blur=0, second_blur=0, first_up=0, first_down=0, second_up=0, second_down=0,
        first_noise_low=0, first_noise_high=0, second_noise_low=0, second_noise_high=0,
        first_gaussian=1, second_gaussian=1, first_jpeg_low=95, second_jpeg_low=95, final_sinc=0,
    )  # fmt: skip
    sharp = picture(64, 64)
    small = degraded(sharp, gentle, np.random.default_rng(0))
    assert np.abs(small - resized(sharp, (16, 16), "area")).mean() < 0.04


def test_stronger_knobs_lose_more() -> None:
    sharp = picture(64, 64)

    def loss(knobs: Degradation) -> float:
        found = [
            resized(degraded(sharp, knobs, np.random.default_rng(s)), (64, 64), "bicubic")
            for s in range(12)
        ]
        return float(np.mean((np.array(found) - sharp) ** 2))

    assert loss(MILD) < 0.6 * loss(Degradation())


def test_noise_of_each_kind_has_its_spread() -> None:
    flat = np.full((64, 64, 3), 0.5, np.float32)
    stage = Degradation().stage("first")
    drawn = np.random.default_rng(0)
    gaussian = noisy(flat, stage._replace(gaussian=1, noise=(10, 10), grey=0), drawn)
    assert (gaussian - flat).std() == pytest.approx(10 / 255, rel=0.05)
    grey = noisy(flat, stage._replace(gaussian=1, noise=(10, 10), grey=1), drawn)
    np.testing.assert_allclose(grey[..., 0], grey[..., 2], atol=1e-6)
    # Two levels at least: counts of mean 0.502 · 2 have a variance of 0.502 / 2 after division.
    poisson = noisy(flat, stage._replace(gaussian=0, poisson=(0.1, 0.1), grey=0), drawn)
    assert (poisson - flat).std() == pytest.approx(0.1 * np.sqrt(0.502 / 2), rel=0.05)


def test_jpeg_of_less_quality_is_further_off() -> None:
    sharp = picture(32, 32)
    errors = [np.abs(jpeg(sharp, quality) - sharp).mean() for quality in (95, 50, 10)]
    assert errors == sorted(errors)
    assert errors[0] < 0.02


def test_kernels_are_drawn_within_the_knobs() -> None:
    knobs, drawn = Degradation(), np.random.default_rng(1)
    kernels = [drawn_kernel(knobs, knobs.stage("first"), drawn) for _ in range(60)]
    assert {len(kernel) for kernel in kernels} == set(range(7, 22, 2))
    assert all(kernel.sum() == pytest.approx(1) for kernel in kernels)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"kernel_low": 8}, "kernel_low=8 must be odd"),
        ({"first_up": 0.5}, "first_up=0.5 and first_down=0.7 must not pass 1"),
        ({"first_jpeg_low": 95, "first_jpeg_high": 40}, "must not be above first_jpeg_high=40"),
        ({"generalised": 0.9}, "generalised=0.9 and plateau=0.15"),
        ({"first_noise_high": 300}, "First noise high must be between 0 and 100"),
        ({"blur": 1}, "blur"),
    ],
)
def test_knobs_refuse(values: dict, words: str) -> None:
    with pytest.raises(KnobError, match=words):
        Degradation.parse(values)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((32, 32, 1), "in colour"),
        ((8, 32, 3), "picture is 32×8; at least 16 pixels"),
        ((34, 32, 3), "picture is 32×34; width and height must be multiples of 4"),
    ],
)
def test_pictures_are_refused(shape: tuple, words: str, unchecked_shapes: None) -> None:
    with pytest.raises(ValueError, match=words):
        degraded(np.zeros(shape, np.float32), Degradation(), np.random.default_rng(0))
