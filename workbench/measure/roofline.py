"""The roofline: what a device allows at best for given arithmetic and traffic.

seconds = max(flops / peak, bytes / bandwidth) + launch (Williams et al. 2009).
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from workbench.measure.cost import Cost
from workbench.progress import Report

if TYPE_CHECKING:
    from workbench.measure.device import Device


@dataclass(frozen=True)
class Peaks:
    """Peak rates of a device. Edit a copy: ``H200.replace(bytes_per_s=4.8e12)``.

    Attributes:
        name: the device.
        flops_per_s: dtype → dense peak [flop/s]; one multiply-accumulate is two.
        bytes_per_s: peak rate of main memory [B/s].
        source: where the figures come from.
        launch: fixed time of one call [s].

    Raises:
        ValueError: for a rate that is not positive, or no dtype.
    """

    name: str
    flops_per_s: Mapping[str, float]
    bytes_per_s: float
    source: str
    launch: float = 0.0

    def __post_init__(self) -> None:
        if not self.flops_per_s:
            raise ValueError(f"flops_per_s of {self.name} is empty; give at least one dtype")
        rates = {f"flops_per_s[{dtype}]": rate for dtype, rate in self.flops_per_s.items()}
        for field, rate in {**rates, "bytes_per_s": self.bytes_per_s}.items():
            if not rate > 0:
                raise ValueError(f"{field} of {self.name} is {rate}; a rate is above 0")
        if not self.launch >= 0:
            raise ValueError(f"launch of {self.name} is {self.launch} s; it must be 0 or more")

    def flops(self, dtype: str) -> float:
        """Peak for one dtype [flop/s].

        Raises:
            ValueError: where the table has no figure for it; none is made up.
        """
        if dtype not in self.flops_per_s:
            known = ", ".join(sorted(self.flops_per_s))
            raise ValueError(f"{self.name} has no peak for {dtype!r}, only {known}; add it")
        return self.flops_per_s[dtype]

    def ridge(self, dtype: str) -> float:
        """Arithmetic intensity above which arithmetic, not memory, is the limit [flop/B]."""
        return self.flops(dtype) / self.bytes_per_s

    def replace(self, **changes: Any) -> Peaks:
        """The same peaks with some fields changed."""
        return dataclasses.replace(self, **changes)

    def label(self, dtype: str) -> str:
        """One line for a table: the two rates and where they come from."""
        flops, moved = self.flops(dtype) / 1e9, self.bytes_per_s / 1e9
        return f"{self.name}: {flops:.4g} Gflop/s ({dtype}), {moved:.3g} GB/s; {self.source}"


H200 = Peaks(
    "NVIDIA H200 SXM",
    {"float64": 67e12, "float32": 67e12, "tfloat32": 494.7e12, "bfloat16": 989.4e12,
     "float16": 989.4e12, "float8": 1978.9e12, "int8": 1978.9e12},
    4.8e12,
    "NVIDIA H200 data sheet, dense tensor-core rates",
)  # fmt: skip
H100 = Peaks(
    "NVIDIA H100 SXM",
    dict(H200.flops_per_s),
    3.35e12,
    "NVIDIA H100 data sheet, dense tensor-core rates",
)
RTX3090 = Peaks(
    "NVIDIA GeForce RTX 3090",
    {"float32": 35.6e12, "tfloat32": 35.6e12, "bfloat16": 71.2e12, "float16": 71.2e12,
     "int8": 284.7e12},
    936.2e9,
    "NVIDIA GA102 white paper, dense tensor-core rates with float32 accumulation",
)  # fmt: skip
TPU_V5E = Peaks(
    "TPU v5e",
    {"bfloat16": 197e12, "int8": 394e12},
    0.82e12,
    "jax.experimental.pallas.tpu.get_tpu_info_for_chip",
)
TPU_V6E = Peaks(
    "TPU v6e",
    {"bfloat16": 920e12, "int8": 1840e12},
    1.64e12,
    "jax.experimental.pallas.tpu.get_tpu_info_for_chip",
)

PEAKS: dict[str, Peaks] = {
    "h200": H200,
    "h100": H100,
    "rtx3090": RTX3090,
    "tpu-v5e": TPU_V5E,
    "tpu-v6e": TPU_V6E,
}


@dataclass(frozen=True)
class Roofline:
    """The least time a device needs for some work, and what sets it.

    Attributes:
        seconds: attainable time [s]; a lower bound, always modelled.
        compute_seconds, memory_seconds: its two sides [s].
        bound: "compute" or "memory", whichever takes longer ("launch" where the fixed time of a
            call is longer than both).
        intensity: flop per byte of the work (infinite where no byte is moved).
        ridge: flop per byte where the two sides are equal.
        efficiency: attainable over measured latency, None where the cost has no latency.
    """

    seconds: float
    compute_seconds: float
    memory_seconds: float
    bound: Literal["compute", "memory", "launch"]
    intensity: float
    ridge: float
    efficiency: float | None


def roofline(cost: Cost, peaks: Peaks, dtype: str = "float32") -> Roofline:
    """What ``peaks`` allow at best for the arithmetic and traffic of ``cost``.

    Raises:
        ValueError: where the cost does not know its MACs or bytes, or the peaks not the dtype.
    """
    for name in ("macs", "bytes_moved"):
        if getattr(cost, name) is None:
            raise ValueError(
                f"{name} of the cost is not known; a roofline needs macs and bytes_moved"
            )
    assert cost.macs is not None and cost.bytes_moved is not None
    compute, memory = 2 * cost.macs / peaks.flops(dtype), cost.bytes_moved / peaks.bytes_per_s
    seconds = max(compute, memory) + peaks.launch
    bound: Literal["compute", "memory", "launch"] = "compute" if compute >= memory else "memory"
    if peaks.launch > max(compute, memory):
        bound = "launch"
    return Roofline(
        seconds=seconds,
        compute_seconds=compute,
        memory_seconds=memory,
        bound=bound,
        intensity=2 * cost.macs / cost.bytes_moved if cost.bytes_moved else float("inf"),
        ridge=peaks.ridge(dtype),
        efficiency=seconds / cost.latency if cost.latency else None,
    )


def kept(
    dtype: str = "float32",
    *,
    gemm_size: int | None = None,
    copy_bytes: int | None = None,
    store: Path | None = None,
) -> Peaks | None:
    """What :func:`measured` with these arguments has kept for this device; None where nothing."""
    file, key, *_ = _place(dtype, gemm_size, copy_bytes, store)
    found = _read(file).get(key)
    return None if found is None else Peaks(**found)


def measured(
    dtype: str = "float32",
    *,
    gemm_size: int | None = None,
    copy_bytes: int | None = None,
    repeats: int = 5,
    store: Path | None = None,
    again: bool = False,
    report: Report | None = None,
) -> Peaks:
    """Peaks of the device jax uses now: the best of some matrix products and stream copies.

    The answer is kept in ``store`` by device, threads, jax version and dtype, with its date in
    ``source``. Takes a few seconds the first time.

    Args:
        dtype: floating type of the product.
        gemm_size: edge of the square product; 2048 on CPU, 8192 else.
        copy_bytes: bytes of the copied array; 256 MiB on CPU, 1 GiB else (well above any cache).
        repeats: times each is run; the fastest counts.
        store: JSON file to keep answers in; ``peaks.json`` in the workbench's home when None.
        again: measure even where an answer is kept.
        report: see :func:`workbench.measure.timing.interleaved`.
    """
    known = kept(dtype, gemm_size=gemm_size, copy_bytes=copy_bytes, store=store)
    if known is not None and not again:
        return known
    file, key, here, size, copied = _place(dtype, gemm_size, copy_bytes, store)
    flops_per_s, bytes_per_s = _measure(dtype, size, copied, repeats, report)
    today = datetime.date.today().isoformat()
    how = f"product of {size}³, copy of {_size(copied)}, best of {repeats}"
    found: dict[str, Any] = {
        "name": here.name if here.kind != "CPU" else f"{here.name}, {here.threads} threads",
        "flops_per_s": {dtype: flops_per_s},
        "bytes_per_s": bytes_per_s,
        "source": f"measured {today}: {how}",
    }
    _write(file, {**_read(file), key: found})
    return Peaks(**found)


def _place(
    dtype: str, gemm_size: int | None, copy_bytes: int | None, store: Path | None
) -> tuple[Path, str, Device, int, int]:
    """File and key of an answer, the device, and the sizes of product and copy."""
    from workbench.home import home
    from workbench.measure import device

    here = device.describe(dtype)
    on_cpu = here.kind == "CPU"
    size = gemm_size or (2048 if on_cpu else 8192)
    copied = copy_bytes or ((256 << 20) if on_cpu else (1 << 30))
    file = home() / "peaks.json" if store is None else store
    return file, f"{here.name} · {here.label()} · gemm {size} · copy {copied}", here, size, copied


def _size(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count} B"


def _measure(
    dtype: str, size: int, copied: int, repeats: int, report: Report | None
) -> tuple[float, float]:
    import jax
    import jax.numpy as jnp

    from workbench.measure.timing import interleaved

    # Random values: power and clocks of an accelerator depend on them.
    square = jax.random.normal(jax.random.key(0), (size, size), jnp.dtype(dtype))
    stream = jnp.ones(copied // 4, jnp.float32)
    product = jax.jit(lambda a: a @ a)
    shift = jax.jit(lambda a: a + 1.0)
    timed = interleaved(
        {"product": lambda: product(square), "copy": lambda: shift(stream)},
        repeats=max(2, repeats),
        report=report,
    )
    return 2 * size**3 / timed["product"].low, 2 * stream.nbytes / timed["copy"].low


def _read(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _write(file: Path, answers: dict[str, Any]) -> None:
    """Replaces the file whole. A store that cannot be written costs a new measurement, no more."""
    part = file.with_suffix(f".{time.monotonic_ns()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(answers, indent=1, ensure_ascii=False), encoding="utf-8")
        part.replace(file)
    except OSError:
        part.unlink(missing_ok=True)
