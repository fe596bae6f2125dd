"""What the compilers' own texts say of a kernel: HLO, PTX and ptxas."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import NamedTuple

CALLS = {"mosaic_tpu": "tpu_custom_call", "mosaic_gpu": "mosaic_gpu"}
"""What the target of a form's custom call begins with."""

_CALL = re.compile(r'^\s*(?:ROOT )?%?(\S+) = .*custom_call_target="([^"]+)"')
_INSTRUCTION = re.compile(r"\n(?=\s*(?:ROOT )?%?[\w.-]+ = )")
_USED = re.compile(r'"used_scoped_memory_configs":\[([^\]]*)\]')
_GIVEN = re.compile(r'"scoped_memory_configs":\[([^\]]*)\]')
_SIZE = re.compile(r'"memory_space":"1","offset":"\d+","size":"(\d+)"')
_BODY = re.compile(r'"body":"([^"]+)"')
_DYNAMIC = re.compile(r"dynamic_shared_memory_size %c(\d+)")
_FACTORS = re.compile(r"wgmma\.mma_async\S* \{[^}]*\}, \{([^}]*)\},")
"""The registers that hold the first factor of a product."""

_SET = re.compile(r"^\s*(?:@\S+\s+)?([a-z][\w.]*)\s+\{?(%r\w*\d)\b(?:, ([^;]*);)?", re.MULTILINE)
_TENSOR = re.compile(r"\b(wgmma|mma)\.\S*?\.(m\d+n\d+k\d+)")


class Kernel(NamedTuple):
    """One compiled kernel.

    Args:
        name: as the compiler has it.
        memory: bytes of VMEM or shared memory it takes; None where the text does not say, 0 where
            a TPU's compiler counted none of what the kernel has there, so that it is not known.
        limit: bytes it may take.
        registers: of a thread; None on a TPU.
        spills: bytes stored to and loaded from memory for want of registers; None on a TPU.
        instruction: kind of matrix instruction, "none" where there is none.
        constants: registers that hold a constant when a matrix instruction reads them; the
            assembler of CUDA 13.0 sets some of them only after it.
    """

    name: str
    memory: int | None
    limit: int
    registers: int | None
    spills: int | None
    instruction: str
    constants: int = 0


def custom_calls(hlo: str, form: str) -> list[str]:
    """The instructions of compiled HLO that call a kernel of `form`; each may be several lines."""
    return [
        line
        for line in _INSTRUCTION.split(hlo)
        if (found := _CALL.search(line)) and found.group(2).startswith(CALLS[form])
    ]


def tpu_kernel(line: str, limit: int) -> Kernel:
    """A TPU kernel from the line of HLO that calls it.

    Args:
        line: one of `custom_calls`.
        limit: bytes of VMEM a kernel has that asks for no other limit.
    """
    found = _CALL.search(line)
    name = found.group(1) if found else ""
    used = _SIZE.search((_USED.search(line) or [""] * 2)[1])
    given = _SIZE.search((_GIVEN.search(line) or [""] * 2)[1])
    body = base64.b64decode((_BODY.search(line) or [""] * 2)[1])
    return Kernel(
        name=name,
        memory=int(used[1]) if used else None,
        limit=int(given[1]) if given else limit,
        registers=None,
        spills=None,
        instruction="MXU" if b"tpu.matmul" in body else "none",
    )


def gpu_kernel(name: str, ptx: str, ptxas: str, passes: Iterable[str], limit: int) -> Kernel:
    """A GPU kernel from what Mosaic wrote about it.

    Args:
        name: of the dumped files.
        ptx: the kernel's code.
        ptxas: the assembler's report.
        passes: lines of the compiler's passes; read no further than the launch.
        limit: bytes of shared memory a kernel may take.
    """
    registers = [int(count) for count in re.findall(r"Used (\d+) registers", ptxas)]
    spills = [int(count) for count in re.findall(r"(\d+) bytes spill (?:stores|loads)", ptxas)]
    launch = next((found for line in passes if (found := _DYNAMIC.search(line))), None)
    kinds = sorted({f"{kind} {shape}" for kind, shape in _TENSOR.findall(ptx)})
    return Kernel(
        name=name,
        memory=int(launch[1]) if launch else None,
        limit=limit,
        registers=max(registers, default=None),
        spills=sum(spills) if spills else None,
        instruction=", ".join(kinds) or "none",
        constants=constant_factors(ptx),
    )


def constant_factors(ptx: str) -> int:
    """How many registers that matrix instructions read as a first factor are constants."""
    sources: dict[str, list[str]] = {}
    for instruction, register, given in _SET.findall(ptx):
        moved = given.strip("{}").split(", ") if instruction.startswith("mov.b") else ["%tid"]
        sources.setdefault(register, []).extend(moved)

    def constant(register: str, seen: frozenset[str]) -> bool:
        return register in sources and all(
            not source.startswith("%") or (source not in seen and constant(source, seen | {source}))
            for source in sources[register]
        )

    read = {name for group in _FACTORS.findall(ptx) for name in group.split(",")}
    return sum(constant(name, frozenset({name})) for name in read)
