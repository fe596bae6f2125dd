"""Ternary layers and MLGRU: against float64, against each other, and as decoders."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from workbench.language.bit_linear import BitLinear, ternary
from workbench.language.config import DecoderConfig
from workbench.language.decoder import Decoder
from workbench.language.mixers.gla import GLAConfig
from workbench.language.mixers.mlgru import MLGRU, MLGRUConfig
from workbench.language.mixing import Context
from workbench.model_files.abstract import abstract


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled():
    """What the programs compute does not depend on this."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def layer(features_in: int, features_out: int, **fields) -> BitLinear:
    made = BitLinear(
        features_in, features_out, dtype=jnp.float32, rngs=nnx.Rngs(params=0), **fields
    )
    gain = 1 + 0.3 * jax.random.normal(jax.random.key(3), (features_in,))
    made.norm.scale[...] = gain
    return made


def in_float64(linear: BitLinear, x: np.ndarray) -> np.ndarray:
    """The layer in numpy."""
    x, w = np.float64(x), np.float64(linear.kernel[...])
    y = x / np.sqrt(np.mean(x * x, -1, keepdims=True) + linear.norm.eps)
    y *= np.float64(linear.norm.scale[...])
    sa = 127 / np.maximum(np.abs(y).max(-1, keepdims=True), 1e-5)
    sw = 1 / max(np.abs(w).mean(), 1e-5)
    codes, signs = np.clip(np.round(y * sa), -128, 127), np.clip(np.round(w * sw), -1, 1)
    return codes @ signs / sa / sw


def test_a_layer_is_its_equations_in_float64():
    linear = layer(48, 20)
    x = np.asarray(jax.random.normal(jax.random.key(1), (2, 5, 48)))
    np.testing.assert_allclose(
        jax.jit(linear.__call__)(x), in_float64(linear, x), rtol=1e-5, atol=1e-6
    )


def test_the_plain_form_has_the_same_outputs_and_gradients():
    x = jax.random.normal(jax.random.key(1), (6, 48))
    out = jax.random.normal(jax.random.key(2), (6, 20))
    found = []
    for fused in (True, False):
        graph, state = nnx.split(layer(48, 20, fused=fused))

        def loss(state, x, graph=graph):
            y = nnx.merge(graph, state)(x)
            return jnp.sum(y * out), y

        both = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
        (_, y), grads = both(state, x)
        found.append(jax.tree.leaves((y, grads)))
    for fused, plain in zip(*found, strict=True):
        np.testing.assert_allclose(fused, plain, rtol=2e-5, atol=2e-5)
    assert len(found[0]) == 4  # the output; the kernel's, the gain's and the input's gradients


def test_a_bias_is_added_after_the_scales():
    plain, biased = layer(16, 8), layer(16, 8, bias=True)
    biased.bias[...] = jnp.arange(8.0)
    x = jax.random.normal(jax.random.key(1), (3, 16))
    ours, without = jax.jit(lambda x: (biased(x), plain(x)))(x)
    np.testing.assert_allclose(ours, np.asarray(without) + np.arange(8.0), rtol=1e-5, atol=1e-6)


def test_weights_of_zeros_do_not_divide_by_zero():
    signs, scale = ternary(jnp.zeros((4, 3)))
    assert float(scale) == pytest.approx(1e-5)
    assert not signs.any()


# The recurrence.

WIDTH = 24


def mlgru(**fields) -> MLGRU:
    config = MLGRUConfig(**fields)
    config_of = DecoderConfig(
        vocab_size=8,
        hidden_size=WIDTH,
        num_hidden_layers=1,
        mixers=(config,),
        linears="ternary",
        tie_word_embeddings=False,
    )
    return Decoder(config_of, rngs=nnx.Rngs(params=1)).model.layers[0].attn


