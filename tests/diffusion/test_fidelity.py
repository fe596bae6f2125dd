"""Fidelity measures against scikit-image, brute force and cases known by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio

from workbench.diffusion import fidelity


def pictures(seed=0, shape=(3, 16, 16, 2)):
    return np.random.default_rng(seed).uniform(size=shape)


def test_psnr_is_scikit_images():
    first, second = pictures(0), pictures(1)
    wanted = [
        peak_signal_noise_ratio(a, b, data_range=1.0) for a, b in zip(first, second, strict=True)
    ]
    np.testing.assert_allclose(fidelity.psnr(first, second), wanted, rtol=1e-12)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.floats(1e-6, 0.5))
def test_psnr_of_equal_pictures_is_99_and_falls_with_the_error(seed, error):
    first = pictures(seed, (1, 8, 8, 1))
    assert fidelity.psnr(first, first)[0] == pytest.approx(99)
    off = fidelity.psnr(first + error, first)[0]
    assert off == pytest.approx(min(99, -20 * np.log10(error)), abs=1e-6)


def test_ssim_against_the_formula_at_the_window_by_hand():
    """11 × 11 pictures have one window; its weights and constants are Wang et al.'s."""
    first, second = pictures(0, (1, 11, 11, 1)), pictures(1, (1, 11, 11, 1))
    line = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    weights = np.outer(line, line) / line.sum() ** 2
    a, b = first[0, ..., 0], second[0, ..., 0]

    def mean(values):
        return (weights * values).sum()

    covariance = mean(a * b) - mean(a) * mean(b)
    spread = mean(a * a) - mean(a) ** 2 + mean(b * b) - mean(b) ** 2
    wanted = ((2 * mean(a) * mean(b) + 0.01**2) * (2 * covariance + 0.03**2)) / (
        (mean(a) ** 2 + mean(b) ** 2 + 0.01**2) * (spread + 0.03**2)
    )
    assert fidelity.ssim(first, second)[0] == pytest.approx(wanted, rel=1e-9)


def test_ssim_of_equal_pictures_is_one_and_small_pictures_are_refused():
    first = pictures()
    np.testing.assert_allclose(fidelity.ssim(first, first), 1.0)
    with pytest.raises(ValueError, match="at least 11 × 11"):
        fidelity.ssim(first[:, :8, :8], first[:, :8, :8])


def test_latent_error_by_brute_force():
    draw = np.random.default_rng(0)
    mine, full = draw.normal(size=(2, 2, 5, 4, 4, 3))
    wanted = [
        [np.linalg.norm(mine[n, s] - full[n, s]) / np.linalg.norm(full[n, s]) for s in range(5)]
        for n in range(2)
    ]
    np.testing.assert_allclose(fidelity.latent_error(mine, full), wanted, rtol=1e-12)


@pytest.mark.parametrize(("steps", "matching"), [
    (2, [1, 3]), (4, [0, 1, 2, 3]), (8, [0, 0, 0, 1, 1, 2, 2, 3]), (3, [0, 1, 3]),
])  # fmt: skip
def test_runs_of_another_length_are_held_against_the_same_share_of_the_way(steps, matching):
    full = np.random.default_rng(0).normal(size=(1, 4, 2, 2, 1))
    assert np.all(fidelity.latent_error(full[:, matching], full) == 0)
    assert fidelity.latent_error(full[:, matching], full).shape == (1, steps)


@settings(deadline=None)
@given(st.integers(0, 7), st.integers(0, 7))
def test_a_wave_shows_at_its_own_frequency(rows, columns):
    y, x = np.mgrid[:16, :16] / 16
    wave = np.cos(2 * np.pi * (rows * y + columns * x))[None, ..., None]
    power = fidelity.radial_spectrum(wave)[0]
    radius = int(np.rint(np.hypot(rows, columns)))
    assert power.shape == (9,)
    if radius < 9:
        assert power.argmax() == radius
        np.testing.assert_allclose(np.delete(power, radius), 0, atol=1e-9)


def test_power_at_high_frequencies_is_that_of_the_filtered_picture():
    """Parseval: the power of the upper half is the energy of what a filter leaves of it."""
    draw = np.random.default_rng(1)
    mine, full = draw.normal(size=(2, 3, 16, 16, 1))
    y, x = np.mgrid[-8:8, -8:8]
    radius = np.fft.ifftshift(np.rint(np.hypot(x, y)))
    keep = ((radius >= 4) & (radius <= 8))[None, :, :, None]

    def energy(images):
        left = np.fft.ifft2(keep * np.fft.fft2(images, axes=(1, 2)), axes=(1, 2))
        return (np.abs(left) ** 2).sum(axis=(1, 2, 3))

    wanted = energy(mine) / energy(full)
    np.testing.assert_allclose(fidelity.high_frequency_ratio(mine, full), wanted, rtol=1e-6)


def test_spectrum_ratios_are_one_for_equal_pictures_and_fall_with_smoothing():
    from scipy.ndimage import gaussian_filter

    first = pictures()
    smooth = gaussian_filter(first, (0, 1, 1, 0))
    np.testing.assert_allclose(fidelity.spectrum_ratio(first, first), 1.0)
    np.testing.assert_allclose(fidelity.high_frequency_ratio(first, first), 1.0)
    assert np.all(fidelity.high_frequency_ratio(smooth, first) < 0.1)
    assert np.all(fidelity.spectrum_ratio(2 * first, first) > 3.9)
