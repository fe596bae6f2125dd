"""Memory traffic of residual blocks layer by layer and as one kernel, as a TPU's compiler has it.

Both forms are compiled for TPU v5e by its own compiler, without the device; its analysis of the
compiled program says how many bytes are accessed. Of a kernel it knows the kernel's own estimate:
all that its grid reads and writes, padding and rows read twice included. The ops' own formulas,
which count every tensor once and know no padding, stand beside them. In the two early stages,
where maps are large and channels few, a kernel must move less.

python benchmarks/fused_block_traffic.py [--tiny]

The compiler's side needs libtpu beside jax: `make kernels-report` makes `.venv-kernels`, which
runs this where this Python has none.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from importlib.util import find_spec
from typing import Any, NamedTuple

from record import ROOT, Benchmark, Figure

DEVICE = "TPU v5e"
KERNELS = ROOT / ".venv-kernels" / "bin" / "python"
NO_COMPILER = "skipped: the compiler's side, for libtpu is not here (make kernels-report)"


class Case(NamedTuple):
    """A block at stride 1 that keeps its channels."""

    op: str
    pixels: int
    channels: int
    width: int = 8
    expansion: int = 4
    batch: int = 8

    @property
    def words(self) -> str:
        """The case in a line."""
        kind = "depthwise" if self.width == 1 else f"groups of {self.width}"
        shape = f"{self.batch} × {self.pixels} × {self.pixels} × {self.channels}"
        name = {"convfirst_block": "ConvFirst", "mbconv_block": "MBConv"}[self.op]
        return f"{name}, {kind}, {shape}, bfloat16"


CASES = (
    Case("convfirst_block", 56, 64),
    Case("convfirst_block", 28, 128),
    Case("convfirst_block", 14, 256),
    Case("convfirst_block", 7, 512),
    Case("mbconv_block", 56, 64),
    Case("mbconv_block", 28, 128),
    Case("mbconv_block", 14, 256),
    Case("mbconv_block", 56, 24, width=1, expansion=6),
    Case("mbconv_block", 14, 96, width=1, expansion=6),
)
EARLY = 28
"""Pixels a side from which on a stage is an early one."""
TINY = (Case("convfirst_block", 8, 16, batch=1),)


def main() -> int:
    """Every case, compiled in both forms."""
    if find_spec("libtpu") is None and KERNELS.exists():
        environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
        command = [str(KERNELS), __file__, *sys.argv[1:]]
        return subprocess.run(command, check=False, env=environment).returncode
    bench, _ = Benchmark.from_command(
        __file__, f"Memory traffic of residual blocks, compiled for {DEVICE}"
    )
    compiler = find_spec("libtpu") is not None
    if not compiler:
        print(NO_COMPILER)
    os.environ |= {"JAX_PLATFORMS": "cpu", "TPU_SKIP_MDS_QUERY": "1"}
    for case in TINY if bench.tiny else CASES:
        counted = bench.raw[case.words] = {"formulas": formulas(case)}
        bench.add(gain(f"{case.words}: bytes by formulas", *counted["formulas"].values()))
        if compiler:
            counted |= {form: accessed(case, form) for form in ("xla", "mosaic_tpu")}
            serial, fused = counted["xla"], counted["mosaic_tpu"]
            what = f"{case.words}: bytes accessed (the kernel's by its estimate)"
            least = 1.0 if case.pixels >= EARLY else None
            bench.add(gain(what, serial, fused, at_least=least))
    bench.finish()
    return 0


def gain(bytes_of: str, serial: float, fused: float, at_least: float | None = None) -> Figure:
    """Layer by layer over one kernel."""
    what = f"{bytes_of} layer by layer over those of one kernel"
    return Figure(what, serial / fused, "×", at_least=at_least, basis="modelled")


def accessed(case: Case, form: str) -> float:
    """Bytes that the compiled program accesses."""
    import jax

    from kernels_pallas.report.devices import DEVICES

    device = DEVICES[DEVICE]
    arrays = [
        jax.ShapeDtypeStruct(one.shape, one.dtype, sharding=device.sharding) for one in shapes(case)
    ]
    mesh = jax.sharding.AbstractMesh((1,), ("device",), abstract_device=device.abstract)
    run = functools.partial(block, case, form)
    with jax.sharding.use_abstract_mesh(mesh):
        lowered = jax.jit(run).lower(*arrays)
    found = lowered.compile().cost_analysis()
    return float(found["bytes accessed"])


def block(case: Case, form: str, x: Any, *weights: Any) -> Any:
    """The block in a form."""
    import kernels_pallas
    from kernels_pallas import BlockWeights

    op = getattr(kernels_pallas, case.op)
    groups = weights[0].shape[3] // case.width
    return op(x, BlockWeights(*weights), groups=groups, implementation=form)


def shapes(case: Case) -> list[Any]:
    """Of the pictures and the weights."""
    import jax
    import jax.numpy as jnp

    hidden = case.expansion * case.channels
    spatial = case.channels if case.op == "convfirst_block" else hidden
    sizes = (
        (case.batch, case.pixels, case.pixels, case.channels),
        (3, 3, case.width, spatial), (spatial,), (case.channels, hidden), (hidden,),
        (hidden, case.channels), (case.channels,),
    )  # fmt: skip
    return [jax.ShapeDtypeStruct(size, jnp.bfloat16) for size in sizes]


def formulas(case: Case) -> dict[str, int]:
    """Bytes by the op's own formulas: layer by layer and as one op."""
    import importlib

    from kernels_pallas.conv2d.window import window

    cost = importlib.import_module(f"kernels_pallas.{case.op}.cost")
    place = window((case.pixels, case.pixels), (3, 3), 1, "SAME")
    x, kernel = (one.shape for one in shapes(case)[:2])
    hidden = case.expansion * case.channels
    return {
        name: cost.cost(
            x, kernel, hidden, case.channels, window=place, itemsize=2, fused=name == "one op"
        ).bytes_moved
        for name in ("layer by layer", "one op")
    }


if __name__ == "__main__":
    sys.exit(main())
