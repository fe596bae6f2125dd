"""The short convolution: against NumPy's, piece by piece, segment by segment."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from workbench.language.short_conv import ShortConv

RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.standard_normal((2, 11, 5)), jnp.float32)


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled():
    """What the programs compute does not depend on this."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def by_hand(conv, x):
    """Each channel by NumPy, in float64."""
    kernel, time = np.float64(conv.kernel[...][:, 0]), x.shape[1]
    y = np.empty(x.shape)
    for b in range(x.shape[0]):
        for d in range(x.shape[2]):
            y[b, :, d] = np.convolve(np.float64(x[b, :, d]), kernel[::-1, d])[:time]
    if conv.bias is not None:
        y += np.float64(conv.bias[...])
    return y / (1 + np.exp(-y)) if conv.activation else y


@pytest.fixture(scope="module")
def conv():
    made = ShortConv(5, bias=True, rngs=nnx.Rngs(params=0))
    made.bias[...] = jnp.asarray(RNG.standard_normal(5), jnp.float32)
    return made


def test_it_is_a_convolution_of_the_past(conv):
    y, state = conv(X)
    np.testing.assert_allclose(y, by_hand(conv, X), atol=1e-6)
    assert state is None
    plain = ShortConv(5, size=3, activation=False, rngs=nnx.Rngs(params=1))
    np.testing.assert_allclose(plain(X)[0], by_hand(plain, X), atol=1e-6)


@pytest.mark.parametrize("pieces", [(4, 7), (1, 2, 8), (11,)])
def test_pieces_go_on_where_the_last_stopped(conv, pieces):
    state, found = conv.initial_state(2), []
    for piece in jnp.split(X, list(np.cumsum(pieces)[:-1]), axis=1):
        y, state = conv(piece, state)
        found.append(y)
    np.testing.assert_allclose(np.concatenate(found, 1), conv(X)[0], atol=1e-6)
    assert np.array_equal(state, X[:, -3:])


def test_steps_are_the_whole_at_once(conv):
    state = conv.initial_state(2)
    for t in range(11):
        y, state = conv.step(X[:, t], state)
        np.testing.assert_allclose(y, conv(X)[0][:, t], atol=1e-6)
    assert np.array_equal(state, X[:, -3:])


def test_nothing_passes_between_segments_even_where_an_id_comes_back(conv):
    ids = jnp.asarray([[0] * 4 + [1] * 7, [2] * 5 + [0, 2, 2, 2, 2, 2]])
    before = jnp.asarray(RNG.standard_normal((2, 3, 5)), jnp.float32)
    y, state = conv(X, before, ids)
    for row, ends in enumerate([(4, 11), (5, 6, 11)]):
        begin, entering = 0, before[row : row + 1]
        for end in ends:
            seen = np.concatenate([entering, X[row : row + 1, begin:end]], axis=1)
            np.testing.assert_allclose(y[row, begin:end], by_hand(conv, seen)[0, 3:], atol=1e-6)
            begin, entering = end, np.zeros((1, 3, 5))
        assert np.array_equal(state[row], seen[0, -3:])


def test_bfloat16_comes_back_as_bfloat16(conv):
    x = X.astype(jnp.bfloat16)
    y, state = conv(x, conv.initial_state(2))
    assert y.dtype == jnp.bfloat16 and state.dtype == jnp.float32
    np.testing.assert_allclose(np.float32(y), by_hand(conv, np.float32(x)), rtol=1e-2, atol=1e-2)
