"""DeltaNet and Gated DeltaNet: what their layers do, hold and cost."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from workbench.language.config import DecoderConfig
from workbench.language.decoder import Decoder
from workbench.language.linear import Linear
from workbench.language.mixers.delta_net import DeltaNetConfig, normalized
from workbench.language.mixers.gated_delta_net import GatedDeltaNetConfig
from workbench.model_files import keys
from workbench.model_files.abstract import abstract

X = jnp.asarray(np.random.default_rng(0).standard_normal((2, 9, 16)), jnp.float32)


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled():
    """What the programs compute does not depend on this."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def layer(config, width=16, dtype=jnp.float32):
    kind = {"linear": Linear, "eps": 1e-6, "dtype": dtype, "rngs": nnx.Rngs(params=0)}
    return config.build(width, 0, **kind)


def test_the_layer_is_the_recurrence_by_hand():
    """Values' heads share a key; strengths go to 2."""
    config = GatedDeltaNetConfig(num_heads=1, num_v_heads=2, head_dim=4, allow_neg_eigval=True)
    made = layer(config)

    @nnx.jit
    def parts(made, x):
        convolved = [conv(path(x))[0] for path, conv in made._paths()]
        gate = jax.nn.silu(made.g_proj(x))
        return *convolved, made.strength(x), made.log_decay(x), gate, made(x)[0]

    q, k, v, beta, gates, gate, found = (np.float64(one) for one in parts(made, X))
    q, k = (one / np.linalg.norm(one, axis=-1, keepdims=True) for one in (q, k))
    v = v.reshape(2, 9, 2, 8)
    assert 1 < beta.max() < 2 and gates.max() < 0
    state, out = np.zeros((2, 2, 4, 8)), np.empty((2, 9, 2, 8))
    for t in range(9):
        state *= np.exp(gates[:, t, :, None, None])
        change = v[:, t] - np.einsum("bk,bhkv->bhv", k[:, t], state)
        state += np.einsum("bk,bhv->bhkv", k[:, t], beta[:, t, :, None] * change)
        out[:, t] = np.einsum("bk,bhkv->bhv", q[:, t], state) / 2
    out /= np.sqrt(np.mean(out**2, axis=-1, keepdims=True) + 1e-6)
    wanted = (out.reshape(2, 9, 16) * gate) @ np.float64(made.o_proj.kernel[...])
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_normalized_has_length_one_and_zero_stays_zero():
    lengths = jnp.linalg.norm(normalized(X), axis=-1)
    np.testing.assert_allclose(lengths, 1.0, atol=1e-5)
    gradient = jax.grad(lambda x: jnp.sum(normalized(x)))(jnp.zeros((1, 4)))
    assert np.isfinite(gradient).all() and not normalized(jnp.zeros((1, 4))).any()


@pytest.mark.parametrize("negative, most", [(False, 1), (True, 2)])
def test_strengths_and_first_gates_lie_where_the_layers_have_them(negative, most):
    made = layer(GatedDeltaNetConfig(num_heads=8, head_dim=2, allow_neg_eigval=negative))
    assert float(made.strength(1e4 * X).max()) == most
    rates, steps = np.exp(made.A_log[...]), jax.nn.softplus(made.dt_bias[...])
    assert rates.min() > 0 and rates.max() < 16
    assert steps.min() > 0.99e-3 and steps.max() < 0.101
    fixed = layer(DeltaNetConfig(num_heads=2, use_beta=False))
    assert not hasattr(fixed, "b_proj") and (np.asarray(fixed.strength(X)) == 1).all()


@pytest.mark.parametrize(
    "config", [DeltaNetConfig(num_heads=2), GatedDeltaNetConfig(num_heads=2, head_dim=4)]
)
def test_bfloat16_products_and_float32_states(config):
    made = layer(config, dtype=jnp.bfloat16)
    state = jax.eval_shape(lambda: made.initial_state(3, 100))
    y, after = jax.eval_shape(made, jax.ShapeDtypeStruct((3, 5, 16), jnp.bfloat16), state)
    assert y.dtype == jnp.bfloat16
    assert jax.tree.map(lambda one: (one.shape, one.dtype), after) == jax.tree.map(
        lambda one: (one.shape, one.dtype), state
    )
    assert {leaf.dtype for leaf in jax.tree.leaves(after)} == {jnp.dtype("float32")}
    assert {leaf.shape[0] for leaf in jax.tree.leaves(after)} == {3}
    numbers = sum(leaf.size for leaf in jax.tree.leaves(state)) // 3
    assert config.state_bytes(16, 100) == 4 * numbers


def test_what_a_token_costs():
    """H (2 C (K + V) + 3 K V + inverse), and 4 taps on every channel that is convolved."""
    config = DeltaNetConfig(num_heads=4)
    inverse = 2 * 2 * 64 + 64 + 256 + 1024
    wanted = 4 * (2 * 64 * 512 + 3 * 256 * 256 + inverse) + 4 * 3 * 1024
    assert config.macs(1024, 2048) == wanted
    assert config.macs(1024, 5) < wanted


@pytest.mark.parametrize(
    "mixer, names, count",
    [
        (DeltaNetConfig(num_heads=8), {"q_proj", "k_proj", "v_proj", "b_proj", "q_conv1d",
         "k_conv1d", "v_conv1d", "o_norm", "o_proj"}, 4 * 1024**2 + 8 * 1024 + 3 * 4096 + 128),
        (GatedDeltaNetConfig(num_heads=4), {"q_proj", "k_proj", "v_proj", "a_proj", "b_proj",
         "A_log", "dt_bias", "q_conv1d", "k_conv1d", "v_conv1d", "g_proj", "o_norm", "o_proj"},
         2 * 1024**2 + 3 * 2048 * 1024 + 8 * 1024 + 8 + 4 * 4096 + 512),
    ],
)  # fmt: skip
def test_names_and_counts_of_the_parameters(mixer, names, count):
    config = DecoderConfig(vocab_size=9, hidden_size=1024, num_hidden_layers=1, mixers=mixer)
    shapes = keys.file_shapes(abstract(Decoder, config, dtype="float32"))
    prefix = "model.layers.0.attn."
    mine = {name.removeprefix(prefix): s for name, s in shapes.items() if name.startswith(prefix)}
    assert {name.split(".")[0] for name in mine} == names
    assert mine["q_conv1d.weight"] == (1024, 1, 4)
    assert sum(int(np.prod(shape)) for shape in mine.values()) == count


@pytest.mark.parametrize(
    "config, words",
    [(DeltaNetConfig(num_heads=3), r"num_heads=3 does not divide expand_k \* hidden_size = 16"),
     (GatedDeltaNetConfig(num_heads=4, num_v_heads=6), "num_v_heads=6 is no multiple of num_he"),
     (GatedDeltaNetConfig(head_dim=3, expand_v=0.5), "expand_v=0.5 times head_dim=3 is 1.5")],
)  # fmt: skip
def test_shapes_a_layer_cannot_have(config, words):
    with pytest.raises(ValueError, match=words):
        layer(config)