@pytest.mark.parametrize("variant", ["released", pytest.param("paper", marks=pytest.mark.slow)])
def test_the_layer_is_the_recurrence_a_token_at_a_time(variant):
    mixer = mlgru(variant=variant)
    if variant == "paper":
        mixer.f_proj.bias[...] = jnp.linspace(-1, 1, WIDTH)
        mixer.o_proj.bias[...] = jnp.linspace(0, 1, WIDTH)
    bound = jnp.linspace(0.1, 0.9, WIDTH)
    x = jax.random.normal(jax.random.key(4), (2, 9, WIDTH))

    def whole(x):
        y, _ = mixer(x, None, Context(lower_bound=bound))
        return y, mixer.i_proj(x), mixer.f_proj(x), mixer.g_proj(x)

    y, i, f, g = map(np.float64, jax.jit(whole)(x))
    last = jax.jit(mixer.o_proj.__call__)
    forget = 1 / (1 + np.exp(-f))
    if variant == "released":
        forget = np.float64(bound) + (1 - np.float64(bound)) * forget
    h = np.zeros((2, WIDTH))
    for t in range(9):
        c = i[:, t] / (1 + np.exp(-i[:, t]))
        h = forget[:, t] * h + (1 - forget[:, t]) * c
        if variant == "released":
            normed = g[:, t] / np.sqrt(np.mean(g[:, t] ** 2, -1, keepdims=True) + 1e-6)
            o = normed * h / (1 + np.exp(-h))
        else:
            o = h / (1 + np.exp(-g[:, t]))
        wanted = last(jnp.asarray(o, jnp.float32))
        np.testing.assert_allclose(y[:, t], wanted, atol=1e-5)


def test_the_paper_has_biases_and_neither_bounds_nor_a_norm():
    paper, released = mlgru(variant="paper"), mlgru()
    assert paper.f_proj.bias is not None
    assert released.f_proj.bias is None
    assert not hasattr(paper, "g_norm")
    assert (paper.config.bounded, released.config.bounded) == (False, True)
    assert not MLGRUConfig(use_lower_bound=False).bounded


def test_first_weights_are_those_of_the_release():
    config = DecoderConfig(
        vocab_size=64,
        hidden_size=128,
        num_hidden_layers=2,
        mixers=(MLGRUConfig(),),
        linears="ternary",
        tie_word_embeddings=False,
    )
    model = Decoder(config, rngs=nnx.Rngs(params=0))
    first = model.model.layers[0]
    limit = 2**-2.5 * (6 / 256) ** 0.5
    for projection in (first.attn.i_proj, first.attn.o_proj):
        largest = float(jnp.abs(projection.kernel[...]).max())
        assert 0.99 * limit < largest <= limit
    assert float(first.mlp.gate_proj.kernel[...].std()) == pytest.approx(0.02, rel=0.02)
    assert float(first.mlp.down_proj.kernel[...].std()) == pytest.approx(0.01, rel=0.02)
    assert first.mlp.gate_proj.kernel.shape == (128, 2 * config.inner)
    assert isinstance(model.lm_head, BitLinear)
    assert not model.model.lower_bounds[...].any()


# Decoders of ternary projections.

TERNARY = {
    "gla": (GLAConfig(num_heads=2),),
    "mlgru": (MLGRUConfig(),),
}
TOKENS = jax.random.randint(jax.random.key(1), (2, 6), 0, 29)


@pytest.mark.parametrize("name", ["mlgru", pytest.param("gla", marks=pytest.mark.slow)])
def test_a_ternary_decoder_steps_as_it_reads_the_whole_text(name):
    """To 1e-5 as far as no value lies within float32's error of a half, where a step and the whole
    text may round it apart: then a logit moves by some 1/127. None does with these seeds."""
    config = DecoderConfig(
        vocab_size=29,
        hidden_size=32,
        num_hidden_layers=2,
        mixers=TERNARY[name],
        intermediate_size=48,
        linears="ternary",
        tie_word_embeddings=False,
    )
    model = Decoder(config, rngs=nnx.Rngs(params=0))
    whole = jax.jit(model.__call__)(TOKENS)
    assert float(jnp.abs(whole).max()) > 0.1
    states, step = model.initial_state(2, 6), jax.jit(model.step)
    for t in range(6):
        logits, states = step(TOKENS[:, t], states)
        np.testing.assert_allclose(logits, whole[:, t], atol=1e-5)


def test_bounds_of_the_layers_rise_from_none():
    config = DecoderConfig(
        vocab_size=8, hidden_size=16, num_hidden_layers=4, mixers=(MLGRUConfig(),)
    )
    model = abstract(Decoder, config, dtype=jnp.float32).model
    assert model.lower_bounds.shape == (4, 16)
    model.lower_bounds = nnx.Param(jnp.zeros((4, 16)))
    bounds = jnp.stack([context.lower_bound for context in model.contexts(None)])
    np.testing.assert_allclose(
        bounds, np.repeat([[0], [0.25], [0.5], [0.75]], 16, axis=1), atol=1e-6
    )


def test_a_ternary_head_cannot_be_the_embedding():
    with pytest.raises(ValueError, match="tie_word_embeddings=True: a ternary head"):
        DecoderConfig(
            vocab_size=8,
            hidden_size=8,
            num_hidden_layers=1,
            mixers=(MLGRUConfig(),),
            linears="ternary",
        )
