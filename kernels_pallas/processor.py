"""Which instructions this machine's processor has: the class that measured times are kept under."""

from __future__ import annotations

import functools
import platform
from collections.abc import Mapping
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")

CLASSES = {"AVX-512": "avx512f", "AVX2": "avx2"}
"""Classes that are told apart, the widest vectors first, and the flag that shows each."""

_MORE = {
    "VNNI": {"avx512_vnni", "avx_vnni"},
    "bf16": {"avx512_bf16", "bf16"},
    "vpopcnt": {"avx512_vpopcntdq"},
    "AMX": {"amx_tile"},
}


@functools.cache
def processor() -> str:
    """This machine's class: one of `CLASSES`, else the name of its architecture ("arm64")."""
    return class_of(_flags(CPUINFO))


def class_of(flags: frozenset[str]) -> str:
    """The class of a processor with these flags."""
    known = (name for name, flag in CLASSES.items() if flag in flags)
    return next(known, platform.machine() or "unknown")


def instructions(cpuinfo: Path = CPUINFO) -> str:
    """The class and what the processor has beside it: "AVX-512, VNNI, bf16, vpopcnt"."""
    flags = _flags(cpuinfo)
    return ", ".join([class_of(flags), *(name for name, any_of in _MORE.items() if any_of & flags)])


def model(cpuinfo: Path = CPUINFO) -> str:
    """What tells processors of one name apart: "family 25, model 17, stepping 1"; may be empty."""
    fields = _fields(cpuinfo)
    named = {"family": "cpu family", "model": "model", "stepping": "stepping"}
    return ", ".join(f"{word} {fields[name]}" for word, name in named.items() if name in fields)


def _flags(cpuinfo: Path) -> frozenset[str]:
    fields = _fields(cpuinfo)
    return frozenset((fields.get("flags") or fields.get("Features") or "").split())


def _fields(cpuinfo: Path) -> Mapping[str, str]:
    """Those of the first processor; none where the system does not tell."""
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}
