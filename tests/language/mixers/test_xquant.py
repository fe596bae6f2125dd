"""Caches of quantised inputs: codes, their bytes, and attention that reads them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.language.linear import Linear
from workbench.language.mixers import xquant
from workbench.language.mixers.attention import AttentionConfig
from workbench.language.mixers.xquant import XQuant

WIDTH, GROUP, LENGTH = 64, 32, 100
QUICK = {"xla_backend_optimization_level": 0}
X = jax.random.normal(jax.random.key(0), (2, LENGTH, WIDTH))


@partial(jax.jit, static_argnames=("bits", "per"), compiler_options=QUICK)
def quantized(x, bits, per):
    return xquant.quantized(x, XQuant(bits=bits, group=GROUP), per)


restored = jax.jit(xquant.restored, compiler_options=QUICK)


@settings(deadline=None, max_examples=20)
@given(
    bits=st.sampled_from((1, 3, 16)),
    per=st.sampled_from(("token", "channel")),
    size=st.sampled_from((1e-3, 1.0, 300.0)),
    shift=st.sampled_from((-50.0, 0.0, 3.0)),
    seed=st.integers(0, 99),
)
def test_an_input_is_within_half_a_step_of_its_code(bits, per, size, shift, seed):
    draw = np.random.default_rng(seed).normal(shift, size, (1, 2, GROUP, WIDTH))
    x = draw.astype(np.float32)
    codes = quantized(x, bits, per)
    assert codes.words.shape[-1] == bits
    assert codes.words.nbytes * 8 == x.size * bits
    codes = jax.tree.map(np.asarray, codes)
    scale = np.repeat(codes.scale.astype(np.float32), WIDTH // codes.scale.shape[-1], axis=-1)
    error = np.abs(restored(codes) - x)
    assert (error <= 0.5 * scale * (1 + 1e-3) + 1e-6 * np.abs(x).max()).all()
    if per == "token":
        spread = np.ptp(x.reshape(1, 2, GROUP, -1, GROUP), axis=-1)
    else:
        spread = np.ptp(x, axis=2, keepdims=True)
    # Rounded outwards, by what float16 needs for the scale and the zero.
    most = (spread + 0.003 * np.abs(x).max()) / (2**bits - 1) * 1.003 + 2e-7
    assert (codes.scale <= most).all()


def test_groups_without_spread_are_kept():
    x = jnp.full((1, 1, GROUP, WIDTH), 0.7)
    for per in ("token", "channel"):
        np.testing.assert_allclose(restored(quantized(x, 2, per)), x, atol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("per", ["token", "channel"])
def test_pieces_of_any_length_leave_the_same_cache(per):
    settings = XQuant(bits=5, group=GROUP)
    sizes = ((WIDTH, per),)
    append = jax.jit(
        lambda kept, x, count: xquant.appended(kept, x, count, settings, per),
        compiler_options=QUICK,
    )

    def read(pieces):
        state = xquant.empty(settings, 2, LENGTH, sizes)
        start = 0
        for piece in pieces:
            kept = append(state.kept[0], X[:, start : start + piece], state.seen)
            state = xquant.KeptInputs((kept,), state.seen + piece)
            start += piece
        parts = [xquant.old_part(state, jnp.int32(part), 2) for part in range(2)]  # of three blocks
        parts.append(xquant.recent_part(state))
        assert xquant.old_parts(state, 2) == 2
        found = [(p[0], i[0][0], held[0]) for i, p, held in parts]
        return [np.concatenate([part[n][part[2]] for part in found]) for n in range(2)]

    at_once, in_pieces = read([LENGTH]), read([1, 33, 33, 33])
    np.testing.assert_array_equal(at_once[0], np.arange(LENGTH))
    np.testing.assert_array_equal(in_pieces[0], np.arange(LENGTH))
    np.testing.assert_array_equal(at_once[1], in_pieces[1])
    whole = LENGTH // GROUP * GROUP
    np.testing.assert_array_equal(at_once[1][whole:], X[0, whole:])
    assert np.abs(at_once[1][:whole] - X[0, :whole]).max() > 0.01


@pytest.mark.slow
@pytest.mark.parametrize(("latent", "kv_heads"), [(False, 4), (True, 2)])
def test_more_bits_come_nearer_to_a_plain_cache_and_sixteen_reach_it(latent, kv_heads):
    """A text shorter than a group is as with a plain cache; later its groups are rounded."""
    whole = run(layer("float32", kv_heads), X, None)[0]
    found = {}
    for bits in (3, 16):
        packed = layer(XQuant(bits=bits, group=GROUP, latent=latent), kv_heads)
        state = packed.initial_state(2, LENGTH)
        for t in range(0, 70, 10):
            if t == 20:
                out, _ = run(packed, X[:, t : t + 1], state)
                np.testing.assert_allclose(out, whole[:, t : t + 1], atol=1e-5)
            _, state = run(packed, X[:, t : t + 10], state)
        out, _ = run(packed, X[:, 70:71], state)
        found[bits] = np.abs(out - whole[:, 70:71]).max() / np.abs(whole).max()
    assert found[16] < 3e-4
    assert 3e-3 < found[3] < 0.3


@partial(jax.jit, static_argnums=0, compiler_options=QUICK)
def call(graph, weights, x, state):
    return nnx.merge(graph, weights)(x, state)


def run(layer, x, state):
    return call(*nnx.split(layer), x, state)


def layer(cache, kv_heads):
    config = AttentionConfig(num_heads=4, num_kv_heads=kv_heads, cache=cache, biases="all")
    found = config.build(
        WIDTH, 0, linear=Linear, eps=1e-6, dtype=jnp.float32, rngs=nnx.Rngs(params=1)
    )
    for projection in (found.q_proj, found.k_proj, found.v_proj):
        projection.kernel[...] = 10 * projection.kernel[...]
        projection.bias[...] = jnp.linspace(-1, 1, projection.bias[...].size)
    if isinstance(cache, XQuant) and cache.latent:
        found.make_latents()
    return found


def test_projections_that_were_not_made_are_asked_for():
    packed = AttentionConfig(num_heads=2, cache=XQuant(group=GROUP, latent=True)).build(
        WIDTH, 0, linear=Linear, eps=1e-6, dtype=jnp.float32, rngs=nnx.Rngs(params=1)
    )
    with pytest.raises(ValueError, match="with_cache"):
        packed.initial_state(1, 9)


def test_a_row_stepped_past_its_room_is_read_no_further():
    """Free rows of a batch of requests are stepped on beside the others."""
    state = xquant.empty(XQuant(group=GROUP), 2, 2 * GROUP, ((WIDTH, "token"),))
    beyond = state._replace(seen=jnp.asarray([3, 500 * GROUP]))
    blocks = state.kept[0].old.words.shape[1]
    assert int(xquant.old_parts(beyond, 1)) == blocks


def test_latents_are_no_wider_than_the_model():
    """W of a wide head has no higher rank than the input it reads."""
    config = AttentionConfig(num_heads=2, head_dim=WIDTH, cache=XQuant(group=GROUP, latent=True))
    assert config.kept(WIDTH, 2 * WIDTH) == ((WIDTH, "channel"), (WIDTH, "token"))
    found = config.build(
        WIDTH, 0, linear=Linear, eps=1e-6, dtype=jnp.float32, rngs=nnx.Rngs(params=1)
    )
    found.make_latents()
    out, _ = run(found, X[:1, :GROUP], found.initial_state(1, LENGTH))
    plain = AttentionConfig(num_heads=2, head_dim=WIDTH).build(
        WIDTH, 0, linear=Linear, eps=1e-6, dtype=jnp.float32, rngs=nnx.Rngs(params=1)
    )
    np.testing.assert_allclose(out, run(plain, X[:1, :GROUP], None)[0], atol=2e-5)
