"""The devices that kernels are compiled for without being here, and what each has room for."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import jax
from jax.experimental import topologies

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


# Limits of a Hopper GPU that XLA's GpuTargetConfigProto asks for. Compute capability 9.0 with
# accelerated features is sm_90a, without which there is no wgmma.
_H200 = """
gpu_device_info {
  name: "H200"
  cuda_compute_capability { major: 9 feature_extension: ACCELERATED_FEATURES }
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
  core_count: 132
  fpus_per_core: 128
  clock_rate_ghz: 1.98
  memory_bandwidth: 4800000000000
  l2_cache_size: 52428800
  device_memory_size: 151397597184
  driver_version: "13.0.0"
  runtime_version: "13.0.0"
  compile_time_toolkit_version: "13.0.0"
  dnn_version: "9.12.0"
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 12 patch: 0 }
device_description_str: "H200"
"""

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
            source="CUDA C++ Programming Guide, technical specifications, compute capability 9.0",
            target_config=_H200,
        ),
    )
}
