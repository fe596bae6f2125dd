"""Names and axes of tensors in a file, from the paths of a model's parameters.

Module attributes carry the format's own names, so a key is the path to a parameter with the leaf
renamed, and a tensor is the parameter with its axes turned.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from flax import nnx

from workbench.checkpoints import CheckpointError
from workbench.model_files.precision import Int8Kernel

Path = tuple[Any, ...]
"""Attribute names and indices from a model to a variable."""
Shape = tuple[int, ...]

_LEAF = {"kernel": "weight", "scale": "weight", "embedding": "weight"}
# Axes of the file's tensor from ours, for kernels: a product's is transposed, a convolution's is
# HWIO (along time: TIO) here and OIHW (OIT) there; several of one place (EHWIO) are EOIHW there.
_TO_FILE = {2: (1, 0), 3: (2, 1, 0), 4: (3, 2, 0, 1), 5: (0, 4, 3, 1, 2)}
_FROM_FILE = {2: (1, 0), 3: (2, 1, 0), 4: (2, 3, 1, 0), 5: (0, 3, 4, 2, 1)}


def variables(model: Any) -> list[tuple[Path, Any]]:
    """Path and value of every parameter and running statistic, in the order of `nnx.split`."""
    kinds = (nnx.Param, nnx.BatchStat)
    found, _ = jax.tree_util.tree_flatten_with_path(nnx.state(model, kinds))
    return [(names(path), leaf) for path, leaf in found]


def names(path: tuple[Any, ...]) -> Path:
    """A path of jax's without its last step, which is into the variable itself."""
    return tuple(step.key for step in path[:-1])


def key(path: Path) -> str:
    """The file's name for a parameter."""
    *owner, leaf = (str(step) for step in path)
    return ".".join([*owner, _LEAF.get(leaf, leaf)])


def file_axes(path: Path, rank: int) -> tuple[int, ...]:
    """Axes of the parameter in the file's order."""
    return _TO_FILE[rank] if path[-1] == "kernel" else tuple(range(rank))


def file_shapes(model: Any) -> dict[str, Shape]:
    """Key and shape of every tensor in the file of this model, which is not in int8."""
    return {
        key(path): tuple(leaf.shape[axis] for axis in file_axes(path, len(leaf.shape)))
        for path, leaf in variables(model)
    }


def from_file(path: Path, tensor: np.ndarray) -> np.ndarray:
    """A file's tensor as the parameter holds it: a view, its axes turned."""
    return tensor.transpose(_FROM_FILE[tensor.ndim]) if path[-1] == "kernel" else tensor


def _contiguous(array: np.ndarray) -> np.ndarray:
    """In one piece; numpy's own function gives a lone number an axis."""
    return np.ascontiguousarray(array).reshape(array.shape)


class Renamed(Mapping[str, np.ndarray]):
    """Tensors under other names, and with the shapes a model wants; still read one at a time.

    A 1x1 convolution and a product are the same map: a file may hold one for the other.

    Args:
        tensors: by the file's names; with `shapes` where they can be known without reading.
        rename: the model's key for a file's name; None for a tensor that is not a weight.
        wanted: shape by the model's key.

    Raises:
        CheckpointError: two tensors with one meaning.
    """

    def __init__(
        self,
        tensors: Mapping[str, Any],
        rename: Callable[[str], str | None],
        wanted: Mapping[str, Shape],
    ):
        found: dict[str, Shape] = getattr(tensors, "shapes", None) or {
            name: tuple(np.shape(tensors[name])) for name in tensors
        }
        self._tensors, self._wanted = tensors, wanted
        self._names: dict[str, str] = {}
        self.shapes: dict[str, Shape] = {}
        for name, shape in found.items():
            ours = rename(name)
            if ours is None:
                continue
            if ours in self._names:
                raise CheckpointError(f"{self._names[ours]} and {name} both stand for {ours}")
            self._names[ours] = name
            self.shapes[ours] = self._wanted[ours] if self._same(ours, shape) else shape

    def _same(self, name: str, shape: Shape) -> bool:
        wanted = self._wanted.get(name)
        return wanted is not None and ((*shape, 1, 1) == wanted or shape == (*wanted, 1, 1))

    def __getitem__(self, name: str) -> np.ndarray:
        tensor = np.asarray(self._tensors[self._names[name]])
        return tensor.reshape(self._wanted[name]) if self._same(name, tensor.shape) else tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class Turned:
    """A parameter as the file holds it, turned only when it is written.

    Args:
        value: an array, or an int8 kernel, which is written as floats.
        shape: of the parameter.
        dtype: to write.
        axes: of the parameter, in the file's order.
    """

    def __init__(self, value: Any, shape: Shape, dtype: Any, axes: tuple[int, ...]):
        self._value, self._axes = value, axes
        self.shape = tuple(shape[axis] for axis in axes)
        self.dtype = np.dtype(dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole = self._value[...] if isinstance(self._value, Int8Kernel) else self._value
        return _contiguous(np.asarray(whole, dtype).transpose(self._axes))
