"""Every form of grouped convolution against sums in float64, its gradients, and what is refused."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels_pallas import grouped_conv2d
from kernels_pallas.conv2d.window import Window, window
from kernels_pallas.grouped_conv2d import (
    beside,
    choice,
    gradient,
    merged,
    phases,
    products,
    reference,
    sums,
)

FORMS = ("reference", "xla", "taps", "per_group", "merged_16", "beside_3")


def arrays(x_shape, kernel_shape, dtype=np.float32, seed=0):
    numbers = np.random.default_rng(seed)
    fan_in = np.prod(kernel_shape[:3])
    x = numbers.standard_normal(x_shape)
    kernel = numbers.standard_normal(kernel_shape) / np.sqrt(fan_in)
    return jnp.asarray(x, dtype), jnp.asarray(kernel, dtype)


def by_hand(x, kernel, groups, strides=(1, 1), padding=((0, 0), (0, 0))):
    """Float64, from windows over a padded array: shares no code with the package."""
    x, kernel = (np.asarray(a, np.float64) for a in (x, kernel))
    padded = np.pad(x, ((0, 0), *padding, (0, 0)))
    seen = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[:2], axis=(1, 2))
    seen = seen[:, :: strides[0], :: strides[1]]
    parts = [
        np.einsum("bijcrs,rsck->bijk", part, matrix)
        for part, matrix in zip(
            np.split(seen, groups, axis=3), np.split(kernel, groups, axis=3), strict=True
        )
    ]
    return np.concatenate(parts, axis=3)


def error(found, wanted):
    return np.abs(np.asarray(found, np.float64) - wanted).max()


def compiled(**options):
    return jax.jit(functools.partial(grouped_conv2d, **options))


CASES = {
    "depthwise": ((2, 6, 5, 8), (3, 3, 1, 8), 8, (1, 1), ((1, 1), (1, 1))),
    "depthwise, two results a channel": ((1, 5, 6, 3), (3, 3, 1, 6), 3, (1, 1), ((1, 1), (1, 1))),
    "depthwise 5 x 5, stride 2": ((1, 9, 8, 4), (5, 5, 1, 4), 4, (2, 2), ((2, 2), (2, 2))),
    "depthwise 7 x 7": ((1, 8, 8, 3), (7, 7, 1, 3), 3, (1, 1), ((3, 3), (3, 3))),
    "width 6, padding of any kind": ((1, 6, 7, 24), (3, 2, 6, 8), 4, (1, 1), ((0, 2), (3, 1))),
    "width 8": ((1, 4, 5, 16), (3, 3, 8, 16), 2, (1, 1), ((1, 1), (1, 1))),
    "width 3, strides 2 and 3": ((2, 7, 9, 6), (3, 4, 3, 4), 2, (2, 3), ((1, 0), (2, 1))),
    "strides beyond the kernel": ((1, 7, 8, 4), (2, 1, 1, 4), 4, (3, 2), ((0, 1), (0, 0))),
    "one group": ((1, 5, 5, 3), (3, 3, 3, 2), 1, (1, 1), ((1, 1), (1, 1))),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", CASES)
def test_every_form_computes_the_sum(case, form):
    x_shape, kernel_shape, groups, strides, padding = CASES[case]
    x, kernel = arrays(x_shape, kernel_shape)
    op = compiled(groups=groups, strides=strides, padding=padding, implementation=form)
    found = op(x, kernel)
    assert found.dtype == x.dtype
    assert error(found, by_hand(x, kernel, groups, strides, padding)) < 1e-5


@pytest.mark.parametrize("channels", [48, 20])
def test_channels_are_taken_in_blocks_where_one_divides_them(channels):
    x, kernel = arrays((1, 4, 5, channels), (3, 3, 1, channels))
    op = compiled(groups=channels, implementation="taps_blocks")
    assert ("while" in op.lower(x, kernel).as_text()) == (channels == 48)
    wanted = by_hand(x, kernel, channels, padding=((1, 1), (1, 1)))
    assert error(op(x, kernel), wanted) < 1e-5


pairs = st.tuples(st.integers(0, 3), st.integers(0, 3))
sizes = {
    "pixels": st.tuples(st.integers(4, 9), st.integers(4, 9)),
    "taps": st.tuples(st.integers(1, 4), st.integers(1, 4)),
    "widths": st.tuples(st.integers(1, 3), st.integers(1, 3)),
    "groups": st.integers(1, 3),
    "strides": st.tuples(st.integers(1, 3), st.integers(1, 3)),
    "padding": st.tuples(pairs, pairs),
    "form": st.sampled_from(["taps", "per_group", "merged_16", "beside_2", "beside_4"]),
}


@settings(max_examples=6, deadline=None)
@given(dtype=st.sampled_from([np.float32, jnp.bfloat16]), **sizes)
def test_any_size_stride_padding_and_type(
    pixels, taps, widths, groups, strides, padding, form, dtype
):
    inputs, outputs = widths
    x, kernel = arrays((1, *pixels, inputs * groups), (*taps, inputs, outputs * groups), dtype)
    op = compiled(groups=groups, strides=strides, padding=padding, implementation=form)
    rounding = 1e-5 if dtype == np.float32 else 4 * float(jnp.finfo(dtype).eps)
    assert error(op(x, kernel), by_hand(x, kernel, groups, strides, padding)) < rounding


def gradients(form, groups, strides, padding):
    def total(x, kernel):
        out = grouped_conv2d(
            x,
            kernel,
            groups=groups,
            strides=strides,
            padding=padding,
            implementation=form,
        )
        return jnp.sum(jnp.sin(out))

    return jax.jit(jax.grad(total, (0, 1)))


@functools.cache
def defined(x_shape, kernel_shape, groups, strides, padding):
    """Gradients of the definition in float64."""
    x, kernel = arrays(x_shape, kernel_shape, np.float64)
    return gradients("reference", groups, strides, padding)(x, kernel)


def same_gradients(form, x_shape, kernel_shape, groups, strides, padding):
    with jax.enable_x64(True):
        x, kernel = arrays(x_shape, kernel_shape, np.float64)
        found = gradients(form, groups, strides, padding)(x, kernel)
        wanted = defined(x_shape, kernel_shape, groups, strides, padding)
        for one, other in zip(found, wanted, strict=True):
            assert one.dtype == jnp.float64 and one.shape == other.shape
            assert error(one, np.asarray(other)) < 1e-11


@pytest.mark.parametrize(
    ("form", "case"),
    [
        ("taps", "depthwise, two results a channel"),
        ("taps", "strides beyond the kernel"),
        ("beside_3", "width 6, padding of any kind"),
        ("merged_16", "width 6, padding of any kind"),
        pytest.param("per_group", "width 3, strides 2 and 3", marks=pytest.mark.slow),
        pytest.param("beside_2", "width 3, strides 2 and 3", marks=pytest.mark.slow),
        pytest.param("taps", "depthwise 5 x 5, stride 2", marks=pytest.mark.slow),
        pytest.param("taps", "width 6, padding of any kind", marks=pytest.mark.slow),
        pytest.param("per_group", "width 8", marks=pytest.mark.slow),
    ],
)
def test_gradients_are_those_of_the_definition_in_float64(form, case):
    same_gradients(form, *CASES[case])


def test_gradients_of_a_kernel_in_every_form():
    x_shape, kernel_shape, groups, strides, padding = CASES["width 6, padding of any kind"]
    options = {"groups": groups, "window": Window(strides, padding)}

    @jax.jit
    def gradients(x, kernel, slopes):
        _, back = jax.vjp(lambda kernel: reference.grouped_conv2d(x, kernel, **options), kernel)
        forms = {name: form for name, form in gradient.KERNELS.items() if name != "sums"}
        found = {name: form(x, slopes, kernel, **options) for name, form in forms.items()}
        return back(slopes)[0], found

    with jax.enable_x64(True):
        x, kernel = arrays(x_shape, kernel_shape, np.float64)
        size = Window(strides, padding).outputs(x_shape[1:3], kernel_shape[:2])
        slopes, _ = arrays((1, *size, kernel_shape[3]), kernel_shape, np.float64, seed=1)
        wanted, found = gradients(x, kernel, slopes)
    assert len(found) >= 5
    assert {name: error(one, np.asarray(wanted)) < 1e-11 for name, one in found.items()} == (
        dict.fromkeys(found, True)
    )


def test_products_are_the_same_in_blocks_of_pictures(monkeypatch):
    x, _ = arrays((4, 5, 5, 8), (1, 1, 1, 1))
    slopes, kernel = arrays((4, 5, 5, 8), (3, 3, 4, 8), seed=1)
    place = window((5, 5), (3, 3), 1, 1)

    def found(block):
        monkeypatch.setattr(products, "BLOCK", block)
        options = {"groups": 2, "window": place, "width": 4}
        return jax.jit(functools.partial(products.gradient_of_kernel, **options))(x, slopes, kernel)

    two_pictures = 2 * 5 * 5 * 4 * 4
    assert error(found(two_pictures), np.asarray(found(1 << 20), np.float64)) < 1e-4


def test_gradients_of_a_free_choice_take_the_forms_of_their_own_shapes(monkeypatch):
    """Forward "beside_2"; the gradient to x, of fewer taps a phase, "merged_16"."""
    taken = []

    def fastest(x_shape, kernel_shape, groups, window):
        taken.append("beside_2" if kernel_shape[:2] == (3, 3) else "merged_16")
        return taken[-1]

    monkeypatch.setattr(choice, "fastest", fastest)
    x, kernel = arrays((1, 5, 6, 8), (3, 3, 4, 8))
    jax.eval_shape(gradients("auto", 2, (2, 1), ((1, 1), (1, 1))), x, kernel)
    assert set(taken) == {"beside_2", "merged_16"}


def test_a_kernel_of_groups_is_blocks_on_a_diagonal():
    kernel = jnp.arange(1, 1 + 2 * 8.0).reshape(1, 1, 2, 8)
    dense = np.asarray(merged.on_diagonal(kernel, 4, 2))
    assert dense.shape == (1, 1, 4, 8) and np.count_nonzero(dense) == kernel.size
    for group in range(4):
        inputs = slice(2 * (group % 2), 2 * (group % 2) + 2)
        outputs = slice(2 * group, 2 * group + 2)
        np.testing.assert_array_equal(dense[:, :, inputs, outputs], kernel[..., outputs])
    np.testing.assert_array_equal(merged.of_diagonal(jnp.asarray(dense), 4, 2), kernel)


def test_pixels_side_by_side_are_copies_of_a_kernel_a_stride_further_each():
    kernel = jnp.arange(1.0, 7.0).reshape(1, 3, 1, 2)
    wide = np.asarray(beside.side_by_side(kernel, 2, 2))
    assert wide.shape == (1, 5, 1, 4) and np.count_nonzero(wide) == 12
    np.testing.assert_array_equal(wide[:, :3, :, :2], kernel)
    np.testing.assert_array_equal(wide[:, 2:, :, 2:], kernel)


@pytest.mark.slow
@pytest.mark.long
@settings(max_examples=15, deadline=None)
@given(**sizes)
def test_gradients_over_sizes(pixels, taps, widths, groups, strides, padding, form):
    inputs, outputs = widths
    shapes = (2, *pixels, inputs * groups), (*taps, inputs, outputs * groups)
    same_gradients(form, *shapes, groups, strides, padding)


def test_half_precision_has_gradients_of_its_own_type():
    x, kernel = arrays((1, 5, 5, 4), (2, 2, 1, 4), jnp.bfloat16)
    found = gradients("taps", 4, 1, 1)(x, kernel)
    wanted = gradients("reference", 4, 1, 1)(x.astype(jnp.float32), kernel.astype(jnp.float32))
    for one, other in zip(found, wanted, strict=True):
        scale = np.abs(np.asarray(other)).max()
        assert one.dtype == jnp.bfloat16 and one.shape == other.shape
        assert error(one, np.asarray(other)) < 3 * float(jnp.finfo(jnp.bfloat16).eps) * scale


@pytest.mark.parametrize("bytes_of_a_block", [1, 96 * 4, 1 << 20])
def test_sums_are_the_same_in_blocks_of_any_size(monkeypatch, bytes_of_a_block):
    monkeypatch.setattr(sums, "BLOCK", bytes_of_a_block)
    x, _ = arrays((2, 6, 8, 4), (3, 3, 1, 4))
    place = window((6, 8), (3, 3), 1, 1)
    slopes, _ = arrays((2, 6, 8, 4), (1, 1, 1, 4), seed=1)
    found = jax.jit(lambda x, g: sums.gradient_of_kernel(x, g, (3, 3), place))(x, slopes)
    padded = np.pad(np.asarray(x, np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    wanted = [
        [(padded[:, r : r + 6, s : s + 8] * np.asarray(slopes)).sum((0, 1, 2)) for s in range(3)]
        for r in range(3)
    ]
    assert error(found[:, :, 0], np.array(wanted)) < 1e-5


def test_no_zeros_are_put_between_pixels():
    """At stride 2 the gradient of x takes the multiply-adds of the forward pass, not four times."""
    seen = []

    def convolve(picture, kernel, place):
        rows, columns = place.outputs(picture.shape[1:3], kernel.shape[:2])
        seen.append(rows * columns * kernel.shape[0] * kernel.shape[1])
        return jnp.zeros((1, rows, columns, 4))

    gradient, kernel = jnp.zeros((1, 8, 8, 4)), jnp.zeros((3, 3, 1, 4))
    place = Window((2, 2), ((1, 1), (1, 1)))
    found = phases.gradient_of_x(
        convolve, gradient, kernel, groups=4, window=place, pixels=(16, 16)
    )
    assert found.shape == (1, 16, 16, 4) and len(seen) == 4
    assert sum(seen) == 9 * 9 * 9


@pytest.mark.parametrize("form", ["taps", "per_group"])
def test_nan_stays_in_its_group_and_neighbourhood(form):
    x, kernel = arrays((1, 7, 7, 4), (3, 3, 2, 4))
    out = compiled(groups=2, implementation=form)(x.at[0, 3, 3, 0].set(jnp.nan), kernel)
    lost = np.isnan(np.asarray(out))
    assert lost[0, 2:5, 2:5, :2].all() and lost.sum() == 9 * 2


@pytest.mark.parametrize(
    ("form", "columns", "channels"), [("merged_16", slice(2, 5), 4), ("beside_2", slice(2, 6), 2)]
)
def test_nan_is_kept_where_zeros_are_multiplied_and_spoils_no_more_than_they_reach(
    form, columns, channels
):
    x, kernel = arrays((1, 7, 7, 4), (3, 3, 2, 4))
    out = compiled(groups=2, implementation=form)(x.at[0, 3, 3, 0].set(jnp.nan), kernel)
    lost = np.isnan(np.asarray(out))
    reached = np.zeros_like(lost)
    reached[0, 2:5, columns, :channels] = True
    assert lost[0, 2:5, 2:5, :2].all() and not (lost & ~reached).any()


def test_pictures_of_a_vmap_are_those_of_a_loop():
    x, kernel = arrays((3, 1, 6, 6, 4), (3, 3, 1, 4))
    for form in ("taps", "beside_2"):
        op = functools.partial(grouped_conv2d, groups=4, implementation=form)
        found = jax.jit(jax.vmap(op, (0, None)))(x, kernel)
        wanted = [np.asarray(op(one, kernel)) for one in x]
        assert error(found, np.stack(wanted)) < 1e-6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": 0}, "groups=0; needed a whole number from 1 on"),
        ({"groups": 2.0}, "groups=2.0; needed a whole number from 1 on"),
        ({"groups": 3}, "4 channels of x cannot share 3 groups"),
        ({"groups": 2}, r"kernel has shape \(3, 3, 1, 4\); needed \[R, S, 2, K\]"),
        ({"strides": 0}, "strides=0; needed a whole number from 1 on"),
        ({"padding": "same"}, "padding='same'; needed 'SAME', 'VALID'"),
        ({"padding": "VALID"}, "a kernel of 3 x 3 does not fit on 2 x 2 pixels"),
        ({"implementation": "direct"}, "implementation='direct' does not exist; choose one of"),
        ({"implementation": "mosaic_gpu"}, "implementation='mosaic_gpu' does not exist"),
        ({"implementation": "pallas"}, "implementation='pallas' cannot run on cpu"),
    ],
)
def test_what_does_not_fit_is_named(options, message):
    x, kernel = arrays((1, 2, 2, 4), (3, 3, 1, 4))
    with pytest.raises(ValueError, match=f"grouped_conv2d: {message}"):
        grouped_conv2d(x, kernel, **{"groups": 4, **options})


def test_arrays_that_do_not_fit_are_named():
    x, kernel = arrays((1, 4, 4, 4), (3, 3, 2, 3))
    with pytest.raises(ValueError, match="3 output channels of kernel cannot share 2 groups"):
        grouped_conv2d(x, kernel, groups=2)
    with pytest.raises(TypeError, match="kernel has dtype bfloat16 but x has float32"):
        grouped_conv2d(x, kernel.astype(jnp.bfloat16), groups=2)
    with pytest.raises(TypeError, match="x has dtype int32; needed a floating type"):
        grouped_conv2d(x.astype(jnp.int32), kernel, groups=2)
    with pytest.raises(ValueError, match=r"x has shape \(4, 4, 4\); needed \[B, H, W, C\]"):
        grouped_conv2d(x[0], kernel, groups=2)
