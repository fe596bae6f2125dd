"""Distances between sets of pictures against scipy, closed forms and brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from workbench.diffusion import population


def features(seed=0, count=200, size=6, scale=1.0, shift=0.0):
    draw = np.random.default_rng(seed)
    mixing = np.eye(size) + 0.3 * np.random.default_rng(99).normal(size=(size, size))
    return scale * draw.normal(size=(count, size)) @ mixing + shift


def test_frechet_distance_with_scipys_matrix_root():
    a, b = features(0), features(1, scale=1.7, shift=0.4)
    s1, s2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    gap = a.mean(0) - b.mean(0)
    wanted = gap @ gap + np.trace(s1 + s2 - 2 * sqrtm(s1 @ s2).real)
    assert population.frechet_distance(a, b) == pytest.approx(wanted, rel=1e-9)


@settings(deadline=None)
@given(st.floats(0.2, 3), st.floats(-2, 2))
def test_frechet_distance_of_a_scaled_and_shifted_copy_is_known(scale, shift):
    """Both Gaussians share their axes: d² = D shift² + (scale - 1)² tr S after centring."""
    a = features()
    a = a - a.mean(0)
    trace = np.trace(np.cov(a, rowvar=False))
    wanted = a.shape[1] * shift**2 + (scale - 1) ** 2 * trace
    found = population.frechet_distance(scale * a + shift, a)
    assert found == pytest.approx(wanted, rel=1e-6, abs=1e-6)


def test_frechet_distance_in_one_dimension():
    a, b = features(size=1), features(1, size=1, shift=2.0)
    wanted = (a.mean() - b.mean()) ** 2 + (a.std(ddof=1) - b.std(ddof=1)) ** 2
    assert population.frechet_distance(a, b) == pytest.approx(wanted)


def test_kernel_distance_by_brute_force():
    a, b = features(0, 9), features(1, 7)

    def kernel(x, y):
        return (x @ y / len(x) + 1) ** 3

    def within(values):
        pairs = [kernel(x, y) for i, x in enumerate(values) for j, y in enumerate(values) if i != j]
        return np.mean(pairs)

    wanted = within(a) + within(b) - 2 * np.mean([kernel(x, y) for x in a for y in b])
    assert population.kernel_distance(a, b) == pytest.approx(wanted, rel=1e-9)


def test_kernel_distance_is_unbiased_for_one_distribution_and_grows_with_a_shift():
    same = [population.kernel_distance(features(2 * s, 40), features(2 * s + 1, 40))
            for s in range(60)]  # fmt: skip
    error = np.std(same) / np.sqrt(len(same))
    assert abs(np.mean(same)) < 4 * error
    assert min(same) < 0 < max(same)
    moved = population.kernel_distance(features(0), features(1, shift=1.0))
    assert moved > np.mean(same) + 10 * error


@pytest.mark.parametrize("measure", [population.frechet_distance, population.kernel_distance])
def test_one_sample_is_no_distribution(measure):
    with pytest.raises(ValueError, match="2 samples on each side. You gave 1"):
        measure(features(0, 1), features(1))


def test_diversity_by_brute_force():
    values, labels = features(0, 12), np.array([0, 0, 0, 1, 1, 2, 3, 3, 3, 3, 2, 1])
    per_class = []
    for label in range(4):
        chosen = values[labels == label]
        gaps = [np.linalg.norm(x - y) for i, x in enumerate(chosen) for y in chosen[:i]]
        per_class.append(np.mean(gaps))
    assert population.diversity(values, labels) == pytest.approx(np.mean(per_class))
    assert np.isnan(population.diversity(values[:3], np.arange(3)))
    assert population.diversity(np.repeat(values[:1], 4, 0), np.zeros(4, int)) == 0


@settings(deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([np.float32, np.float64]))
def test_nearest_distance_to_a_set_that_holds_the_picture_is_zero(seed, dtype):
    draw = np.random.default_rng(seed)
    others = draw.uniform(size=(20, 64)).astype(dtype)
    assert np.all(population.nearest_distances(others[3:9], others) == 0)


def test_nearest_distances_by_brute_force():
    mine, others = features(0, 8, 30), features(1, 11, 30)
    wanted = [min(np.linalg.norm(x - y) for y in others) for x in mine]
    np.testing.assert_allclose(population.nearest_distances(mine, others), wanted)
