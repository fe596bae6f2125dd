"""Training on several devices: a mesh axis over the examples of a batch, and one over weights."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

DATA_AXIS = "data"
SHARD_AXIS = "fsdp"


def data_mesh(devices: list[jax.Device] | None = None) -> Mesh:
    """A mesh over `devices` (all of them by default) whose one axis splits the batch."""
    devices = devices or jax.devices()
    return jax.make_mesh((len(devices),), (DATA_AXIS,), (AxisType.Auto,), devices=devices)


def sharded_mesh(shards: int | None = None, devices: list[jax.Device] | None = None) -> Mesh:
    """A mesh whose `fsdp` axis parts weights and moments, and whose axes together part the batch.

    Each matrix is kept in `shards` pieces and gathered where it is used (Rajbhandari et al. 2020,
    arXiv 1910.02054, stage 3); each of the other devices over `shards` groups holds the same.

    Args:
        shards: devices that share one copy of the weights; all of them when None.
        devices: all there are when None.

    Raises:
        ValueError: `shards` does not divide the number of devices.
    """
    devices = devices or jax.devices()
    shards = len(devices) if shards is None else shards
    if shards < 1 or len(devices) % shards:
        raise ValueError(f"shards={shards} must divide the number of devices, {len(devices)}")
    shape, axes = (len(devices) // shards, shards), (DATA_AXIS, SHARD_AXIS)
    return jax.make_mesh(shape, axes, (AxisType.Auto, AxisType.Auto), devices=devices)


def placement(shapes: Any, mesh: Mesh) -> Any:
    """Where each leaf lives: matrices in pieces along `fsdp` if there is one, all else whole.

    A matrix is cut along the longest of its axes that can be cut evenly.

    Args:
        shapes: a tree of arrays or shapes.
        mesh: from `data_mesh` or `sharded_mesh`.
    """
    shards = mesh.shape.get(SHARD_AXIS)

    def place(leaf: Any) -> NamedSharding:
        spec: list[str | None] = [None] * leaf.ndim
        if shards is None:
            return NamedSharding(mesh, PartitionSpec())
        even = [axis for axis in range(leaf.ndim) if leaf.shape[axis] % shards == 0]
        if leaf.ndim >= 2 and even:
            spec[max(even, key=lambda axis: leaf.shape[axis])] = SHARD_AXIS
        return NamedSharding(mesh, PartitionSpec(*spec))

    return jax.tree.map(place, shapes)


def parts_weights(mesh: Mesh | None) -> bool:
    """Whether weights are kept in pieces."""
    return mesh is not None and SHARD_AXIS in mesh.axis_names


def replicate(tree: Any, mesh: Mesh) -> Any:
    """The same tree whole on every device of the mesh."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def split_batch(batch: Any, mesh: Mesh) -> Any:
    """A batch with the first axis of every array split over all devices of the mesh.

    In a multi-process job `batch` holds this process's examples only.

    Raises:
        ValueError: the number of examples is not a multiple of the number of devices.
    """
    devices = mesh.size // jax.process_count()

    def put(path: Any, leaf: Any) -> Any:
        shape = np.shape(leaf)
        if not shape:
            return jax.device_put(leaf, NamedSharding(mesh, PartitionSpec()))
        if shape[0] % devices:
            raise ValueError(
                f"batch{jax.tree_util.keystr(path)}: {shape[0]} examples cannot be split evenly "
                f"over {devices} devices; make batch_size a multiple of {devices}"
            )
        sharding = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
        if jax.process_count() == 1:
            return jax.device_put(leaf, sharding)
        return jax.make_array_from_process_local_data(sharding, np.asarray(leaf))

    return jax.tree_util.tree_map_with_path(put, batch)
