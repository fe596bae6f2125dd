"""Metrics against scikit-image and by hand; letters by where they were set."""

import numpy as np
import pytest
from skimage.color import rgb2ycbcr
from skimage.filters import sobel
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from workbench.datasets import Glyphs, typeset
from workbench.diffusion.super_resolution import metrics


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    drawn = np.random.default_rng(0)
    sharp = np.cumsum(drawn.standard_normal((2, 40, 48, 3)), axis=1) / 20 + 0.5
    sharp = np.clip(sharp, 0, 1)
    return np.clip(sharp + 0.05 * drawn.standard_normal(sharp.shape), 0, 1), sharp


def test_y_is_that_of_scikit_image(pair) -> None:
    noisy, sharp = pair
    first, second = rgb2ycbcr(noisy)[..., 0] / 255, rgb2ycbcr(sharp)[..., 0] / 255
    np.testing.assert_allclose(metrics.luma(noisy)[..., 0], first, atol=1e-12)
    np.testing.assert_allclose(
        metrics.psnr_y(noisy, sharp),
        [peak_signal_noise_ratio(b, a, data_range=1) for a, b in zip(first, second, strict=True)],
    )
    structure = [
        structural_similarity(
            a, b, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        for a, b in zip(first, second, strict=True)
    ]
    np.testing.assert_allclose(metrics.ssim_y(noisy, sharp), structure)


def test_edges_correlate_as_scikit_image_has_them(pair) -> None:
    noisy, sharp = pair
    planes = [rgb2ycbcr(x)[..., 0] for x in (noisy[0], sharp[0])]
    # Its Sobel, which has another scale, is the same but at the border.
    inner = [sobel(plane)[2:-2, 2:-2].ravel() for plane in planes]
    found = metrics.edge_correlation(noisy[:1], sharp[:1])[0]
    assert found == pytest.approx(np.corrcoef(*inner)[0, 1], abs=0.03)
    np.testing.assert_allclose(metrics.edge_correlation(sharp, sharp), 1)
    assert np.isnan(metrics.edge_correlation(np.full_like(sharp, 0.5), sharp)).all()


def test_letters_that_keep_their_form_correlate() -> None:
    pixels, glyphs = typeset("seventh avenue", 40, 96, 14)
    page = pixels[None] / 255.0
    assert metrics.character_correlation(page, page, [glyphs])[0] == pytest.approx(1)
    faint = 0.2 * page + 0.4
    assert metrics.character_correlation(faint, page, [glyphs])[0] == pytest.approx(1)
    assert metrics.character_correlation(1 - page, page, [glyphs])[0] == pytest.approx(-1)
    assert metrics.character_correlation(np.full_like(page, 0.5), page, [glyphs])[0] == 0
    empty = Glyphs("", np.zeros((0, 4), np.int32))
    assert np.isnan(metrics.character_correlation(page, page, [empty])[0])


def test_one_letter_lost_of_two_is_half() -> None:
    pixels, glyphs = typeset("ab", 40, 96, 18)
    page = pixels[None] / 255.0
    without = page.copy()
    top, left, bottom, right = glyphs.boxes[1]
    without[:, top:bottom, left:right] = 1.0
    assert metrics.character_correlation(without, page, [glyphs])[0] == pytest.approx(0.5)
