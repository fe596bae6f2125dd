"""Each gradient of attention against that of the definition."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kernels_pallas
from kernels_pallas import tuning

SMALL = {"plain": 0, "tile": 2048, "rows": 32, "least_rows": 32}


def inputs(batch, t, s, heads, kv_heads, width, out_width, bias=None, dtype=np.float32):
    numbers = np.random.default_rng(0)
    shapes = [
        (batch, t, heads, width),
        (batch, s, kv_heads, width),
        (batch, s, kv_heads, out_width),
    ]
    if bias is not None:
        full = (batch, heads, t, s)
        shapes.append(tuple(n if kept else 1 for n, kept in zip(full, bias, strict=True)))
    given = [jnp.asarray(numbers.standard_normal(shape), dtype) for shape in shapes]
    d_out = jnp.asarray(numbers.standard_normal((batch, t, heads, out_width)), dtype)
    return given, d_out


def gradients(form, given, d_out, **options):
    def run(q, k, v, bias=None):
        return kernels_pallas.attention(q, k, v, bias=bias, implementation=form, **options)

    return jax.jit(lambda given, d_out: jax.vjp(run, *given)[1](d_out))(given, d_out)


def check(given, d_out, limit, **options):
    found = gradients("xla", given, d_out, **options)
    wanted = gradients("reference", given, d_out, **options)
    for name, ours, theirs in zip(("q", "k", "v", "bias"), found, wanted, strict=False):
        assert ours.dtype == theirs.dtype
        ours, theirs = (np.asarray(a, np.float64) for a in (ours, theirs))
        assert np.abs(ours - theirs).max() <= limit * np.abs(theirs).max(), name


SHAPES = [
    ((2, 70, 70, 4, 2, 8, 6), {"causal": True}),
    ((1, 40, 90, 2, 1, 8, 6), {"causal": True}),
    ((1, 70, 90, 4, 1, 8, 6), {"causal": True, "window": 20}),
    ((1, 90, 60, 2, 2, 8, 6), {"window": 10}),
    ((2, 33, 50, 2, 2, 4, 4), {"scale": 0.7}),
]


MORE_AXES = [(1, 1, 1, 1), (0, 1, 1, 1), (0, 0, 0, 1)]


@pytest.mark.parametrize("tiled", [pytest.param(True, marks=pytest.mark.slow), False])
@pytest.mark.parametrize(("shape", "options"), SHAPES)
def test_of_q_k_and_v(shape, options, tiled, monkeypatch) -> None:
    if tiled:
        monkeypatch.setattr(tuning, "blocks", lambda *_: SMALL)
    check(*inputs(*shape), 1e-5, **options)


@pytest.mark.slow
def test_by_tiles(monkeypatch) -> None:
    monkeypatch.setattr(tuning, "blocks", lambda *_: SMALL)
    shape, options = SHAPES[0]
    check(*inputs(*shape), 1e-5, **options)


@pytest.mark.parametrize(
    "axes",
    [(1, 0, 1, 1), *(pytest.param(a, marks=pytest.mark.slow) for a in MORE_AXES)],
)
def test_of_bias(axes, monkeypatch) -> None:
    monkeypatch.setattr(tuning, "blocks", lambda *_: SMALL)
    given, d_out = inputs(4, 40, 50, 4, 2, 8, 6, bias=axes)
    check(given, d_out, 1e-5, causal=True, window=30)


@pytest.mark.slow
def test_with_segments_and_rows_that_see_nothing(monkeypatch) -> None:
    monkeypatch.setattr(tuning, "blocks", lambda *_: SMALL)
    given, d_out = inputs(2, 40, 50, 2, 1, 8, 6, bias=(1, 1, 1, 1))
    given[3] = given[3].at[0, :, 7].set(-jnp.inf)
    ids = (jnp.arange(40)[None] // 9 * jnp.ones((2, 1), int), jnp.ones((2, 50), int))
    check(given, d_out, 1e-5, segment_ids=ids)
    d_q = gradients("xla", given, d_out, segment_ids=ids)[0]
    np.testing.assert_array_equal(d_q[:, :9], 0)
    assert np.isfinite(d_q).all()


def test_in_float64(monkeypatch) -> None:
    monkeypatch.setattr(tuning, "blocks", lambda *_: SMALL)
    with jax.enable_x64(True):
        given, d_out = inputs(1, 70, 70, 2, 1, 8, 6, (1, 1, 1, 1), np.float64)
        check(given, d_out, 1e-13, causal=True)


@pytest.mark.slow
def test_in_bfloat16(monkeypatch) -> None:
    monkeypatch.setattr(tuning, "blocks", lambda *_: SMALL)
    check(*inputs(1, 70, 70, 2, 1, 32, 16, dtype=jnp.bfloat16), 1e-2, causal=True)


@pytest.mark.slow
def test_of_a_gradient(monkeypatch) -> None:
    monkeypatch.setattr(tuning, "blocks", lambda *_: SMALL)
    (q, k, v), _ = inputs(1, 40, 40, 1, 1, 4, 4)

    def twice(form):
        def once(q):
            def total(q):
                out = kernels_pallas.attention(q, k, v, causal=True, implementation=form)
                return jnp.sum(jnp.sin(out))

            return jnp.sum(jax.grad(total)(q) ** 2)

        return jax.jit(jax.grad(once))(q)

    np.testing.assert_allclose(twice("xla"), twice("reference"), rtol=0, atol=2e-5)


@pytest.mark.slow
def test_under_vmap(monkeypatch) -> None:
    monkeypatch.setattr(tuning, "blocks", lambda *_: SMALL)
    (q, k, v), d_out = inputs(3, 40, 40, 2, 1, 4, 4)

    def run(q, k, v):
        return kernels_pallas.attention(q[None], k[None], v[None], causal=True)[0]

    @functools.partial(jax.jit, static_argnums=0)
    def both(function, *arrays):
        out, back = jax.vjp(function, *arrays)
        return out, *back(d_out)

    alone = both(jax.vmap(run), q, k, v)
    whole = both(functools.partial(kernels_pallas.attention, causal=True), q, k, v)
    for one, other in zip(alone, whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-6)
