"""The ConvFirst block's kernel for Hopper in its interpreter, and how it cuts its work."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels_pallas import BlockWeights, dispatch
from kernels_pallas.conv2d.window import window
from kernels_pallas.convfirst_block import (
    mosaic_gpu,
    mosaic_gpu_buffers,
    mosaic_gpu_program,
    mosaic_gpu_tiles,
)
from kernels_pallas.convfirst_block.block import Known
from kernels_pallas.convfirst_block.cases import STAGES, cases
from kernels_pallas.convfirst_block.mosaic_gpu_tiles import MEMORY, PIXELS, WIDE, Tiles
from tests.kernels_pallas.hopper_cases import CASES, computed
from tests.kernels_pallas.test_fused_blocks import ACTS, OPS, problem
from tests.kernels_pallas.test_grouped_conv2d import by_hand, error

OP = "convfirst_block"
KERNEL = {"implementation": "mosaic_gpu", "interpret": True}
bfloat16_problem = functools.partial(problem, OP, channels=WIDE, dtype=jnp.bfloat16)


@pytest.fixture(scope="module")
def interpreted():
    """Every case, computed in one process."""
    return computed()


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_the_kernel_computes_the_block(name, interpreted):
    """Beside float64, to a step of bfloat16 at the largest value."""
    assert interpreted[name]["steps"] < 1 and not interpreted[name]["raced"]


def test_too_few_threads_for_the_interpreter_are_named(monkeypatch):
    monkeypatch.setenv("NPROC", "3")
    x, weights, groups = bfloat16_problem(width=8)
    words = "interpret=True needs 4 threads of XLA's, and there are 3; set NPROC=4"
    with pytest.raises(ValueError, match=f"{OP}: {words}"):
        OPS[OP](x, weights, groups=groups, **KERNEL)


def test_activations_are_those_of_every_form():
    values = jnp.linspace(-20.0, 20.0, 401)
    assert set(mosaic_gpu_program.ACTIVATIONS) == set(ACTS)
    for name, act in mosaic_gpu_program.ACTIVATIONS.items():
        assert error(act(values), ACTS[name](np.asarray(values, np.float64))) < 3e-6


@pytest.mark.parametrize("width", [1, 8, 32])
def test_matrices_of_the_taps_are_the_grouped_convolution(width):
    numbers = np.random.default_rng(0)
    kernel = numbers.standard_normal((3, 2, width, 2 * WIDE))
    x = numbers.standard_normal((1, 4, 3, 2 * WIDE))
    found = np.asarray(mosaic_gpu.taps(jnp.asarray(kernel, jnp.float32)))
    assert found.shape == (2, 2, 3 * WIDE, WIDE)
    z = np.zeros((2, 2, 2 * WIDE))
    for block, column, down in np.ndindex(2, 2, 3):
        channels = slice(block * WIDE, (block + 1) * WIDE)
        tap = found[block, column, down * WIDE : (down + 1) * WIDE]
        z[..., channels] += x[0, down : down + 2, column : column + 2, channels] @ tap
    answer = by_hand(x, kernel, 2 * WIDE // width, (1, 1), ((0, 0), (0, 0)))
    assert error(jnp.asarray(z[None]), answer) < 1e-5


def tiles_of(batch, pixels, channels, times=4, taps=3):
    place = window((pixels, pixels), (taps, taps), 1, "SAME")
    shape, kernel = (batch, pixels, pixels, channels), (taps, taps, 8, channels)
    return Tiles.fitting(shape, kernel, (times * channels, channels), place)


def test_tiles_of_the_early_stages_waste_few_pixels():
    shapes = {stage: tiles_of(32, *sizes) for stage, sizes in STAGES.items()}
    assert [(t.rows, t.columns) for t in shapes.values() if t] == [(8, 8), (4, 16), (8, 8)]
    assert [t.each for t in shapes.values() if t] == [2, 2, 1]
    assert shapes["stage 1"].total * PIXELS == 32 * 56 * 56
    assert shapes["stage 2"].total * PIXELS == 32 * 28 * 32
    assert shapes["stage 4"] is None
    assert all(t.bytes <= MEMORY for t in shapes.values() if t)


def test_every_pixel_is_in_one_tile():
    tiles = tiles_of(2, 21, 32)
    seen = np.zeros((2, tiles.down * tiles.rows, tiles.across * tiles.columns), int)
    for number in range(tiles.total):
        picture, row, column = (int(one) for one in tiles.place(jnp.int32(number)))
        seen[picture, row : row + tiles.rows, column : column + tiles.columns] += 1
    assert (seen == 1).all() and seen.shape[1] >= 21 <= seen.shape[2]
    last = [int(one) for one in tiles.place(jnp.int32(tiles.total - 1))]
    assert [int(one) for one in tiles.place(jnp.int32(tiles.total + 3))] == last


@pytest.mark.parametrize("shape", mosaic_gpu_tiles.SHAPES)
def test_a_tile_has_one_byte_order_as_matrix_and_as_picture(shape):
    """Eight pixels side by side are a tile of the matrix's layout, and rows follow each other."""
    rows, columns = shape[0] + 2, shape[1]
    picture = np.arange(rows * columns * WIDE).reshape(rows, columns, WIDE)
    matrix = picture.reshape(rows * columns, WIDE)
    laid = matrix.reshape(-1, 8, 1, WIDE).swapaxes(1, 2)
    assert (laid.ravel() == picture.ravel()).all()


