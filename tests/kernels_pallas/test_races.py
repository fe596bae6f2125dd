"""Kernels that start copies of their own are watched for races by the device's simulator."""

import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import kernels_pallas
from kernels_pallas import interpreter, pack_ternary, ternary_matmul_int32, tuning
from tests.kernels_pallas.ternary_oracle import activations, product, weights

OWN_COPIES = re.compile(
    r"\b(?:make_async(?:_remote)?_copy|async(?:_remote)?_copy|SemaphoreType|emit_pipeline"
    r"|copy_gmem_to_smem|copy_smem_to_gmem)\b"
)
RACE_TEST = re.compile(r"^def test_\w*race\w*\(", re.MULTILINE)
PACKAGE = Path(kernels_pallas.__file__).parent
TESTS = Path(__file__).parent


def copying(package):
    """Ops whose kernels start copies, by the files that do."""
    found = {}
    for file in sorted(package.glob("*/mosaic_*.py")):
        if OWN_COPIES.search(file.read_text(encoding="utf-8")):
            found.setdefault(file.parent.name, []).append(file.name)
    return found


def watched():
    """Text of every file that has a test of races."""
    texts = (file.read_text(encoding="utf-8") for file in TESTS.glob("test_*.py"))
    return "\n".join(text for text in texts if RACE_TEST.search(text))


def test_every_kernel_with_copies_of_its_own_has_a_test_of_races():
    found, text = copying(PACKAGE), watched()
    assert {"gated_linear_attention", "gated_recurrence", "ternary"} <= set(found)
    for op, files in found.items():
        assert re.search(rf"\bkernels_pallas(?:\.{op}\b| import .*\b{op}\b)", text), (op, files)


def test_a_copy_in_a_tpu_kernel_would_be_seen(tmp_path):
    (tmp_path / "op").mkdir()
    for name, line in (("mosaic_tpu", "pltpu.make_async_copy(a, b, s)"), ("xla", "async_copy(a)")):
        (tmp_path / "op" / f"{name}.py").write_text(line, encoding="utf-8")
    assert copying(tmp_path) == {"op": ["mosaic_tpu.py"]}


@pytest.mark.slow
@pytest.mark.parametrize("rows", [1, 70])
def test_gpu_pipeline_of_the_ternary_product_does_not_race(monkeypatch, rows):
    """Four steps over K in one program, through the three buffers of `kernels_pallas.ternary`."""
    from jax._src.pallas.mosaic_gpu.interpret import interpret_pallas_call

    monkeypatch.setitem(tuning.table("ternary")["mosaic_gpu"]["default"], "ctas", 1)
    simulator = interpreter.mosaic_gpu(detect_races=True)
    monkeypatch.setattr(interpreter, "mosaic_gpu", lambda: simulator)
    interpret_pallas_call.reset_gpu_interpret_mode_state()
    x, w = activations(rows, 1024), weights(1024, 128)
    packed = pack_ternary(jnp.asarray(w), layout="columns")
    found = ternary_matmul_int32(
        jnp.asarray(x), packed, implementation="mosaic_gpu", interpret=True
    )
    np.testing.assert_array_equal(found, product(x, w))
    assert not interpret_pallas_call.get_races().races_found
