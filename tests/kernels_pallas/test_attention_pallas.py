"""The TPU form of attention in the interpreter, and what its kernel and cuDNN refuse."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kernels_pallas
from kernels_pallas import dispatch
from kernels_pallas.attention import cudnn, mosaic_tpu
from kernels_pallas.attention.cases import cases


def inputs(batch, t, s, heads, kv_heads, width, out_width, dtype):
    numbers = np.random.default_rng(0)
    shapes = [
        (batch, t, heads, width),
        (batch, s, kv_heads, width),
        (batch, s, kv_heads, out_width),
    ]
    shapes.append((batch, t, heads, out_width))
    return [jnp.asarray(numbers.standard_normal(shape), dtype) for shape in shapes]


def check(shape, dtype, limit, *, gradients=True, **options):
    q, k, v, d_out = inputs(*shape, dtype)

    def result(arrays, **form):
        run = functools.partial(kernels_pallas.attention, **options, **form)
        if not gradients:
            return [jax.jit(run)(*arrays)]
        out, back = jax.vjp(jax.jit(run), *arrays)
        return [out, *back(d_out.astype(out.dtype))]

    found = result((q, k, v), implementation="mosaic_tpu", interpret=True)
    wide = [a.astype(jnp.float32) for a in (q, k, v)]
    wanted = result(wide, implementation="reference")
    for name, ours, theirs in zip(("out", "q", "k", "v"), found, wanted, strict=False):
        assert ours.dtype == dtype
        ours, theirs = (np.asarray(a, np.float64) for a in (ours, theirs))
        assert np.abs(ours - theirs).max() <= limit * np.abs(theirs).max(), name


def test_forward() -> None:
    check((1, 100, 140, 2, 1, 40, 40), jnp.float32, 1e-5, gradients=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((1, 150, 150, 4, 2, 64, 64), {"causal": True}),
        ((2, 100, 140, 2, 1, 64, 32), {"causal": True, "window": 20}),
        ((1, 100, 140, 2, 1, 40, 40), {"window": 20, "scale": 0.3}),
        ((2, 600, 700, 1, 1, 40, 40), {}),
    ],
)
def test_gradients(shape, options) -> None:
    check(shape, jnp.float32, 1e-5, **options)


@pytest.mark.slow
@pytest.mark.parametrize("causal", [False, True])
def test_segments_in_bfloat16(causal) -> None:
    ids = jnp.asarray(np.sort(np.random.default_rng(1).integers(0, 3, (2, 140))))
    check((2, 140, 140, 2, 1, 64, 64), jnp.bfloat16, 1e-2, causal=causal, segment_ids=ids)


def given(dtype=jnp.bfloat16, t=64, s=64, width=64, out_width=64):
    q = jax.ShapeDtypeStruct((1, t, 2, width), dtype)
    k = jax.ShapeDtypeStruct((1, s, 2, width), dtype)
    return q, k, jax.ShapeDtypeStruct((1, s, 2, out_width), dtype)


IDS = jnp.zeros((1, 64), int)
BIAS = jnp.zeros((1, 1, 64, 64))


@pytest.mark.parametrize(
    ("shapes", "bias", "segments", "settings", "why"),
    [
        ({}, None, None, {}, ""),
        ({"width": 40, "out_width": 24}, None, (IDS, IDS), {"causal": True, "window": 3}, ""),
        ({"dtype": jnp.float32}, None, None, {}, "bfloat16, not float32"),
        ({}, BIAS, None, {}, "no bias"),
        ({}, None, (IDS, IDS + 0), {}, "not two"),
        ({"t": 70}, None, None, {"window": 3}, "window"),
    ],
)
def test_what_the_tpu_kernel_takes(shapes, bias, segments, settings, why) -> None:
    settings = {"causal": False, "window": None} | settings
    found = mosaic_tpu.unfit(*given(**shapes), bias, segments, **settings)
    assert why in found and bool(why) == bool(found)


@pytest.mark.parametrize(
    ("capability", "shapes", "bias", "segments", "settings", "why"),
    [
        ((9, 0), {}, None, None, {"causal": True, "window": 7}, ""),
        ((8, 0), {"dtype": jnp.float16, "width": 40, "out_width": 40}, None, None, {}, ""),
        ((9, 0), {"width": 256, "out_width": 256}, None, None, {}, ""),
        ((8, 0), {"width": 256, "out_width": 256}, None, None, {}, "up to 128"),
        ((7, 5), {}, None, None, {}, "8.0"),
        ((9, 0), {"dtype": jnp.float32}, None, None, {}, "half precision, not float32"),
        ((9, 0), {"width": 36, "out_width": 36}, None, None, {}, "multiples of 8"),
        ((9, 0), {"out_width": 32}, None, None, {}, "equal widths"),
        ((9, 0), {}, BIAS, None, {}, "bias"),
        ((9, 0), {}, None, (IDS, IDS), {}, "segments"),
        ((9, 0), {"s": 70}, None, None, {"causal": True}, "query 0 see key 0 alone"),
        ((9, 0), {}, None, None, {"window": 7}, "only with causal"),
    ],
)
def test_what_cudnn_takes(capability, shapes, bias, segments, settings, why, monkeypatch) -> None:
    target = dispatch.Target("gpu", "NVIDIA H100", capability)
    monkeypatch.setattr(dispatch, "current_target", lambda: target)
    monkeypatch.setattr(cudnn, "_installed", lambda: True)
    settings = {"causal": False, "window": None} | settings
    found = cudnn.unfit(*given(**shapes), bias, segments, **settings)
    assert why in found and bool(why) == bool(found)


def test_cudnn_is_called_with_our_meaning(monkeypatch) -> None:
    q, k, v, _ = inputs(1, 20, 20, 2, 1, 8, 8, jnp.float32)
    jaxs = jax.nn.dot_product_attention

    def called(*arrays, implementation, **options):
        assert implementation == "cudnn"
        return jaxs(*arrays, implementation="xla", **options)

    monkeypatch.setattr(jax.nn, "dot_product_attention", called)
    options = {"causal": True, "window": 4, "scale": 0.4}
    found = cudnn.attention(q, k, v, **options)
    wanted = kernels_pallas.attention(q, k, v, **options, implementation="reference")
    np.testing.assert_allclose(found, wanted, rtol=0, atol=3e-6)


@pytest.mark.slow
def test_a_program_for_another_device_falls_back() -> None:
    """Traced for a TPU, lowered for a CPU: the XLA form runs, and has its gradient."""
    q, k, v, _ = inputs(1, 20, 20, 2, 1, 8, 8, jnp.bfloat16)
    tpu = jax.sharding.AbstractDevice(platform="tpu", device_kind="TPU v5 lite", num_cores=1)
    mesh = jax.sharding.AbstractMesh((1,), ("one",), abstract_device=tpu)

    def total(*arrays, **options):
        out = kernels_pallas.attention(*arrays, causal=True, **options)
        return jnp.sum(out.astype(jnp.float32) ** 2)

    grad = jax.grad(total, argnums=(0, 1, 2))
    with jax.sharding.use_abstract_mesh(mesh), dispatch.choices() as choices:
        traced = jax.jit(grad).trace(q, k, v)
    assert choices[0].form == "mosaic_tpu"
    lowered = traced.lower(lowering_platforms=("cpu",))
    assert "tpu_custom_call" not in lowered.as_text()
    found = lowered.compile(device_assignment=(jax.devices("cpu")[0],))(q, k, v)
    wanted = grad(q, k, v, implementation="reference")
    for ours, theirs in zip(found, wanted, strict=True):
        ours, theirs = (np.asarray(a, np.float64) for a in (ours, theirs))
        assert np.abs(ours - theirs).max() <= 2e-2 * np.abs(theirs).max()


def test_cases_are_models_of_the_field() -> None:
    found = list(cases())
    assert {(case.model, case.direction) for case in found} == {
        (model, direction)
        for model in ("340M", "1.3B", "SD 1.5")
        for direction in ("forward", "backward")
    }