def test_the_kernel_for_the_device_traces(monkeypatch):
    """Without the interpreter's own words, for every stage that it takes.

    Both views of a buffer begin where it begins.
    """
    seen, views = [], mosaic_gpu_buffers.Views
    monkeypatch.setattr(
        mosaic_gpu_buffers, "Views", lambda *pair: seen.append(pair) or views(*pair)
    )
    for case in cases():
        if case.form != "mosaic_gpu":
            continue
        x, *weights = case.arrays
        how = Known(x.shape[3] // 8, window(x.shape[1:3], (3, 3), 1, 1), "silu", True)
        run = functools.partial(mosaic_gpu.convfirst_block, how=how, interpret=False)
        out = jax.eval_shape(lambda x, *w, run=run: run(x, BlockWeights(*w)), x, *weights)
        assert (out.shape, out.dtype) == (x.shape, x.dtype)
    assert len(seen) == 6
    assert all(view.transforms[0].offset == 0 for pair in seen for view in pair)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {"strides": 2}, r"strides of 1, not \(2, 2\)"),
        ({"dtype": np.float32}, {}, "x has dtype float32; mosaic_gpu takes bfloat16"),
        ({"channels": 48, "width": 16}, {}, "x has 48 channels, not a multiple of 32"),
        ({"outputs": 40}, {}, "project has 40 channels, not a multiple of 32"),
        ({"channels": 64, "width": 64}, {}, "groups of 64 channels do not share 32"),
        ({"outputs": 288}, {}, "288 channels are above 256"),
        ({"pixels": (9, 9), "taps": 9}, {"padding": 4}, "a kernel of 9 rows is above 8"),
    ],
)
def test_what_the_kernel_cannot_take_is_named(change, options, message):
    x, weights, groups = bfloat16_problem(**{"width": 8, **change})
    with pytest.raises(ValueError, match=f"implementation='mosaic_gpu': .*{message}"):
        OPS[OP](x, weights, groups=groups, **KERNEL, **options)


def test_tiles_too_large_for_memory_are_named(monkeypatch):
    monkeypatch.setattr(mosaic_gpu_tiles, "MEMORY", 1 << 14)
    x, weights, groups = bfloat16_problem(width=8)
    with pytest.raises(ValueError, match="tiles and weights do not fit in 225 KiB of shared"):
        OPS[OP](x, weights, groups=groups, **KERNEL)


def test_hopper_runs_the_kernel_where_it_is_asked_for_and_later_gpus_do_not():
    x, weights, groups = bfloat16_problem(width=8)
    run = functools.partial(OPS[OP], groups=groups)
    hopper = dispatch.target_named("cuda", "NVIDIA H100 80GB HBM3")
    made = dispatch.first_choice(run, x, weights, target=hopper)
    assert made.form == "xla" and "mosaic_gpu has not been timed" in made.why
    asked = functools.partial(run, implementation="pallas")
    assert dispatch.first_choice(asked, x, weights, target=hopper).form == "mosaic_gpu"
    later = dispatch.target_named("cuda", "NVIDIA B200")
    with pytest.raises(ValueError, match="implementation='pallas' cannot run on NVIDIA B200"):
        dispatch.first_choice(asked, x, weights, target=later)


def test_cases_are_of_both_forms():
    found = list(cases())
    pixels = {
        form: [case.arrays[0].shape[1] for case in found if case.form == form]
        for form in ("mosaic_tpu", "mosaic_gpu")
    }
    assert pixels == {"mosaic_tpu": [56, 56, 28, 14, 7], "mosaic_gpu": [56, 28, 14]}
