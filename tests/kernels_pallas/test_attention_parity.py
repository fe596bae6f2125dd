"""Attention against torch's own, values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers import peer

torch = peer("torch")

import kernels_pallas  # noqa: E402

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]


def window_mask(t: int, window: int) -> np.ndarray:
    back = np.arange(t)[:, None] - np.arange(t)[None]
    return (back >= 0) & (back < window)


CASES = {
    "plain": ((2, 300, 300, 4, 4, 40), {}, {}),
    "cross": ((2, 1100, 77, 8, 8, 40), {}, {}),
    "long": ((1, 1100, 1100, 2, 2, 64), {}, {}),
    "causal": ((1, 1100, 1100, 2, 2, 64), {"causal": True}, {"is_causal": True}),
    "grouped": (
        (1, 700, 700, 8, 2, 64),
        {"causal": True},
        {"is_causal": True, "enable_gqa": True},
    ),
    "window": (
        (1, 1100, 1100, 2, 2, 64),
        {"causal": True, "window": 100},
        {"attn_mask": torch.from_numpy(window_mask(1100, 100))},
    ),
}


def inputs(batch, t, s, heads, kv_heads, width):
    numbers = np.random.default_rng(0)
    shapes = [
        (batch, t, heads, width),
        *[(batch, s, kv_heads, width)] * 2,
        (batch, t, heads, width),
    ]
    return [numbers.standard_normal(shape).astype(np.float32) for shape in shapes]


def theirs(q, k, v, d_out, bias=None, **options):
    """Result and gradients of torch, whose heads come before time."""
    arrays = [torch.from_numpy(a).transpose(1, 2).requires_grad_() for a in (q, k, v)]
    if bias is not None:
        options["attn_mask"] = torch.from_numpy(bias).requires_grad_()
    out = torch.nn.functional.scaled_dot_product_attention(*arrays, **options)
    out.backward(torch.from_numpy(d_out).transpose(1, 2))
    grads = [a.grad.transpose(1, 2).numpy() for a in arrays]
    more = [] if bias is None else [options["attn_mask"].grad.numpy()]
    return [out.detach().transpose(1, 2).numpy(), *grads, *more]


def ours(q, k, v, d_out, bias=None, **options):
    @jax.jit
    def run(arrays, d_out):
        out, back = jax.vjp(
            lambda q, k, v, bias: kernels_pallas.attention(q, k, v, bias=bias, **options), *arrays
        )
        return out, *back(d_out)

    bias = None if bias is None else jnp.asarray(bias)
    found = run((jnp.asarray(q), jnp.asarray(k), jnp.asarray(v), bias), jnp.asarray(d_out))
    return [array for array in found if array is not None]


def check(found, wanted) -> None:
    for one, other in zip(found, wanted, strict=True):
        assert np.abs(np.asarray(one) - other).max() <= 1e-5 * np.abs(other).max()


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients(case) -> None:
    shape, options, theirs_options = CASES[case]
    arrays = inputs(*shape)
    check(ours(*arrays, **options), theirs(*arrays, **theirs_options))


@pytest.mark.parametrize("shape", [(1, 4, 600, 500), (2, 1, 600, 500)])
def test_bias(shape) -> None:
    arrays = inputs(2, 600, 500, 4, 4, 40)
    bias = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    check(ours(*arrays, bias=bias), theirs(*arrays, bias=bias))
