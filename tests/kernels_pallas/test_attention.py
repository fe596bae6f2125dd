"""Every form of attention against its definition, and its refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kernels_pallas
from kernels_pallas.attention import IMPLEMENTATIONS, chosen
from kernels_pallas.attention.cost import cost


def _qkv(batch, t, s, heads, kv_heads, width, out_width, dtype=jnp.float32):
    keys = jax.random.split(jax.random.key(0), 3)
    q = jax.random.normal(keys[0], (batch, t, heads, width), dtype)
    k = jax.random.normal(keys[1], (batch, s, kv_heads, width), dtype)
    v = jax.random.normal(keys[2], (batch, s, kv_heads, out_width), dtype)
    return q, k, v


def _by_hand(q, k, v, bias=None, causal=False, scale=None):
    """Float64 loops over heads and rows: shares no code with the package."""
    q, k, v = (np.asarray(a, np.float64) for a in (q, k, v))
    batch, t, heads, width = q.shape
    s, share = k.shape[1], heads // k.shape[2]
    full = np.zeros((batch, heads, t, s))
    if bias is not None:
        full = full + np.asarray(bias, np.float64)
    out = np.zeros((batch, t, heads, v.shape[-1]))
    for b, h, i in np.ndindex(batch, heads, t):
        scores = k[b, :, h // share] @ q[b, i, h] * (width**-0.5 if scale is None else scale)
        scores = scores + full[b, h, i]
        if causal:
            scores[i + s - t + 1 :] = -np.inf
        if np.all(np.isneginf(scores)):
            continue
        weights = np.exp(scores - scores.max())
        out[b, i, h] = weights / weights.sum() @ v[b, :, h // share]
    return out


@pytest.mark.parametrize("form", IMPLEMENTATIONS)
@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((2, 7, 5, 4, 4, 8, 8), {}),
        ((1, 5, 9, 6, 2, 4, 3), {"scale": 0.3}),
        ((2, 6, 8, 2, 1, 8, 8), {"causal": True}),
        ((1, 600, 9, 2, 1, 4, 6), {}),
        ((1, 515, 530, 1, 1, 4, 4), {"causal": True}),
    ],
)
def test_forms_agree_with_loops(form, shape, options) -> None:
    q, k, v = _qkv(*shape)
    out = kernels_pallas.attention(q, k, v, implementation=form, **options)
    np.testing.assert_allclose(out, _by_hand(q, k, v, **options), rtol=0, atol=3e-6)


@pytest.mark.parametrize("form", IMPLEMENTATIONS)
@pytest.mark.parametrize("t", [6, 520])
@pytest.mark.parametrize("axes", ["full", "rows", "heads", "keys"])
def test_bias_broadcasts_and_hides(form, t, axes) -> None:
    q, k, v = _qkv(2, t, 7, 2, 2, 4, 4)
    shape = {
        "full": (2, 2, t, 7),
        "rows": (1, 1, t, 7),
        "heads": (1, 2, 1, 7),
        "keys": (2, 1, 1, 7),
    }
    bias = np.array(jax.random.normal(jax.random.key(1), shape[axes]))
    bias[..., 3] = -np.inf
    bias[-1, -1, -1] = -np.inf  # a query, or several, that sees nothing
    out = kernels_pallas.attention(q, k, v, bias=jnp.asarray(bias), implementation=form)
    np.testing.assert_allclose(out, _by_hand(q, k, v, bias), rtol=0, atol=3e-6)


@pytest.mark.parametrize("t", [12, 520])
def test_gradients_agree_with_the_definition(t) -> None:
    q, k, v = _qkv(1, t, t, 2, 1, 4, 4)

    def loss(form):
        def total(q, k, v):
            out = kernels_pallas.attention(q, k, v, causal=True, implementation=form)
            return jnp.sum(jnp.sin(out))

        return jax.jit(jax.grad(total, argnums=(0, 1, 2)))(q, k, v)

    for ours, theirs in zip(loss("xla"), loss("reference"), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5)


def test_reference_is_exact_in_float64() -> None:
    with jax.enable_x64(True):
        q, k, v = _qkv(1, 5, 6, 2, 2, 4, 4, jnp.float64)
        out = kernels_pallas.attention(q, k, v, implementation="reference")
        assert out.dtype == jnp.float64
        np.testing.assert_allclose(out, _by_hand(q, k, v), rtol=0, atol=1e-14)


@pytest.mark.parametrize("form", IMPLEMENTATIONS)
def test_half_precision_keeps_its_dtype(form) -> None:
    q, k, v = _qkv(1, 5, 6, 2, 2, 8, 8)
    small = [a.astype(jnp.bfloat16) for a in (q, k, v)]
    out = kernels_pallas.attention(*small, implementation=form)
    assert out.dtype == jnp.bfloat16
    np.testing.assert_allclose(out.astype(jnp.float32), _by_hand(q, k, v), rtol=0, atol=4e-2)


def test_large_scores_do_not_overflow() -> None:
    q, k, v = _qkv(1, 4, 4, 1, 1, 4, 4)
    out = kernels_pallas.attention(q * 1e4, k * 1e4, v)
    assert np.isfinite(out).all()


def test_no_score_matrix_is_held_when_long() -> None:
    q, k, v = _qkv(1, 2048, 2048, 4, 4, 8, 8)
    compiled = jax.jit(kernels_pallas.attention).lower(q, k, v).compile()
    scores = cost(q.shape, k.shape, v.shape).score_bytes
    assert compiled.memory_analysis().temp_size_in_bytes < scores / 4


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"q": jnp.ones((2, 3, 4))}, ValueError, "q has shape"),
        ({"q": jnp.ones((1, 2, 3, 4), jnp.int32)}, TypeError, "q has dtype int32"),
        ({"k": jnp.ones((1, 5, 3, 4), jnp.bfloat16)}, ValueError, "k has dtype bfloat16"),
        ({"k": jnp.ones((1, 5, 3, 6))}, ValueError, r"k has shape \(1, 5, 3, 6\)"),
        ({"v": jnp.ones((1, 4, 3, 4))}, ValueError, "v has shape"),
        (
            {"k": jnp.ones((1, 5, 2, 4)), "v": jnp.ones((1, 5, 2, 4))},
            ValueError,
            "3 query heads cannot share 2",
        ),
        ({"bias": jnp.ones((1, 3, 2, 4))}, ValueError, "bias has shape"),
        ({"bias": jnp.ones((1, 3, 2, 5), bool)}, TypeError, "bias has dtype bool"),
        ({"implementation": "pallas"}, ValueError, r"'pallas' does not exist.*'reference', 'xla'"),
        ({"k": jnp.ones((1, 0, 3, 4)), "v": jnp.ones((1, 0, 3, 4))}, ValueError, "empty"),
    ],
)
def test_refuses(change, error, words) -> None:
    arguments = {name: jnp.ones((1, 2 if name == "q" else 5, 3, 4)) for name in "qkv"} | change
    q, k, v = (arguments.pop(name) for name in "qkv")
    with pytest.raises(error, match=words):
        kernels_pallas.attention(q, k, v, **arguments)


def test_causal_needs_enough_keys() -> None:
    q, k, v = _qkv(1, 5, 4, 1, 1, 2, 2)
    with pytest.raises(ValueError, match="causal with 5 queries"):
        kernels_pallas.attention(q, k, v, causal=True)


def test_auto_says_what_it_is() -> None:
    assert chosen() in IMPLEMENTATIONS
    assert chosen("reference") == "reference"


def test_cost_by_hand() -> None:
    full = cost((2, 10, 4, 8), (2, 20, 2, 8), (2, 20, 2, 16))
    assert full.macs == 2 * 4 * 10 * 20 * (8 + 16)
    assert full.bytes_moved == 4 * 2 * (10 * 4 * (8 + 16) + 20 * 2 * (8 + 16))
    causal = cost((1, 3, 1, 1), (1, 3, 1, 1), (1, 3, 1, 1), causal=True)
    assert causal.macs == 6 * 2
