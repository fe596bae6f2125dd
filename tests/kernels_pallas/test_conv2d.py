"""Every form of convolution against sums in float64, its gradients, and what is refused."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kernels_pallas
from kernels_pallas import conv2d, dispatch, tuning, winograd_weights
from kernels_pallas.conv2d import OP, WinogradWeights, choice, winograd
from kernels_pallas.conv2d.cost import cost, winograd_cost
from kernels_pallas.conv2d.window import window
from kernels_pallas.processor import CLASSES

FORMS = ("reference", "xla", "im2col", "winograd", "winograd_4x4")
ROUNDING = {"winograd": 2e-5, "winograd_4x4": 3e-4}
"""Of float32 results around one; the other forms stay below 1e-5."""


def arrays(x_shape, kernel_shape, dtype=np.float32, seed=0):
    numbers = np.random.default_rng(seed)
    fan_in = np.prod(kernel_shape[:3])
    x = numbers.standard_normal(x_shape)
    kernel = numbers.standard_normal(kernel_shape) / np.sqrt(fan_in)
    return jnp.asarray(x, dtype), jnp.asarray(kernel, dtype)


def by_hand(x, kernel, strides=(1, 1), padding=((0, 0), (0, 0))):
    """Float64, from windows over a padded array: shares no code with the package."""
    x, kernel = (np.asarray(a, np.float64) for a in (x, kernel))
    padded = np.pad(x, ((0, 0), *padding, (0, 0)))
    seen = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[:2], axis=(1, 2))
    return np.einsum("bijcrs,rsck->bijk", seen[:, :: strides[0], :: strides[1]], kernel)


def error(found, wanted):
    return np.abs(np.asarray(found, np.float64) - wanted).max()


def compiled(**options):
    return jax.jit(functools.partial(conv2d, **options))


def can(form, kernel_shape, strides):
    return "winograd" not in form or (kernel_shape[:2] == (3, 3) and strides == (1, 1))


CASES = [
    ((2, 6, 8, 3), (3, 3, 3, 4), (1, 1), ((1, 1), (1, 1))),
    ((1, 7, 5, 2), (3, 3, 2, 3), (1, 1), ((1, 1), (1, 1))),
    ((1, 5, 6, 2), (3, 3, 2, 3), (1, 1), ((0, 0), (0, 0))),
    ((1, 6, 7, 2), (3, 3, 2, 1), (1, 1), ((0, 2), (3, 1))),
    ((2, 8, 9, 2), (3, 3, 2, 3), (2, 2), ((1, 1), (1, 1))),
    ((1, 6, 6, 3), (3, 3, 3, 2), (2, 2), ((0, 1), (0, 1))),
    ((1, 5, 4, 3), (1, 1, 3, 2), (1, 1), ((0, 0), (0, 0))),
    ((1, 6, 7, 2), (5, 2, 2, 3), (1, 2), ((2, 2), (1, 0))),
]


@pytest.mark.parametrize("form", FORMS[:-1])
@pytest.mark.parametrize("x_shape, kernel_shape, strides, padding", CASES)
def test_every_form_computes_the_sum(form, x_shape, kernel_shape, strides, padding):
    x, kernel = arrays(x_shape, kernel_shape)
    options = {"strides": strides, "padding": padding, "implementation": form}
    if not can(form, kernel_shape, strides):
        with pytest.raises(ValueError, match="minimal filtering is for 3 x 3 kernels at stride 1"):
            conv2d(x, kernel, **options)
        return
    found = compiled(**options)(x, kernel)
    assert error(found, by_hand(x, kernel, strides, padding)) < ROUNDING.get(form, 1e-5)


@settings(max_examples=6, deadline=None)
@given(
    form=st.sampled_from(["im2col", "winograd"]),
    pixels=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    channels=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(*[st.tuples(st.integers(1, 4), st.integers(1, 4))] * 2),
    batch=st.integers(1, 2),
)
def test_any_size_and_padding(form, pixels, channels, padding, batch):
    x, kernel = arrays((batch, *pixels, channels[0]), (3, 3, *channels))
    found = compiled(padding=padding, implementation=form)(x, kernel)
    assert error(found, by_hand(x, kernel, padding=padding)) < ROUNDING.get(form, 1e-5)


@pytest.mark.parametrize(
    "form, x_shape, kernel_shape, strides, padding",
    [
        ("im2col", *CASES[3]),
        ("im2col", *CASES[4]),
        ("winograd", *CASES[3]),
        pytest.param("winograd_4x4", *CASES[0], marks=pytest.mark.slow),
    ],
)
def test_gradients_are_those_of_the_definition_in_float64(
    form, x_shape, kernel_shape, strides, padding
):
    with jax.enable_x64(True):
        x, kernel = arrays(x_shape, kernel_shape, np.float64)

        def total(x, kernel, implementation):
            out = conv2d(x, kernel, strides=strides, padding=padding, implementation=implementation)
            return jnp.sum(jnp.sin(out))

        gradients = jax.jit(jax.grad(total, (0, 1)), static_argnums=2)
        found, wanted = gradients(x, kernel, form), gradients(x, kernel, "reference")
        for one, other in zip(found, wanted, strict=True):
            assert one.dtype == jnp.float64
            assert error(one, np.asarray(other)) < 1e-11


def test_a_gradient_passes_through_kept_weights_too():
    x, kernel = arrays((1, 6, 6, 2), (3, 3, 2, 3))

    def total(x, kernel, keep):
        given = winograd_weights(kernel) if keep else kernel
        return jnp.sum(jnp.sin(conv2d(x, given, padding=1)))

    gradients = jax.jit(jax.grad(total, (0, 1)), static_argnums=2)
    found, wanted = gradients(x, kernel, True), gradients(x, kernel, False)
    for one, other in zip(found, wanted, strict=True):
        assert error(one, np.asarray(other)) < 2e-5


def test_kernels_are_transformed_one_after_the_other():
    x, kernel = arrays((1, 4, 4, 32), (3, 3, 32, 32))

    def chain(x, kernels):
        for one in kernels:
            x = conv2d(x, one, implementation="winograd")
        return x

    plan = jax.jit(chain).lower(x, [kernel] * 6).compile().memory_analysis()
    assert plan.temp_size_in_bytes < 2 * 16 * kernel[0, 0].nbytes, "not the kernels of all six"


def test_what_comes_before_is_not_written_out_in_every_place():
    """XLA repeats cheap steps in each loop that reads them: of 16 places, none may."""
    x, kernel = arrays((1, 16, 16, 8), (3, 3, 8, 8))

    def instructions(steps):
        def after_steps(x, kernel):
            for step in range(steps):
                x = x * (step + 1.5) + step
            return conv2d(x, kernel, implementation="winograd")

        program = jax.jit(after_steps).lower(x, kernel).compile()
        return program.as_text().count(" = ")

    assert instructions(9) - instructions(1) < 8 * 16


def test_larger_tiles_compute_the_sum_with_a_tenth_of_the_digits():
    x, kernel = arrays((1, 7, 6, 2), (3, 3, 2, 3))
    found = compiled(padding=1, implementation="winograd_4x4")(x, kernel)
    assert error(found, by_hand(x, kernel, padding=((1, 1), (1, 1)))) < ROUNDING["winograd_4x4"]


@pytest.mark.parametrize("size", [(6, 6), (5, 7)])
def test_weights_kept_transformed_give_the_same(size):
    x, kernel = arrays((2, *size, 3), (3, 3, 3, 4))
    weights = jax.jit(winograd_weights)(kernel)
    assert weights.values.shape == (16, 3, 4)
    found = compiled(padding=1)(x, weights)
    assert error(found, by_hand(x, kernel, padding=((1, 1), (1, 1)))) < 2e-5
    assert error(winograd.kernel_of(weights), np.asarray(kernel)) < 1e-6
    with pytest.raises(ValueError, match="strides=2; transformed weights are for strides of 1"):
        conv2d(x, weights, strides=2)
    with pytest.raises(ValueError, match="implementation='im2col'; choose one of"):
        conv2d(x, weights, implementation="im2col")
    with pytest.raises(ValueError, match=r"kernel has shape \(3, 3, 4\); needed \[16, 3, K\]"):
        conv2d(x, WinogradWeights(kernel[0]))


@pytest.mark.parametrize(
    ("form", "dtype"),
    [("xla", jnp.bfloat16), ("im2col", jnp.float16), ("winograd", jnp.bfloat16)],
)
def test_half_precision_is_computed_wider(form, dtype):
    x, kernel = arrays((1, 8, 8, 16), (3, 3, 16, 16), dtype)
    found = compiled(implementation=form)(x, kernel)
    assert found.dtype == dtype
    wanted = by_hand(x, kernel, padding=((1, 1), (1, 1)))
    assert error(found, wanted) < 4 * float(jnp.finfo(dtype).eps)  # one rounding, of values to 4


@pytest.mark.parametrize(
    ("padding", "sides"),
    [
        ("SAME", ((0, 1), (1, 1))),
        ("VALID", ((0, 0), (0, 0))),
        (2, ((2, 2), (2, 2))),
        ([(1, 0), (0, 2)], ((1, 0), (0, 2))),
    ],
)
def test_padding_as_it_is_given(padding, sides):
    found = window((8, 7), (3, 3), (2, 2), padding)
    assert found.padding == sides
    x, kernel = arrays((1, 8, 7, 2), (3, 3, 2, 2))
    out = conv2d(x, kernel, strides=2, padding=padding)
    assert out.shape[1:3] == found.outputs((8, 7), (3, 3))
    assert error(out, by_hand(x, kernel, (2, 2), sides)) < 1e-5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strides": 0}, "strides=0; needed a whole number from 1 on"),
        ({"strides": (1, 2, 3)}, r"strides=\(1, 2, 3\); needed"),
        ({"padding": "same"}, "padding='same'; needed 'SAME', 'VALID'"),
        ({"padding": -1}, "padding=-1; needed"),
        ({"padding": ((1, 1), 2)}, "padding=.*; needed"),
        ({"padding": "VALID"}, "a kernel of 3 x 3 does not fit on 2 x 2 pixels"),
        ({"implementation": "direct"}, "implementation='direct' does not exist; choose one of"),
        ({"implementation": "pallas"}, "implementation='pallas' cannot run on cpu"),
    ],
)
def test_what_does_not_fit_is_named(options, message):
    x, kernel = arrays((1, 2, 2, 1), (3, 3, 1, 1))
    with pytest.raises(ValueError, match=f"conv2d: {message}"):
        conv2d(x, kernel, **options)


def test_arrays_that_do_not_fit_are_named():
    x, kernel = arrays((1, 4, 4, 2), (3, 3, 2, 1))
    with pytest.raises(ValueError, match=r"kernel has shape \(3, 3, 2, 1\); needed \[R, S, 3, K\]"):
        conv2d(jnp.concatenate([x, x[..., :1]], -1), kernel)
    with pytest.raises(TypeError, match="kernel has dtype bfloat16 but x has float32"):
        conv2d(x, kernel.astype(jnp.bfloat16))
    with pytest.raises(TypeError, match="x has dtype int32; needed a floating type"):
        conv2d(x.astype(jnp.int32), kernel)
    with pytest.raises(ValueError, match="needed .3, 3, C, K."):
        winograd_weights(kernel[:2])


def shapes(x_shape, kernel_shape):
    return [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in (x_shape, kernel_shape)]


UNET = {
    "64": ((2, 64, 64, 320), (3, 3, 320, 320)),
    "16": ((2, 16, 16, 1280), (3, 3, 1280, 1280)),
    "8": ((2, 8, 8, 1280), (3, 3, 1280, 1280)),
    "out": ((2, 64, 64, 320), (3, 3, 320, 4)),
    "little": ((2, 8, 8, 16), (3, 3, 16, 16)),
}


@pytest.mark.parametrize(
    ("shape", "form"),
    [("64", "winograd"), ("16", "winograd"), ("8", "im2col"), ("out", "xla"), ("little", "xla")],
)
def test_a_cpu_takes_what_was_fastest_and_other_devices_take_xla(monkeypatch, shape, form):
    monkeypatch.setattr(choice, "processor", lambda: "AVX2")
    given = shapes(*UNET[shape])
    (made,) = dispatch.chosen(conv2d, *given, device="cpu")
    assert (made.op, made.form) == ("conv2d", form)
    for platform, kind in (("tpu", "TPU v5 lite"), ("gpu", "NVIDIA H100 80GB HBM3")):
        target = dispatch.target_named(platform, kind)
        assert dispatch.first_choice(conv2d, *given, target=target).form == "xla"


def test_minimal_filtering_of_larger_tiles_and_float64_are_never_chosen():
    with jax.enable_x64(True):
        double = [jax.ShapeDtypeStruct(one.shape, jnp.float64) for one in shapes(*UNET["64"])]
        (made,) = dispatch.chosen(conv2d, *double, device="cpu")
    assert made.form == "xla" and "no form was measured for float64" in made.why
    forms = {form for one in tuning.table("conv2d")["AVX2"]["measured"] for form in one["seconds"]}
    assert forms == {"xla", "im2col", "winograd"} and set(OP.cpu) == {*FORMS[2:]}


def test_the_measurements_are_whole_and_an_unknown_processor_takes_the_common_ones(monkeypatch):
    for device, entry in tuning.table("conv2d").items():
        assert device in CLASSES and entry["processor"] and entry["command"]
        for one in entry["measured"]:
            minimal = one["taps"] == 3 and one["stride"] == 1
            assert set(one["seconds"]) == {"xla", "im2col", *(["winograd"] if minimal else [])}
            assert (one["transformed"] is not None) == minimal
            assert all(value > 0 for value in one["seconds"].values())
    place = window((16, 16), (3, 3), 1, 1)
    monkeypatch.setattr(choice, "processor", lambda: "AVX2")
    known = choice.fastest(*UNET["16"], place)
    monkeypatch.setattr(choice, "processor", lambda: "another")
    assert choice.fastest(*UNET["16"], place) == known
    assert tuning.basis("conv2d", "another") == "by times of AVX2, for another has none"
    assert choice.fastest((1, 64, 64, 64), (7, 7, 64, 64), window((64, 64), (7, 7), 1, 3)) == "xla"


def test_keeping_transformed_weights_pays_where_they_outweigh_the_picture(monkeypatch):
    monkeypatch.setattr(choice, "processor", lambda: "AVX2")
    place = window((64, 64), (3, 3), 1, 1)
    assert choice.transformed_pays(*UNET["16"], place)
    assert not choice.transformed_pays(*UNET["64"], place)
    assert not choice.transformed_pays(*UNET["little"], place)
    assert not choice.transformed_pays(*UNET["16"], window((16, 16), (3, 3), 2, 1))


def test_costs_are_what_the_shapes_say():
    x_shape, kernel_shape = UNET["64"]
    place = window((64, 64), (3, 3), 1, 1)
    forward = cost(x_shape, kernel_shape, window=place)
    assert forward.macs == 2 * 64 * 64 * 9 * 320 * 320
    assert forward.bytes_moved == 4 * (2 * 2 * 64 * 64 * 320 + 9 * 320 * 320)
    assert cost(x_shape, kernel_shape, window=place, backward=True).macs == 2 * forward.macs
    minimal = winograd_cost(x_shape, kernel_shape, window=place)
    assert forward.macs == 2.25 * minimal.macs
    larger = winograd_cost(x_shape, kernel_shape, window=place, outputs=4)
    assert forward.macs == 4 * larger.macs
    kept = winograd_cost(x_shape, kernel_shape, window=place, transformed=True)
    assert minimal.bytes_moved - kept.bytes_moved == 4 * (9 + 16) * 320 * 320
    strided = cost((1, 8, 8, 2), (3, 3, 2, 4), window=window((8, 8), (3, 3), 2, 1))
    assert strided.macs == 4 * 4 * 9 * 2 * 4


def test_the_products_of_minimal_filtering_are_those_of_its_cost():
    from workbench.measure.macs import count

    given = shapes((1, 7, 9, 3), (3, 3, 3, 5))
    place = window((7, 9), (3, 3), 1, 1)
    for form, outputs in (("winograd", 2), ("winograd_4x4", 4)):
        op = functools.partial(conv2d, padding=1, implementation=form)
        found = count(op, *given).total
        wanted = winograd_cost((1, 7, 9, 3), (3, 3, 3, 5), window=place, outputs=outputs)
        assert found == wanted.macs


def test_the_definition_is_counted_whatever_form_a_cpu_takes():
    from workbench.measure.macs import count

    for x_shape, kernel_shape in (UNET["64"], UNET["8"]):
        found = count(kernels_pallas.conv2d, *shapes(x_shape, kernel_shape))
        place = window(x_shape[1:3], (3, 3), 1, 1)
        assert found.total == cost(x_shape, kernel_shape, window=place).macs
        assert found.no_bmm == found.total


def test_pictures_of_a_vmap_are_those_of_a_loop():
    x, kernel = arrays((3, 1, 6, 6, 2), (3, 3, 2, 2))
    op = compiled(implementation="im2col")
    found = jax.jit(jax.vmap(op, (0, None)))(x, kernel)
    wanted = [np.asarray(op(one, kernel)) for one in x]
    assert error(found, np.stack(wanted)) < 1e-6
