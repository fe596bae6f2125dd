"""Training on several devices: one mesh axis over the examples of a batch."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

DATA_AXIS = "data"


def data_mesh(devices: list[jax.Device] | None = None) -> Mesh:
    """A mesh over `devices` (all of them by default) whose one axis splits the batch."""
    devices = devices or jax.devices()
    return jax.make_mesh((len(devices),), (DATA_AXIS,), (AxisType.Auto,), devices=devices)


def replicate(tree: Any, mesh: Mesh) -> Any:
    """The same tree whole on every device of the mesh."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def split_batch(batch: Any, mesh: Mesh) -> Any:
    """A batch with the first axis of every array split over the mesh's `data` axis.

    In a multi-process job `batch` holds this process's examples only.

    Raises:
        ValueError: the number of examples is not a multiple of the number of devices.
    """
    devices = mesh.shape[DATA_AXIS] // jax.process_count()

    def put(path: Any, leaf: Any) -> Any:
        shape = np.shape(leaf)
        if not shape:
            return jax.device_put(leaf, NamedSharding(mesh, PartitionSpec()))
        if shape[0] % devices:
            raise ValueError(
                f"batch{jax.tree_util.keystr(path)}: {shape[0]} examples cannot be split evenly "
                f"over {devices} devices; make batch_size a multiple of {devices}"
            )
        sharding = NamedSharding(mesh, PartitionSpec(DATA_AXIS))
        if jax.process_count() == 1:
            return jax.device_put(leaf, sharding)
        return jax.make_array_from_process_local_data(sharding, np.asarray(leaf))

    return jax.tree_util.tree_map_with_path(put, batch)
