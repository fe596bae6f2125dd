"""What the ternary ops should give: numpy in int64 and float64, no code of the package."""

import jax
import numpy as np


def weights(rows, columns, seed=0):
    return np.random.default_rng(seed).integers(-1, 2, (rows, columns)).astype(np.int8)


def activations(rows, width, seed=1):
    return np.random.default_rng(seed).integers(-128, 128, (rows, width)).astype(np.int8)


def product(x, w):
    return np.asarray(x).astype(np.int64) @ np.asarray(w).astype(np.int64)


def normed(x, weight, eps):
    x, weight = (np.asarray(a).astype(np.float64) for a in (x, weight))
    return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + eps) * weight


def quantised(y):
    """Codes and scale of rows that are finite."""
    top = np.maximum(np.abs(y).max(axis=-1, keepdims=True), 1e-5)
    return np.clip(np.round(y * (127 / top)), -128, 127), top / 127


def assert_quantised(codes, scale, y, tolerance):
    """Codes and scale are those of `y`, up to halves that another rounding takes the other way."""
    wanted, size = quantised(y)
    np.testing.assert_allclose(np.asarray(scale, np.float64), size, rtol=tolerance)
    off = np.abs(np.asarray(codes, np.float64) - wanted)
    # Those that differ lie at a half within the tolerance of the largest code.
    half = np.abs(np.abs(y / size - np.trunc(y / size)) - 0.5)
    assert off.max() <= 1
    assert np.all(half[off > 0] <= 256 * tolerance)


def layer_gradients(x, weight, gain, codes, scale, g, eps):
    """Of x, weight and gain, straight through both rounders, by hand in float64."""
    x, weight, gain, g = (np.asarray(a).astype(np.float64) for a in (x, weight, gain, g))
    size = max(np.abs(weight).mean(), 1e-5)
    signs = np.clip(np.round(weight / size), -1, 1) * size
    d_weight = (np.asarray(codes, np.float64) * np.asarray(scale, np.float64)).T @ g
    dy = g @ signs.T
    root = 1 / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + eps)
    hat = x * root
    inner = dy * gain
    dx = root * (inner - hat * np.mean(hat * inner, axis=-1, keepdims=True))
    return dx, d_weight, np.sum(dy * hat, axis=0)


def assert_close(found, wanted, tolerance):
    """max|found - wanted| / max|wanted|."""
    found = np.asarray(jax.device_get(found)).astype(np.float64)
    assert np.abs(found - wanted).max() <= tolerance * np.abs(wanted).max()
