"""The devices that kernels are compiled for without being here, and what each has room for."""

from __future__ import annotations

import functools
import string
from dataclasses import dataclass
from typing import Any

import jax
from jax.experimental import topologies

from kernels_pallas import dispatch
from kernels_pallas.report import finding
from kernels_pallas.report.case import Case

MIB = 1 << 20


@dataclass(frozen=True)
class Device:
    """A device as its compiler wants it described.

    Args:
        name: for people and `--device`.
        form: the Pallas form it runs.
        platform: as jax names it when compiling ("tpu", "cuda").
        kind: the device's own name, as `jax.Device.device_kind` gives it.
        topology: name of the smallest topology that holds one.
        memory: which memory a kernel's blocks live in.
        memory_limit: bytes of it that one kernel gets without asking for more.
        memory_most: bytes of it that one kernel can ask for.
        registers: most registers of 32 bits a thread can have; None where there is no such number.
        source: where the limits are from.
        target_config: XLA's description of a GPU, empty elsewhere.
    """

    name: str
    form: str
    platform: str
    kind: str
    topology: str
    memory: str
    memory_limit: int
    memory_most: int
    registers: int | None
    source: str
    target_config: str = ""

    def runs(self, case: Case) -> bool:
        """Whether the op of a case takes the case's form on this device."""
        target = dispatch.target_named(self.platform, self.kind)
        op = finding.ops().get(case.op)
        return target.pallas(op is not None and op.wgmma) == case.form

    @property
    def abstract(self) -> jax.sharding.AbstractDevice:
        """The device for an abstract mesh: what code traced under it asks about."""
        return jax.sharding.AbstractDevice(
            platform=self.platform, device_kind=self.kind, num_cores=1
        )

    @functools.cached_property
    def sharding(self) -> jax.sharding.SingleDeviceSharding:
        """Where the arguments live: one device of the topology, known to the compiler alone."""
        options: dict[str, Any] = {"topology_name": self.topology}
        if self.target_config:
            options = {"topology": self.topology, "target_config": self.target_config}
        found = topologies.get_topology_desc(platform=self.platform, **options)
        return jax.sharding.SingleDeviceSharding(found.devices[0])


# Limits of an NVIDIA GPU that XLA's GpuTargetConfigProto asks for, the same for Hopper and for
# Blackwell. Compute capability 9.0 with accelerated features is sm_90a, without which there is no
# wgmma; 10.0 with them is sm_100a.
_GPU = """
gpu_device_info {
  name: "$name"
  cuda_compute_capability { major: $major feature_extension: ACCELERATED_FEATURES }
  threads_per_warp: 32
  threads_per_block_limit: 1024
  threads_per_core_limit: 2048
  thread_dim_limit_x: 1024
  thread_dim_limit_y: 1024
  thread_dim_limit_z: 64
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  shared_memory_per_block: 49152
  shared_memory_per_block_optin: 232448
  shared_memory_per_core: 233472
  registers_per_block_limit: 65536
  registers_per_core_limit: 65536
  core_count: $cores
  fpus_per_core: 128
  clock_rate_ghz: $clock
  memory_bandwidth: $bandwidth
  l2_cache_size: $cache
  device_memory_size: $memory
  driver_version: "13.0.0"
  runtime_version: "13.0.0"
  compile_time_toolkit_version: "13.0.0"
  dnn_version: "9.12.0"
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 12 patch: 0 }
device_description_str: "$name"
"""


def _gpu(**known: object) -> str:
    """XLA's description of a GPU, with what is its own filled in."""
    return string.Template(_GPU).substitute(known)


_GUIDE = "CUDA C++ Programming Guide, technical specifications, compute capability"

_TPU = (
    "the compiler's own message for a kernel over the limit (E1001, CompileTimeScopedVmemOom);"
    " most: pltpu.get_tpu_info_for_chip"
)

DEVICES = {
    device.name: device
    for device in (
        Device(
            name="TPU v5e",
            form="mosaic_tpu",
            platform="tpu",
            kind="TPU v5 lite",
            topology="v5e:2x2",
            memory="VMEM",
            memory_limit=16 * MIB,
            memory_most=128 * MIB,
            registers=None,
            source=_TPU,
        ),
        Device(
            name="TPU v6e",
            form="mosaic_tpu",
            platform="tpu",
            kind="TPU v6 lite",
            topology="v6e:2x2",
            memory="VMEM",
            memory_limit=32 * MIB,
            memory_most=128 * MIB,
            registers=None,
            source=_TPU,
        ),
        Device(
            name="H200",
            form="mosaic_gpu",
            platform="cuda",
            kind="H200",
            topology="1x1x1",
            memory="shared memory",
            memory_limit=232_448,
            memory_most=232_448,
            registers=255,
            source=f"{_GUIDE} 9.0",
            target_config=_gpu(
                name="H200",
                major=9,
                cores=132,
                clock=1.98,
                bandwidth=4_800_000_000_000,
                cache=52_428_800,
                memory=151_397_597_184,
            ),
        ),
        Device(
            name="B200",
            form="mosaic_gpu",
            platform="cuda",
            kind="B200",
            topology="1x1x1",
            memory="shared memory",
            memory_limit=232_448,
            memory_most=232_448,
            registers=255,
            source=f"{_GUIDE} 10.0",
            target_config=_gpu(
                name="B200",
                major=10,
                cores=148,
                clock=1.965,
                bandwidth=7_672_320_000_000,
                cache=132_644_864,
                memory=191_514_411_008,
            ),
        ),
    )
}
