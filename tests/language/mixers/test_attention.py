"""Attention layers: against the definition in float64, their caches, and what they refuse."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from workbench.language.linear import Linear
from workbench.language.mixers import key_values
from workbench.language.mixers.attention import AttentionConfig
from workbench.language.mixers.xquant import XQuant
from workbench.language.mixing import NO_CONTEXT, Context
from workbench.language.rotary import Llama3Scaling, frequencies, rotated

WIDTH, LENGTH = 32, 13
CONFIG = AttentionConfig(num_heads=4, num_kv_heads=2, window_size=5, biases="all", rope_theta=50.0)
X = jax.random.normal(jax.random.key(0), (2, LENGTH, WIDTH))


def built(config, seed=1):
    return config.build(
        WIDTH, 0, linear=Linear, eps=1e-6, dtype=jnp.float32, rngs=nnx.Rngs(params=seed)
    )


@pytest.fixture(scope="module")
def layer():
    found = built(CONFIG)
    for place, projection in enumerate((found.q_proj, found.k_proj, found.v_proj, found.o_proj)):
        shape = projection.bias[...].shape
        projection.bias[...] = 0.3 * jax.random.normal(jax.random.key(place), shape)
        projection.kernel[...] = 10 * projection.kernel[...]
    return found


@pytest.fixture(scope="module")
def compiled():
    """A call and a step of a layer, compiled quickly."""
    quick = {"xla_backend_optimization_level": 0}

    @partial(jax.jit, static_argnums=0, compiler_options=quick)
    def call(graph, weights, x, state, context):
        return nnx.merge(graph, weights)(x, state, context)

    @partial(jax.jit, static_argnums=0, compiler_options=quick)
    def step(graph, weights, x, state):
        return nnx.merge(graph, weights).step(x, state)

    return (
        lambda layer, x, state, context=NO_CONTEXT: call(*nnx.split(layer), x, state, context),
        lambda layer, x, state: step(*nnx.split(layer), x, state),
    )


def by_definition(layer, x, segments):
    """Every score on its own, turned by complex numbers, in float64."""
    config, (heads, kv_heads, head) = layer.config, layer.sizes
    x = np.asarray(x, np.float64)

    def projected(one, inputs):
        return inputs @ np.asarray(one.kernel[...], np.float64) + np.asarray(one.bias[...])

    def turned(a, many):
        a = a.reshape(*a.shape[:2], many, head)
        pairs = a[..., : head // 2] + 1j * a[..., head // 2 :]
        angle = np.arange(a.shape[1])[:, None] * config.rope_theta ** (
            -2 * np.arange(head // 2) / head
        )
        pairs = pairs * np.exp(1j * angle)[None, :, None, :]
        return np.concatenate([pairs.real, pairs.imag], axis=-1)

    q, k = turned(projected(layer.q_proj, x), heads), turned(projected(layer.k_proj, x), kv_heads)
    v = projected(layer.v_proj, x).reshape(*x.shape[:2], kv_heads, head)
    out = np.zeros((*x.shape[:2], heads, head))
    for b, t, h in np.ndindex(*out.shape[:3]):
        seen = [
            s
            for s in range(max(0, t - config.window_size + 1), t + 1)
            if segments[b, s] == segments[b, t]
        ]
        group = h // (heads // kv_heads)
        scores = np.array([q[b, t, h] @ k[b, s, group] for s in seen]) / np.sqrt(head)
        weights = np.exp(scores - scores.max())
        out[b, t, h] = (weights / weights.sum()) @ v[b, seen, group]
    return projected(layer.o_proj, out.reshape(*x.shape[:2], -1))


def test_a_layer_is_its_definition(layer, compiled):
    segments = np.array([[0] * LENGTH, [3] * 4 + [1] * (LENGTH - 4)])
    out, state = compiled[0](layer, X, None, Context(jnp.asarray(segments)))
    assert state is None
    np.testing.assert_allclose(out, by_definition(layer, X, segments), atol=2e-5)


def test_rows_at_different_places_each_continue_their_own_text(layer, compiled):
    """Pieces of texts that began at different times, in a cache of the window."""
    call, step = compiled
    whole, _ = call(layer, X, None)
    states = []
    for row, pieces in ((0, 1), (1, 3)):
        state = layer.initial_state(1, LENGTH)
        for start in range(0, 3 * pieces, 3):
            _, state = call(layer, X[row : row + 1, start : start + 3], state)
        states.append(state)
    state = jax.tree.map(lambda *rows: jnp.concatenate(rows), *states)
    assert state.keys.shape == (2, 2, 5, 8)
    np.testing.assert_array_equal(state.seen, [3, 9])
    out, state = call(layer, jnp.stack([X[0, 3:5], X[1, 9:11]]), state)
    np.testing.assert_allclose(out, jnp.stack([whole[0, 3:5], whole[1, 9:11]]), atol=1e-5)
    for t in range(2):
        out, state = step(layer, jnp.stack([X[0, 5 + t], X[1, 11 + t]]), state)
        np.testing.assert_allclose(out, jnp.stack([whole[0, 5 + t], whole[1, 11 + t]]), atol=1e-5)


def test_a_cache_in_half_precision_is_near_and_half_as_large(layer, compiled):
    call, step = compiled
    half = built(CONFIG.model_copy(update={"cache": "bfloat16"}))
    nnx.update(half, nnx.state(layer))
    whole, _ = call(layer, X, None)
    _, state = call(half, X[:, :-1], half.initial_state(2, LENGTH))
    out, state = step(half, X[:, -1], state)
    assert state.keys.dtype.itemsize == 2
    assert key_values.numbers(state.keys, jnp.float32).dtype == jnp.float32
    difference = np.abs(np.asarray(out - whole[:, -1])).max() / np.abs(np.asarray(whole)).max()
    assert 1e-5 < difference < 2e-2


@settings(deadline=None, max_examples=25)
@given(
    kv_heads=st.sampled_from((1, 2, 4)),
    window=st.none() | st.integers(1, 40),
    length=st.integers(1, 300),
    batch=st.integers(1, 3),
    cache=st.sampled_from(("float32", "bfloat16")) | st.integers(1, 16).map(
        lambda bits: XQuant(bits=bits, group=32)
    ) | st.just(XQuant(bits=3, group=32, latent=True)),
)  # fmt: skip
def test_state_bytes_are_those_of_the_arrays(kv_heads, window, length, batch, cache):
    if isinstance(cache, XQuant):
        window = None
        kv_heads = 4 if cache.latent else kv_heads
    config = AttentionConfig(
        num_heads=4, num_kv_heads=kv_heads, window_size=window, head_dim=16, cache=cache
    )

    def state():
        layer = built(config)
        layer.latents = ()  # what an empty cache holds does not depend on them
        return layer.initial_state(batch, length)

    leaves = jax.tree.leaves(jax.eval_shape(state))
    assert all(leaf.shape[0] == batch for leaf in leaves)
    held = sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
    assert held == batch * config.state_bytes(WIDTH, length)


def test_bytes_of_another_cache_are_told():
    config = AttentionConfig(num_heads=4, num_kv_heads=1)
    assert config.state_bytes(32, 100, 2) == 2 * 100 * 8 * 2 + 4
    assert config.state_bytes(32, 100) == 2 * 100 * 8 * 4 + 4


@pytest.mark.parametrize("window", [None, 3, 50])
def test_products_are_counted_pair_by_pair(window):
    config = AttentionConfig(num_heads=4, window_size=window)
    pairs = sum(min(t + 1, window or 99) for t in range(20))
    assert config.macs(32, 20) == pytest.approx(2 * 4 * 8 * pairs / 20)


def test_a_cache_keeps_the_newest_tokens():
    state = key_values.empty(1, 4, 1, 1, jnp.float32)
    told = jnp.arange(9.0).reshape(1, 9, 1, 1)
    for piece in (told[:, :1], told[:, 1:8], told[:, 8:]):
        state = key_values.appended(state, piece, -piece)
    keys, values, held = key_values.by_age(state, jnp.float32)
    np.testing.assert_array_equal(keys[0, :, 0, 0], [5, 6, 7, 8])
    np.testing.assert_array_equal(values, -keys)
    assert held.all()


def test_positions_of_llama3_slow_only_the_slow():
    plain = frequencies(64, 500000.0)
    scaling = Llama3Scaling(
        factor=8, low_freq_factor=1, high_freq_factor=4, original_max_position_embeddings=8192
    )
    found, turns = scaling.scaled(plain), 8192 * plain / (2 * np.pi)
    np.testing.assert_array_equal(found[turns > 4], plain[turns > 4])
    np.testing.assert_allclose(found[turns < 1], plain[turns < 1] / 8)
    between = (turns > 1) & (turns < 4)
    assert between.any()
    assert (found[between] < plain[between]).all()
    assert (np.diff(found) < 0).all()


def test_only_distances_count():
    q, k = jax.random.normal(jax.random.key(2), (2, 1, 1, 1, 16))
    at = [
        jnp.sum(rotated(q, jnp.array([[i]]), frequencies(16, 1e4))
                * rotated(k, jnp.array([[i - 7]]), frequencies(16, 1e4)))
        for i in (7, 100)
    ]  # fmt: skip
    np.testing.assert_allclose(at[0], at[1], rtol=1e-4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_heads": 3}, "num_heads=3 does not divide hidden_size=32"),
        ({"num_heads": 4, "num_kv_heads": 3}, "num_kv_heads=3 does not divide num_heads=4"),
        ({"num_heads": 4, "head_dim": 7}, "a head of width 7 cannot be turned in pairs"),
        ({"cache": {"group": 64}}, "cache group=64 does not divide hidden_size=32"),
        (
            {"cache": {"group": 32, "latent": True}, "num_kv_heads": 2},
            "cache group=32 does not divide num_kv_heads \\* head_dim=16",
        ),
        ({"cache": {"group": 32}, "window_size": 8}, "window_size=8: a cache of inputs has no"),
    ],
)
def test_sizes_that_do_not_fit_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        built(AttentionConfig(**fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"window_size": 0},
        {"cache": "float16"},
        {"cache": {"bits": 17}},
        {"cache": {"group": 48}},
        {"biases": "some"},
        {"rope_scaling": {"rope_type": "yarn", "factor": 2.0}},
        {"rope_scaling": {"rope_type": "llama3", "factor": 2.0, "low_freq_factor": 4,
                          "high_freq_factor": 1, "original_max_position_embeddings": 8}},
    ],
)  # fmt: skip
def test_values_a_layer_does_not_have_are_refused(fields):
    with pytest.raises(ValidationError):
        AttentionConfig(**fields)
