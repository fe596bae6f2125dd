"""GLA with each gate, RetNet, Mamba-2 and HGRN2 against their equations, token by token in NumPy.

Oracles are in float64 and loop over time, heads apart.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from workbench.language.linear import Linear
from workbench.language.mixers.gla import GLAConfig, chunked_macs
from workbench.language.mixers.hgrn2 import HGRN2Config, gates
from workbench.language.mixers.mamba2 import Mamba2Config
from workbench.language.mixers.retnet import RetNetConfig
from workbench.language.mixing import Context
from workbench.model_files.abstract import AnyKey

WIDTH, TIME, EPS = 16, 7, 1e-6
X = np.random.default_rng(0).standard_normal((1, TIME, WIDTH))
BOUND = np.linspace(0.1, 0.9, WIDTH)
MIXERS = {
    "gla": GLAConfig(num_heads=4, num_kv_heads=2, clamp_min=-0.05),
    "gla-scalar": GLAConfig(num_heads=4, num_kv_heads=2, gate="scalar", gate_logit_normalizer=4.0),
    "gla-fixed": GLAConfig(num_heads=4, gate="fixed"),
    "gla-none": GLAConfig(num_heads=4, gate="none"),
    "retnet": RetNetConfig(num_heads=2),
    "hgrn2": HGRN2Config(expand_ratio=4),
    "mamba2": Mamba2Config(state_size=6, head_dim=8, conv_kernel=3),
}


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled():
    """What the programs compute does not depend on this."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def build(config):
    """A layer whose weights are all drawn, large enough that every gate and norm matters."""
    key = AnyKey()
    key.params()
    layer = nnx.eval_shape(
        lambda: config.build(WIDTH, 0, linear=Linear, eps=EPS, dtype=jnp.float32, rngs=key)
    )
    graph, state = nnx.split(layer)
    draw = np.random.default_rng(2)
    drawn = jax.tree_util.tree_map_with_path(
        lambda path, a: jnp.asarray(
            0.4 * draw.standard_normal(a.shape) + ("scale" in str(path)), jnp.float32
        ),
        state,
    )
    return nnx.merge(graph, drawn)


@pytest.fixture(scope="module", params=MIXERS)
def case(request):
    config = MIXERS[request.param]
    return request.param.split("-")[0], config, build(config)


def silu(x):
    return x / (1 + np.exp(-x))


def normed(x, scale):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + EPS) * scale


def of(layer):
    """The layer's arrays by path, in float64."""
    found = jax.tree_util.tree_leaves_with_path(nnx.state(layer, nnx.Param))
    return {".".join(str(s.key) for s in path[:-1]): np.float64(leaf) for path, leaf in found}


def product(w, name, x):
    return x @ w[f"{name}.kernel"] + w.get(f"{name}.bias", 0.0)


def recurrence(q, k, v, decay, scale):
    """o_t = scale S_t^T q_t of S_t = Diag(decay_t) S_{t-1} + k_t v_t^T, all [T, H, ...]."""
    out = np.empty(v.shape)
    for h in range(v.shape[1]):
        state = np.zeros((k.shape[-1], v.shape[-1]))
        for t in range(len(v)):
            state = decay[t, h][:, None] * state + np.outer(k[t, h], v[t, h])
            out[t, h] = scale * state.T @ q[t, h]
    return out


