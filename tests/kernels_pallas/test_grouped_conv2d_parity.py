"""Grouped convolution against torch's, values and gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers import peer

torch = peer("torch")

import kernels_pallas  # noqa: E402

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]

CASES = {
    "depthwise": ((2, 28, 28, 48), 1, 3, 1),
    "depthwise, stride 2": ((2, 28, 28, 48), 1, 3, 2),
    "depthwise 7 x 7": ((1, 14, 14, 40), 1, 7, 1),
    "depthwise 5 x 5, odd size, stride 2": ((1, 15, 15, 24), 1, 5, 2),
    "groups of 4": ((1, 14, 14, 32), 4, 3, 1),
    "groups of 16, stride 2": ((1, 14, 14, 64), 16, 3, 2),
}


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients(case):
    shape, width, taps, stride = CASES[case]
    channels = shape[3]
    numbers = np.random.default_rng(0)
    x = numbers.standard_normal(shape, dtype=np.float32)
    kernel = numbers.standard_normal((taps, taps, width, channels), dtype=np.float32)
    kernel /= np.float32((taps**2 * width) ** 0.5)
    op = functools.partial(
        kernels_pallas.grouped_conv2d,
        groups=channels // width,
        strides=stride,
        padding=taps // 2,
    )

    def both(x, kernel):
        out, back = jax.vjp(op, x, kernel)
        return out, back(jnp.sin(out))

    out, (d_x, d_kernel) = jax.jit(both)(x, kernel)
    pixels = torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).requires_grad_()
    weights = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy()).requires_grad_()
    wanted = torch.conv2d(
        pixels, weights, stride=stride, padding=taps // 2, groups=channels // width
    )
    slopes = torch.autograd.grad(wanted, (pixels, weights), torch.sin(wanted.detach()))
    pairs = [
        (out, wanted.detach().permute(0, 2, 3, 1)),
        (d_x, slopes[0].permute(0, 2, 3, 1)),
        (d_kernel, slopes[1].permute(2, 3, 1, 0)),
    ]
    for found, expected in pairs:
        scale = float(expected.abs().max())
        assert np.abs(np.asarray(found) - expected.numpy()).max() <= 1e-5 * scale
