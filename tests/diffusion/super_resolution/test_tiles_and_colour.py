"""Tiles and their blending; the colours of one picture on another."""

import jax.numpy as jnp
import numpy as np
import pytest

from workbench.diffusion.super_resolution.colour import colour_matched
from workbench.diffusion.super_resolution.tiles import by_tiles, shares, starts, tile_weights
from workbench.progress import Cancelled


def test_where_tiles_begin() -> None:
    assert starts(96, 96, 32) == [0]
    assert starts(160, 96, 32) == [0, 64]
    assert starts(170, 96, 32) == [0, 64, 74]
    assert starts(50, 96, 32) == [0]


def test_weights_are_gaussian_and_shares_sum_to_one() -> None:
    weights = tile_weights(96, 96)[..., 0]
    assert weights[0, 48] / weights[47, 48] == pytest.approx(
        np.exp(-((47.5**2 - 0.5**2) / 96**2) / 0.02)
    )
    np.testing.assert_allclose(weights, weights[::-1, ::-1])
    found = shares(40, 56, 16, 6)
    np.testing.assert_allclose(found.sum(axis=0), 1)
    assert (found >= 0).all()


@pytest.mark.parametrize("scale", [1.0, 4.0, 0.25])
def test_what_looks_at_single_places_is_the_same_in_tiles(scale: float) -> None:
    values = np.random.default_rng(0).random((2, 40, 56, 3)).astype(np.float32)

    def work(x: np.ndarray) -> np.ndarray:
        if scale < 1:
            return x[:, ::4, ::4] ** 2
        repeated = np.repeat(np.repeat(x, int(scale), 1), int(scale), 2)
        return 3 * repeated[..., :2]

    tiled = by_tiles(work, values, 16, 8, scale=scale)
    np.testing.assert_allclose(tiled, work(values), rtol=1e-5, atol=1e-6)


def test_one_tile_that_sees_everything_is_the_whole() -> None:
    values = np.random.default_rng(0).random((1, 20, 24, 3)).astype(np.float32)

    def average(x: np.ndarray) -> np.ndarray:
        return x - x.mean()

    np.testing.assert_array_equal(by_tiles(average, values, 24, 4), average(values))


def test_tiles_refuse_and_stop() -> None:
    values = np.zeros((1, 20, 24, 3), np.float32)
    with pytest.raises(ValueError, match="tile=8 with overlap=8: needed"):
        by_tiles(lambda x: x, values, 8, 8)
    with pytest.raises(ValueError, match=r"a tile's result has size \(8, 8\); needed \(16, 16\)"):
        by_tiles(lambda x: x, values, 8, 4, scale=2)

    def stop(done: int, total: int, note: str = "", preview: object = None) -> None:
        if done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        by_tiles(lambda x: x, values, 8, 4, report=stop)


def test_colours_are_matched() -> None:
    drawn = np.random.default_rng(0)
    picture = jnp.asarray(drawn.random((2, 16, 16, 3)), jnp.float32)
    like = jnp.asarray(0.3 + 0.1 * drawn.random((2, 8, 8, 3)), jnp.float32)
    found = np.asarray(colour_matched(picture, like))
    wanted = np.asarray(like)
    np.testing.assert_allclose(found.mean((1, 2)), wanted.mean((1, 2)), atol=1e-5)
    np.testing.assert_allclose(found.std((1, 2)), wanted.std((1, 2)), atol=2e-3)
    np.testing.assert_allclose(colour_matched(picture, picture), picture, atol=1e-5)
