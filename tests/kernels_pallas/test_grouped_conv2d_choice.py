"""Which form of grouped convolution a CPU takes, by what was measured, and what it costs."""

import functools

import jax
import jax.numpy as jnp
import pytest

import kernels_pallas
from kernels_pallas import dispatch, grouped_conv2d, tuning
from kernels_pallas.conv2d.window import window
from kernels_pallas.grouped_conv2d import OP, choice, gradient
from kernels_pallas.grouped_conv2d.cost import cost, intensity


def shapes(batch, pixels, channels, width, taps=3):
    sizes = (batch, pixels, pixels, channels), (taps, taps, width, channels)
    return [jax.ShapeDtypeStruct(size, jnp.float32) for size in sizes]


@pytest.mark.parametrize(
    ("shape", "form"),
    [
        ((8, 56, 144, 1), "taps"),
        ((1, 14, 512, 1), "taps"),
        ((8, 14, 384, 1, 7), "taps_blocks"),
        ((8, 56, 128, 4), "taps"),
        ((8, 28, 256, 8), "beside"),
        ((8, 14, 512, 16), "beside"),
        ((4, 28, 256, 32), "per_group"),
        ((1, 4, 4, 1), "xla"),
    ],
)
def test_a_cpu_takes_what_was_fastest(monkeypatch, shape, form):
    monkeypatch.setattr(choice, "processor", lambda: "AVX-512")
    given = shapes(*shape)
    op = functools.partial(grouped_conv2d, groups=shape[2] // shape[3])
    (made,) = dispatch.chosen(op, *given, device="cpu")
    assert made.op == "grouped_conv2d" and made.form.startswith(form)


def test_the_measurements_are_whole_and_an_unknown_processor_takes_the_common_ones(monkeypatch):
    for device, entry in tuning.table("grouped_conv2d").items():
        assert device in ("AVX-512", "AVX2") and entry["processor"] and entry["command"]
        for one in entry["measured"]:
            figures = set(one) - set(choice.WEIGHTS)
            assert set(choice.WEIGHTS) < set(one) and figures <= {"seconds", "kernel_gradient"}
            seconds, slopes = one.get("seconds", {}), one.get("kernel_gradient", {})
            assert not seconds or {"xla"} < set(seconds) <= {"xla", *OP.cpu}
            assert set(slopes) <= set(gradient.KERNELS)
            assert all(value > 0 for value in (*seconds.values(), *slopes.values()))
    given = [one.shape for one in shapes(8, 56, 144, 1)]
    place = window((56, 56), (3, 3), 1, 1)
    monkeypatch.setattr(choice, "processor", lambda: "AVX2")
    known = choice.fastest(*given, 144, place)
    monkeypatch.setattr(choice, "processor", lambda: "another")
    assert choice.fastest(*given, 144, place) == known


def test_xlas_own_is_chosen_at_no_measured_shape_of_a_model():
    for entry in tuning.table("grouped_conv2d").values():
        for one in entry["measured"]:
            seconds = one.get("seconds", {"taps": 0.0})
            assert min(seconds, key=seconds.get) != "xla", one


def test_costs_are_what_the_shapes_say():
    x_shape, kernel_shape = (8, 56, 56, 144), (3, 3, 1, 144)
    place = window((56, 56), (3, 3), 1, 1)
    forward = cost(x_shape, kernel_shape, window=place)
    pixels = 8 * 56 * 56 * 144
    assert forward.macs == 9 * pixels
    assert forward.bytes_moved == 4 * (2 * pixels + 9 * 144)
    back = cost(x_shape, kernel_shape, window=place, backward=True)
    assert back.macs == 2 * forward.macs
    assert back.bytes_moved == 4 * (3 * pixels + 2 * 9 * 144)
    wide = cost((2, 8, 8, 16), (3, 3, 8, 32), window=window((8, 8), (3, 3), 2, 1), itemsize=2)
    assert wide.macs == 2 * 16 * 9 * 8 * 32
    assert wide.bytes_moved == 2 * (2 * 64 * 16 + 2 * 16 * 32 + 9 * 8 * 32)


@pytest.mark.parametrize(("width", "taps", "limit"), [(1, 3, 4.5), (1, 7, 24.5), (8, 3, 36.0)])
def test_intensity_follows_taps_and_width_alone(width, taps, limit):
    for pixels, channels in ((56, 64), (28, 128)):
        place = window((pixels, pixels), (taps, taps), 1, taps // 2)
        found = intensity(
            (128, pixels, pixels, channels), (taps, taps, width, channels), window=place, itemsize=2
        )
        assert 0.97 * limit < found <= limit


def test_the_definition_is_counted_whatever_form_a_cpu_takes():
    from workbench.measure.macs import count

    for shape in ((8, 56, 144, 1), (8, 14, 512, 16)):
        given = shapes(*shape)
        op = functools.partial(kernels_pallas.grouped_conv2d, groups=shape[2] // shape[3])
        place = window(given[0].shape[1:3], (3, 3), 1, 1)
        wanted = cost(given[0].shape, given[1].shape, window=place)
        assert count(op, *given).total == wanted.macs
