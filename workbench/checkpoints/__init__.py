"""Weights on disk: safetensors files, whole or sharded, read lazily and written atomically.

Plain numpy: nothing here imports jax, and nothing here ever unpickles.
"""

from workbench.checkpoints.difference import write_difference
from workbench.checkpoints.errors import CheckpointError
from workbench.checkpoints.layout import variants
from workbench.checkpoints.matching import match, require_finite
from workbench.checkpoints.reading import open_tensors, read_tensors, tensor_shapes
from workbench.checkpoints.tensors import Tensors
from workbench.checkpoints.writing import remove_tensors, replace_text, write_tensors

__all__ = [
    "CheckpointError",
    "Tensors",
    "match",
    "open_tensors",
    "read_tensors",
    "remove_tensors",
    "replace_text",
    "require_finite",
    "tensor_shapes",
    "variants",
    "write_difference",
    "write_tensors",
]
