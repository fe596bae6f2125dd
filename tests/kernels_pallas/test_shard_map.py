"""Ops inside `jax.shard_map`, whose types say over which axes of a mesh an array varies."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from jax import export
from jax.sharding import AbstractMesh, AxisType, PartitionSpec

from kernels_pallas import attention, chosen, dispatch
from kernels_pallas.report.case import Case
from kernels_pallas.report.devices import DEVICES
from kernels_pallas.report.finding import cases

ROOT = Path(__file__).parents[2]
KERNELS = ("tpu_custom_call", "mosaic_gpu_v2")
LOWERED = {
    (case.op, case.direction, case.form): case for _, case in cases() if case.op != "attention"
}
"""The last case of each op, direction and form."""


def mesh(form: str) -> AbstractMesh:
    """Two devices that run a form."""
    device = next(device for device in DEVICES.values() if device.form == form)
    return AbstractMesh((2,), ("data",), (AxisType.Auto,), abstract_device=device.abstract)


def lowered(function, form, arrays, check_vma=True, varies=None):
    """A function on two devices, as a program's text.

    Each device has arrays of its own, or those numbered by `varies` alone.
    """

    def on_each(*arrays):
        if check_vma:
            arrays = [
                jax.lax.pcast(one, "data", to="varying") if varies is None or at in varies else one
                for at, one in enumerate(arrays)
            ]
        return jax.tree.map(lambda out: out[None], function(*arrays))

    mapped = jax.shard_map(
        on_each, mesh=mesh(form), in_specs=PartitionSpec(), out_specs=PartitionSpec("data"),
        check_vma=check_vma,
    )  # fmt: skip
    platform = {"mosaic_tpu": "tpu", "mosaic_gpu": "cuda"}[form]
    unchecked = [export.DisabledSafetyCheck.custom_call(name) for name in KERNELS]
    made = export.export(jax.jit(mapped), platforms=[platform], disabled_checks=unchecked)(*arrays)
    return made.mlir_module()


@pytest.mark.parametrize("case", LOWERED.values(), ids=map(" ".join, LOWERED))
def test_kernels_lower_inside_it(case: Case) -> None:
    text = lowered(case.function, case.form, case.arrays)
    assert any(name in text for name in KERNELS)


@pytest.mark.parametrize("op", ["gated_recurrence", "bit_linear", "rms_norm_quantize"])
def test_an_array_of_all_devices_beside_one_of_each(op: str) -> None:
    case = next(one for one in LOWERED.values() if one.op == op)
    assert "tpu_custom_call" in lowered(case.function, case.form, case.arrays, varies=(0,))


def test_the_kernel_that_is_jaxs_own_gives_way_inside_it() -> None:
    rows = jax.ShapeDtypeStruct((1, 256, 2, 128), jnp.bfloat16)
    with dispatch.choices() as made:
        lowered(attention, "mosaic_tpu", [rows] * 3)
        lowered(attention, "mosaic_tpu", [rows] * 3, varies=())
        lowered(attention, "mosaic_tpu", [rows] * 3, check_vma=False)
    assert [one.form for one in made] == ["xla", "xla", "mosaic_tpu"]
    assert made[0].why == "jax's kernel runs inside shard_map with check_vma=False alone"


def test_chosen_asks_inside_it() -> None:
    shapes = []

    def share(x):
        shapes.append(x.shape)
        return jax.lax.psum(attention(x, x, x), "data")

    two = jax.sharding.AbstractMesh((2,), ("data",), (AxisType.Auto,))
    apart = PartitionSpec("data")
    mapped = jax.shard_map(share, mesh=two, in_specs=apart, out_specs=PartitionSpec())
    rows = jax.ShapeDtypeStruct((4, 8, 2, 16), jnp.float32)
    assert [one.form for one in chosen(jax.jit(mapped), rows)] == ["xla"]
    assert set(shapes) == {(2, 8, 2, 16)}


def test_interpreting_inside_it_is_refused() -> None:
    rows = jax.ShapeDtypeStruct((2, 16, 1, 16), jnp.float32)
    with pytest.raises(ValueError, match="attention: interpret=True runs inside shard_map with"):
        lowered(partial(attention, interpret=True), "mosaic_tpu", [rows] * 3)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(900)
def test_two_devices_give_what_one_gives() -> None:
    flags = "--xla_force_host_platform_device_count=2"
    made = subprocess.run(
        [sys.executable, "-m", "tests.kernels_pallas.two_devices"],
        cwd=ROOT, env={**os.environ, "XLA_FLAGS": flags}, capture_output=True, text=True,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout[-2000:] + made.stderr[-4000:]
    assert "block_sparse_matmul dense" in made.stdout