def gla(config, w, x):
    heads, shared = config.num_heads, config.kv_heads
    key, value = config.head_sizes(WIDTH)
    q = product(w, "q_proj", x).reshape(TIME, heads, key)
    k = product(w, "k_proj", x).reshape(TIME, shared, key)
    v = product(w, "v_proj", x).reshape(TIME, shared, value)
    if config.gate == "channel":
        logits = product(w, "gk_proj.1", product(w, "gk_proj.0", x)).reshape(k.shape)
    elif config.gate == "scalar":
        logits = np.repeat(product(w, "gk_proj", x)[..., None], key, -1)
    else:
        logits = np.zeros(k.shape)
    log_gates = -np.log1p(np.exp(-logits)) / config.gate_logit_normalizer
    if config.clamp_min is not None:
        assert (log_gates < config.clamp_min).any()
        log_gates = np.maximum(log_gates, config.clamp_min)
    if config.gate == "none":
        log_gates = np.zeros(k.shape)
    if config.gate == "fixed":
        rates = [1 - 2.0 ** (-5 - h) for h in range(heads)]
        log_gates = np.broadcast_to(np.log(rates)[:, None], k.shape)
    k, v, decay = (np.repeat(a, heads // shared, 1) for a in (k, v, np.exp(log_gates)))
    o = recurrence(q, k, v, decay, key**-0.5)
    gate = silu(product(w, "g_proj", x)).reshape(o.shape)
    o = normed(o, w["g_norm_swish_gate.scale"]) * gate
    return product(w, "o_proj", o.reshape(TIME, -1))


def turned(x):
    """Pairs (i, i + K / 2) as complex numbers, each turned by its position."""
    size = x.shape[-1]
    rates = 10000.0 ** (-np.arange(0, size, 2) / size)
    pairs = x[..., : size // 2] + 1j * x[..., size // 2 :]
    pairs = pairs * np.exp(1j * np.arange(TIME)[:, None, None] * rates)
    return np.concatenate([pairs.real, pairs.imag], -1)


def retnet(config, w, x):
    heads, (key, value) = config.num_heads, config.head_sizes(WIDTH)
    q = turned(product(w, "q_proj", x).reshape(TIME, heads, key))
    k = turned(product(w, "k_proj", x).reshape(TIME, heads, key))
    v = product(w, "v_proj", x).reshape(TIME, heads, value)
    rates = np.array([31 / 32, 63 / 64])
    o = recurrence(q, k, v, np.broadcast_to(rates[:, None], k.shape), key**-0.5)
    gate = silu(product(w, "g_proj", x)).reshape(o.shape)
    o = normed(o, w["g_norm_swish_gate.scale"]) * gate
    return product(w, "o_proj", o.reshape(TIME, -1))


def hgrn2(config, w, x):
    shape = (TIME, config.heads(WIDTH), config.expand_ratio)
    forget = BOUND + (1 - BOUND) / (1 + np.exp(-product(w, "f_proj", x)))
    q = silu(product(w, "q_proj", x)).reshape(shape)
    v = product(w, "i_proj", x).reshape(shape)
    forget = forget.reshape(shape)
    o = recurrence(q, 1 - forget, v, forget, config.expand_ratio**-0.5)
    return product(w, "o_proj", normed(o.reshape(TIME, -1), w["g_norm.scale"]))


def mamba2(config, w, x):
    heads, size, inner = config.heads(WIDTH), config.state_size, config.expand * WIDTH
    z, mixed, steps = np.split(product(w, "in_proj", x), [inner, 2 * inner + 2 * size], -1)
    kernel = w["conv1d.kernel"][:, 0]
    padded = np.concatenate([np.zeros((len(kernel) - 1, mixed.shape[-1])), mixed])
    mixed = sum(kernel[j] * padded[j : j + TIME] for j in range(len(kernel)))
    mixed = silu(mixed + w["conv1d.bias"])
    x, b, c = np.split(mixed, [inner, inner + size], -1)
    x = x.reshape(TIME, heads, config.head_dim)
    dt = np.log1p(np.exp(steps + w["dt_bias"]))
    decay = np.exp(-dt * np.exp(w["A_log"]))
    b, c = (np.repeat(a[:, None], heads, 1) for a in (b, c))
    o = recurrence(c, b, dt[..., None] * x, np.repeat(decay[..., None], size, -1), 1.0)
    y = (o + w["D"][:, None] * x).reshape(TIME, inner)
    return product(w, "out_proj", normed(y * silu(z), w["norm.scale"]))


ORACLES = {"gla": gla, "retnet": retnet, "hgrn2": hgrn2, "mamba2": mamba2}


def test_the_layer_is_its_equations(case):
    kind, config, layer = case
    context = Context(lower_bound=jnp.float32(BOUND) if config.bounded else None)
    found, state = nnx.jit(lambda layer, x: layer(x, None, context))(layer, jnp.float32(X))
    wanted = ORACLES[kind](config, of(layer), X[0])
    assert state is None
    np.testing.assert_allclose(found[0], wanted, rtol=2e-5, atol=2e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("kind", MIXERS)
def test_state_bytes_are_those_of_the_state(kind):
    config = MIXERS[kind]
    state = build(config).initial_state(1, 50)
    assert config.state_bytes(WIDTH, 50) == sum(leaf.nbytes for leaf in jax.tree.leaves(state))


def test_macs_are_the_formulas_of_the_op():
    per_channel = 64 * (2 * 128 + 256) + 2 * 128 * 256
    assert GLAConfig().macs(1024, 2048) == 4 * per_channel
    assert GLAConfig(gate="none").macs(1024, 2048) == 4 * (64 * (128 + 256) + 2 * 128 * 256)
    assert chunked_macs(128, 256, 8, "masked") == 8 * (128 + 256 + 8) + 2 * 128 * 256
    assert RetNetConfig().macs(1024, 2048) == 8 * (64 * (128 + 256 + 64) + 2 * 128 * 256)
    assert HGRN2Config().macs(1024, 2048) == 8 * (64 * 3 * 128 + 2 * 128**2)
    convolution = 4 * (2048 + 256)
    assert Mamba2Config().macs(1024, 9) == 32 * (9 * (128 + 64 + 9) + 2 * 128 * 64) + convolution


def first(config, width):
    """A layer as it is first made."""
    kind = {"linear": Linear, "eps": EPS, "dtype": jnp.float32}
    return nnx.jit(lambda: config.build(width, 0, rngs=nnx.Rngs(params=0), **kind))()


def test_first_weights_of_gla_forget_as_its_authors_say():
    layer = first(GLAConfig(), 64)
    gates = np.exp(layer.log_decay(jnp.zeros((1, 64))))
    np.testing.assert_allclose(gates, 0.5 ** (1 / 16), rtol=1e-6)
    assert abs(np.std(layer.q_proj.kernel[...]) - 0.02) < 2e-3
    assert not np.any(layer.gk_proj[1].bias[...])


def test_first_weights_of_mamba2():
    layer = first(Mamba2Config(head_dim=1), 256)
    steps = np.log1p(np.exp(np.float64(layer.dt_bias[...])))
    assert steps.min() > 0.001 * (1 - 1e-3) and steps.max() < 0.1 * (1 + 1e-3)
    np.testing.assert_allclose(np.log(steps).mean(), np.log(0.01), atol=0.2)
    rates = np.exp(np.float64(layer.A_log[...]))
    assert rates.min() >= 1 and rates.max() <= 16 and abs(rates.mean() - 8.5) < 1


def test_bounded_gates_are_exact_and_have_gradients_where_they_are_strong():
    x = np.array([-200.0, -90.0, -20.0, 0.0, 3.0, 30.0, 200.0])
    both = jax.jit(gates)
    slopes = jax.jit(jax.grad(lambda *given: sum(g.sum() for g in gates(*given)), (0, 1)))
    for bound in (0.0, 0.25):
        given = jnp.float32(x), jnp.full(7, bound, jnp.float32)
        log_forget, write = both(*given)
        forget = bound + (1 - bound) / (1 + np.exp(-x))
        np.testing.assert_allclose(log_forget, np.log(forget), rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(write, (1 - bound) / (1 + np.exp(x)), rtol=1e-5, atol=1e-40)
        assert all(np.isfinite(slope).all() for slope in slopes(*given))
    for one, other in zip(gates(jnp.float32(x), None), both(given[0], jnp.zeros(7)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (GLAConfig(num_heads=3), "num_heads=3 does not divide expand_k"),
        (GLAConfig(num_heads=4, num_kv_heads=3), "num_kv_heads=3 does not divide num_heads=4"),
        (GLAConfig(expand_k=0.01), "num_heads=4 does not divide expand_k .* = 0"),
        (RetNetConfig(num_heads=16), "expand_k .* = 16 must be a multiple of 32"),
        (RetNetConfig(num_heads=2, expand_v=0.2), "expand_v .* = 3 must be a multiple of 2"),
        (HGRN2Config(), "expand_ratio=128 does not divide hidden_size=16"),
        (Mamba2Config(head_dim=5), r"head_dim=5 does not divide expand \* hidden_size = 32"),
    ],
)
def test_a_width_a_layer_cannot_have_names_the_field(config, message):
    with pytest.raises(ValueError, match=message):
        build(config)


def test_fields_out_of_bounds():
    with pytest.raises(ValueError, match=r"dt_min=0\.2 is above dt_max=0\.1"):
        Mamba2Config(dt_min=0.2)
    with pytest.raises(ValueError, match="clamp_min"):
        GLAConfig(clamp_min=1.0)
