"""The TPU kernel of grouped convolution in the interpreter, and where it runs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels_pallas import dispatch, grouped_conv2d
from kernels_pallas.conv2d.window import window
from kernels_pallas.grouped_conv2d import mosaic_tpu
from kernels_pallas.grouped_conv2d.cases import cases
from kernels_pallas.grouped_conv2d.cost import cost
from tests.kernels_pallas.test_grouped_conv2d import arrays, by_hand, error
from tests.kernels_pallas.test_grouped_conv2d_choice import shapes

KERNEL = {"implementation": "mosaic_tpu", "interpret": True}


def interpreted(**options):
    return jax.jit(functools.partial(grouped_conv2d, **KERNEL, **options))


@pytest.mark.parametrize(
    ("x_shape", "kernel_shape", "groups", "padding"),
    [
        ((2, 6, 5, 8), (3, 3, 1, 8), 8, ((1, 1), (1, 1))),
        ((1, 9, 20, 130), (5, 5, 1, 130), 130, ((2, 2), (2, 2))),
        ((1, 8, 6, 24), (3, 3, 8, 24), 3, ((1, 1), (1, 1))),
        ((1, 5, 6, 8), (2, 4, 4, 8), 2, ((0, 3), (1, 0))),
    ],
)
def test_the_kernel_computes_the_sum(x_shape, kernel_shape, groups, padding):
    x, kernel = arrays(x_shape, kernel_shape)
    found = interpreted(groups=groups, padding=padding)(x, kernel)
    assert error(found, by_hand(x, kernel, groups, padding=padding)) < 1e-5


def test_pictures_in_several_blocks_of_rows(monkeypatch):
    rows_of_pixels = 2 * 3 + 3  # of results, and of what their taps meet
    monkeypatch.setattr(mosaic_tpu, "MEMORY", 2 * 128 * 4 * (16 * rows_of_pixels + 9))
    x, kernel = arrays((2, 10, 12, 4), (3, 3, 1, 4))
    place = window((10, 12), (3, 3), 1, 1)
    assert mosaic_tpu._block(place, x.shape, kernel.shape, 4) == 3, "of ten: the last block is part"
    found = interpreted(groups=4)(x, kernel)
    assert error(found, by_hand(x, kernel, 4, padding=((1, 1), (1, 1)))) < 1e-5


@pytest.mark.parametrize("width", [1, 16])
def test_half_precision_is_summed_wider(width):
    x, kernel = arrays((1, 8, 8, 32), (3, 3, width, 32), jnp.bfloat16)
    found = interpreted(groups=32 // width)(x, kernel)
    assert found.dtype == jnp.bfloat16
    wanted = by_hand(x, kernel, 32 // width, padding=((1, 1), (1, 1)))
    assert error(found, wanted) < 4 * float(jnp.finfo(jnp.bfloat16).eps)


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(
    pixels=st.tuples(st.integers(4, 18), st.integers(4, 18)),
    taps=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    padding=st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * 2),
    width=st.sampled_from([1, 2, 32]),
    groups=st.integers(1, 5),
)
def test_any_size_and_padding(pixels, taps, padding, width, groups):
    x, kernel = arrays((1, *pixels, width * groups), (*taps, width, width * groups))
    found = interpreted(groups=groups, padding=padding)(x, kernel)
    assert error(found, by_hand(x, kernel, groups, padding=padding)) < 1e-5


@pytest.mark.parametrize("width", [1, 4])
def test_gradients_are_those_of_the_definition(width):
    x, kernel = arrays((1, 6, 7, 8), (3, 3, width, 8))

    def total(x, kernel, options):
        return jnp.sum(jnp.sin(grouped_conv2d(x, kernel, groups=8 // width, **options)))

    def gradients(**options):
        return jax.jit(jax.grad(functools.partial(total, options=options), (0, 1)))(x, kernel)

    for one, other in zip(gradients(**KERNEL), gradients(implementation="reference"), strict=True):
        assert error(one, np.asarray(other)) < 2e-5


@pytest.mark.parametrize(
    ("kernel_shape", "dtype", "options", "message"),
    [
        ((3, 3, 1, 8), "float32", {"groups": 8, "strides": 2}, r"strides of 1, not \(2, 2\)"),
        ((3, 3, 1, 16), "float32", {"groups": 8}, "groups of 1 channels to 2 do not share 128"),
        ((3, 3, 1, 8), "float16", {"groups": 8}, "x has dtype float16; mosaic_tpu takes float32"),
    ],
)
def test_what_the_kernel_cannot_take_is_named(kernel_shape, dtype, options, message):
    x, kernel = arrays((1, 6, 6, 8), kernel_shape, dtype)
    with pytest.raises(ValueError, match=f"implementation='mosaic_tpu': .*{message}"):
        grouped_conv2d(x, kernel, **KERNEL, **options)


def test_a_picture_too_wide_for_memory_is_named():
    given_arrays = shapes(1, 1 << 14, 8, 1)
    with pytest.raises(ValueError, match="one row of 16384 pixels does not fit"):
        jax.eval_shape(functools.partial(grouped_conv2d, groups=8, **KERNEL), *given_arrays)


@pytest.mark.parametrize(
    ("platform", "kind"), [("tpu", "TPU v5 lite"), ("gpu", "NVIDIA H100 80GB HBM3")]
)
def test_accelerators_keep_xlas_own_until_the_kernel_is_asked_for(platform, kind):
    target = dispatch.target_named(platform, kind)
    op = functools.partial(grouped_conv2d, groups=144)
    made = dispatch.first_choice(op, *shapes(8, 56, 144, 1), target=target)
    assert made.form == "xla"
    if platform == "tpu":
        assert "has not been timed" in made.why
        asked = functools.partial(op, implementation="pallas")
        assert dispatch.first_choice(asked, *shapes(8, 56, 144, 1), target=target).form == (
            "mosaic_tpu"
        )


def test_the_kernel_tells_its_cost():
    from workbench.measure.macs import count

    given_arrays = shapes(2, 14, 256, 8)
    found = count(functools.partial(grouped_conv2d, groups=32, **KERNEL), *given_arrays)
    place = window((14, 14), (3, 3), 1, 1)
    wanted = cost(given_arrays[0].shape, given_arrays[1].shape, window=place)
    assert found.by_primitive == {"pallas_call": wanted.macs}


def test_cases_cover_every_width_and_both_directions():
    found = list(cases())
    assert {case.form for case in found} == {"mosaic_tpu"}
    assert {case.direction for case in found} == {"forward", "backward"}
    assert {case.arrays[1].shape[2] for case in found} == {1, 4, 8, 16, 32}
    assert {case.arrays[1].shape[0] for case in found} == {3, 5, 7}
    assert len({(case.direction, case.model) for case in found}) == len(found)
