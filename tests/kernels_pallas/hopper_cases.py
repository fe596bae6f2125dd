"""Blocks that Hopper's kernel computes in its interpreter, in a process with threads enough.

python -m tests.kernels_pallas.hopper_cases NAME ...

prints how far each is from float64, in steps of bfloat16 at the largest value, and whether copies
raced.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]


class Case(NamedTuple):
    """A block: pixels, and what differs from groups of 8 among 32 channels, "SAME" and SiLU."""

    pixels: tuple[int, int]
    problem: Mapping[str, Any] = MappingProxyType({})
    activation: str = "silu"
    padding: Any = ((1, 1), (1, 1))
    residual: bool | None = None
    programs: int = 132


CASES = {
    # Tiles of each shape, with each activation; depthwise, and one group.
    "depthwise": Case((9, 8), {"width": 1}, "relu6"),
    "one group": Case((4, 17), {"width": 32}, "hard_swish"),
    "five taps": Case((2, 30), {"width": 4, "taps": 5}, "relu", ((2, 2), (2, 2))),
    # Three blocks of channels in and two out, three slices; no tap above or on the left.
    "blocks": Case((4, 6), {"channels": 96, "outputs": 64}, padding=((0, 2), (0, 2))),
    # The input is where it should be, or is not added.
    "odd padding": Case((5, 5), padding=((0, 2), (2, 0))),
    "no residual": Case((3, 4), residual=False),
    # Twelve tiles for two programs: three turns, of which one program has two.
    "turns": Case((17, 9), programs=2),
}


def computed() -> dict[str, dict[str, Any]]:
    """What this module prints of every case, from a process of its own."""
    environment = {**os.environ, "NPROC": "4", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", __name__, *CASES]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(names: list[str]) -> None:
    """Computes the cases and prints what came out."""
    import jax

    jax.config.update("jax_disable_most_optimizations", True)
    print(json.dumps({name: distance(CASES[name]) for name in names}))


def distance(case: Case) -> dict[str, Any]:
    """From float64 by hand."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax._src.pallas.mosaic_gpu.interpret import interpret_pallas_call

    from kernels_pallas import interpreter, tuning
    from kernels_pallas.conv2d.window import window
    from kernels_pallas.convfirst_block import mosaic_gpu
    from kernels_pallas.convfirst_block.block import Known
    from tests.kernels_pallas.test_fused_blocks import problem, wanted

    sizes = {"channels": 32, "width": 8, "dtype": jnp.bfloat16, **case.problem}
    x, weights, groups = problem("convfirst_block", case.pixels, **sizes)
    tuning.blocks = lambda op, form, kind="": {"programs": case.programs}
    place = window(x.shape[1:3], weights.kernel.shape[:2], 1, case.padding)
    answer = wanted("convfirst_block", x, weights, groups, case.activation, padding=case.padding)
    added = answer.shape == x.shape
    if case.residual is False and added:
        answer, added = answer - np.asarray(x, np.float64), False
    how = Known(groups, place, case.activation, added)
    assert mosaic_gpu.unfit(x, weights, how) == ""
    interpret_pallas_call.reset_gpu_interpret_mode_state()
    watched = interpreter.mosaic_gpu(detect_races=True)
    run = functools.partial(mosaic_gpu.convfirst_block, how=how, interpret=watched)
    found = jax.jit(run)(x, weights)
    assert found.dtype == jnp.bfloat16 and found.shape == answer.shape
    step = float(jnp.finfo(jnp.bfloat16).eps) * np.abs(answer).max()
    apart = np.abs(np.asarray(found, np.float64) - answer).max() / step
    return {"steps": float(apart), "raced": interpret_pallas_call.get_races().races_found}


if __name__ == "__main__":
    main(sys.argv[1:])
