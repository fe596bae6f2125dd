"""The gated recurrence's TPU and GPU kernels in their interpreters, against float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels_pallas import gated_recurrence, interpreter, tuning
from kernels_pallas.gated_recurrence.cases import cases
from tests.kernels_pallas.recurrence_oracle import STRENGTHS, assert_close, inputs

SMALL = {
    "mosaic_tpu": {"steps": 32, "lanes": 128},
    "mosaic_gpu": {
        "steps": 8,
        "width": 1,
        "stages": 2,
        "memory": 230_000,
        "enough": 64,
        "programs": 2,
    },
}
"""Sizes under which arrays of a test are cut into many tiles, and time into pieces."""


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    monkeypatch.setattr(tuning, "blocks", lambda op, form, kind="": SMALL[form])


def interpreted(form):
    return {"implementation": form, "interpret": True}


@pytest.mark.parametrize("reverse", [False, True])
def test_tpu_over_ragged_tiles(reverse):
    """Three tiles of time, of which the last is part, and two of lanes."""
    assert_close(inputs((2, 70, 130)), reverse=reverse, **interpreted("mosaic_tpu"))


@pytest.mark.slow
def test_tpu_in_bfloat16_with_float32_gates():
    arrays = inputs((1, 40, 8), "bfloat16", "strong", gate_dtype="float32")
    assert_close(arrays, **interpreted("mosaic_tpu"))


@pytest.mark.slow
@pytest.mark.long
@settings(max_examples=15, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 100), st.integers(1, 260)),
    dtype=st.sampled_from(["float32", "bfloat16"]),
    strength=st.sampled_from(sorted(STRENGTHS)),
    reverse=st.booleans(),
)
def test_tpu_over_shapes_and_strengths(shape, dtype, strength, reverse):
    arrays = inputs(shape, dtype, strength)
    assert_close(arrays, reverse=reverse, **interpreted("mosaic_tpu"))


def test_gpu_over_pieces_of_time():
    """Two pieces of two tiles, the last of them part."""
    assert_close(inputs((1, 27, 8)), **interpreted("mosaic_gpu"))


@pytest.mark.slow
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("shape", "dtype", "strength"),
    [
        ((2, 21, 130), "float32", "any sign"),
        ((1, 48, 128), "bfloat16", "strong"),
        ((3, 8, 5), "float32", "closed"),
        ((1, 1, 1), "float32", "mild"),
    ],
)
def test_gpu_over_shapes_and_strengths(shape, dtype, strength, reverse):
    arrays = inputs(shape, dtype, strength)
    assert_close(arrays, reverse=reverse, **interpreted("mosaic_gpu"))


@pytest.mark.slow
@pytest.mark.parametrize("pieces", [1, 2])
def test_gpu_copies_do_not_race(monkeypatch, pieces):
    from jax._src.pallas.mosaic_gpu.interpret import interpret_pallas_call, params

    monkeypatch.setitem(SMALL["mosaic_gpu"], "programs", pieces)
    watched = params.InterpretGPUParams(detect_races=True)
    monkeypatch.setattr(interpreter, "mosaic_gpu", lambda: watched)
    interpret_pallas_call.reset_gpu_interpret_mode_state()
    assert_close(inputs((1, 48, 128)), **interpreted("mosaic_gpu"))
    assert not interpret_pallas_call.get_races().races_found


@pytest.mark.parametrize("form", ["mosaic_tpu", "mosaic_gpu"])
def test_nan_stays_from_its_step_on(form):
    decay, x, _, _ = inputs((1, 20, 3))
    for spoilt in (decay.at[0, 9, 1].set(jnp.nan), x):
        x = x if spoilt is not x else x.at[0, 9, 1].set(jnp.nan)
        states = gated_recurrence(spoilt, x, **interpreted(form))
        lost = np.isnan(np.asarray(states))
        assert lost[0, 9:, 1].all() and lost.sum() == 11


@pytest.mark.slow
def test_gpu_state_of_zero_survives_an_overflowing_product():
    x = jnp.zeros((1, 256, 1)).at[0, 254].set(1.0)
    states = gated_recurrence(jnp.full((1, 256, 1), 3.0), x, **interpreted("mosaic_gpu"))
    assert states[0, 254:, 0].tolist() == [1.0, 3.0] and not states[0, :254].any()


@pytest.mark.parametrize("form", ["mosaic_tpu", "mosaic_gpu"])
def test_a_dtype_without_a_kernel_is_named(form):
    with jax.enable_x64(True):
        wide = jnp.zeros((1, 4, 2), jnp.float64)
        with pytest.raises(ValueError, match=f"decay has dtype float64; {form} takes float32"):
            gated_recurrence(wide, wide, **interpreted(form))


def test_cases_cover_both_forms_and_directions():
    found = list(cases())
    assert {case.form for case in found} == {"mosaic_tpu", "mosaic_gpu"}
    assert {case.direction for case in found} == {"forward", "backward"}
    assert len({(case.form, case.name) for case in found}) == len(found)
    assert {array.shape[-1] for case in found for array in case.arrays} == {1024, 2048}
