"""Compiles one case for one device, in a process of its own, and says what came out.

The dump folders are environment variables that the compilers read once, and a compiler that fails
may end the process it runs in: hence a process for each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax

from kernels_pallas.report import finding, reading
from kernels_pallas.report.case import Case
from kernels_pallas.report.devices import Device

LONGEST = 900
"""Seconds after which a compilation counts as failed."""

_SAID = 500


class Result(NamedTuple):
    """What came out of compiling one case for one device.

    Args:
        op, direction, model, form: as in `Case`.
        device: name of the device.
        arguments: shapes and dtypes, as HLO writes them.
        seconds: of tracing, lowering and compiling, after imports.
        kernels: those that the compiled program calls.
        temporary: bytes of device memory the program takes besides arguments and outputs.
        failure: why it did not compile, empty if it did.
    """

    op: str
    direction: str
    model: str
    form: str
    device: str
    arguments: list[str]
    seconds: float = 0.0
    kernels: tuple[reading.Kernel, ...] = ()
    temporary: int | None = None
    failure: str = ""

    @property
    def violations(self) -> list[str]:
        """One line for each thing that a kernel must not do."""
        who = f"{self.op} {self.direction} {self.model} on {self.device}"
        if self.failure:
            return [f"{who}: {self.failure}"]
        if not self.kernels:
            return [f"{who}: no custom call of {self.form} in the compiled program"]
        found = []
        for kernel in self.kernels:
            if kernel.spills:
                found.append(f"{who}: {kernel.name} spills {kernel.spills} bytes")
            if kernel.constants:
                count = f"{kernel.constants} constant registers"
                found.append(f"{who}: {kernel.name} multiplies {count}")
            if kernel.memory is None:
                found.append(f"{who}: {kernel.name}: its memory is not known")
            elif kernel.memory > kernel.limit:  # 0 is a count of nothing, and holds no limit
                found.append(f"{who}: {kernel.name} takes {kernel.memory} of {kernel.limit} bytes")
        return found

    def row(self) -> dict[str, Any]:
        """The result as JSON holds it."""
        return self._asdict() | {"kernels": [kernel._asdict() for kernel in self.kernels]}

    @classmethod
    def of(cls, row: dict[str, Any]) -> Result:
        """The result that `row` was made from."""
        return cls(**row | {"kernels": tuple(reading.Kernel(**one) for one in row["kernels"])})


def empty(case: Case, device: Device, **known: Any) -> Result:
    """A result that names its case, and holds what is known."""
    names = [f"{array.dtype.name}{list(array.shape)}" for array in case.arrays]
    return Result(case.op, case.direction, case.model, case.form, device.name, names, **known)


def compiled(case: Case, device: Device, dumps: Path) -> Result:
    """Compiles in this process.

    Args:
        case: what to compile.
        device: for which device.
        dumps: where Mosaic's GPU compiler writes, as `environment` told it before jax's import.
    """
    arrays = [
        jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=device.sharding)
        for array in case.arrays
    ]
    mesh = jax.sharding.AbstractMesh(
        (1,), ("device",), (jax.sharding.AxisType.Auto,), abstract_device=device.abstract
    )
    began = time.perf_counter()
    try:
        with jax.sharding.use_abstract_mesh(mesh):
            lowered = jax.jit(case.function).lower(*arrays)
        program = lowered.compile()
    except Exception as error:
        return empty(case, device, failure=_said(f"{type(error).__name__}: {error}"))
    seconds = time.perf_counter() - began
    calls = reading.custom_calls(program.as_text() or "", case.form)
    if case.form == "mosaic_tpu":
        kernels = [reading.tpu_kernel(call, device.memory_limit) for call in calls]
    else:
        kernels = _dumped(dumps, device.memory_limit) if calls else []
    memory = program.memory_analysis()
    return empty(
        case,
        device,
        seconds=round(seconds, 2),
        kernels=tuple(kernels),
        temporary=memory.temp_size_in_bytes if memory else None,
    )


def _dumped(folder: Path, limit: int) -> list[reading.Kernel]:
    kernels = []
    for report in sorted(folder.glob("*.ptxas")):
        with report.with_suffix(".mlir-passes.log").open(encoding="utf-8") as passes:
            code = report.with_suffix(".ptx").read_text(encoding="utf-8")
            said = report.read_text(encoding="utf-8")
            kernels.append(reading.gpu_kernel(report.stem, code, said, passes, limit))
    return kernels


def environment(dumps: Path) -> dict[str, str]:
    """The environment of a process that compiles for devices that are not there."""
    return {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_COMPILATION_CACHE": "false",
        "MOSAIC_GPU_DUMP_TO": str(dumps),
        # No machine with a TPU is asked for its kind, and several processes may compile at once.
        "TPU_SKIP_MDS_QUERY": "1",
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    }


def in_child(
    place: finding.Place, case: Case, device: Device, python: str = sys.executable
) -> Result:
    """Compiles in a process of its own.

    Args:
        place: where the process finds the case.
        case: the case.
        device: for which device.
        python: the interpreter, of an environment that holds the compilers.
    """
    with tempfile.TemporaryDirectory(prefix="kernels-report-") as folder:
        command = [python, "-m", __name__, *map(str, place), device.name, folder]
        try:
            done = subprocess.run(
                command,
                env=environment(Path(folder)),
                capture_output=True,
                text=True,
                timeout=LONGEST,
            )
        except subprocess.TimeoutExpired:
            return empty(case, device, failure=f"not compiled after {LONGEST} s")
    if done.returncode:
        said = (done.stderr.strip() or "nothing said").splitlines()[-1]
        return empty(case, device, failure=_said(f"exit {done.returncode}: {said}"))
    return Result.of(json.loads(done.stdout.splitlines()[-1]))


def _said(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SAID else f"{line[:_SAID]} …"


def main(arguments: list[str]) -> None:
    """Compiles the case at a place and prints its result as a line of JSON."""
    from kernels_pallas.report.devices import DEVICES

    module, number, device, folder = arguments
    case = finding.at(finding.Place(module, int(number)))
    print(json.dumps(compiled(case, DEVICES[device], Path(folder)).row()))


if __name__ == "__main__":
    main(sys.argv[1:])
