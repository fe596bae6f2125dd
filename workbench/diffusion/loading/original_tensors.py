"""A single file seen under a folder's names: nothing is copied, a tensor is read when asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from workbench.checkpoints import CheckpointError, Tensors
from workbench.diffusion.loading.original_names import Origin


class OriginalTensors(Mapping[str, np.ndarray]):
    """Tensors under the names of a model, each read from its place in another layout.

    Args:
        source: the file.
        origins: place by name.
        shapes: shape by name, as the model wants them; axes of one are added or dropped to fit.

    Raises:
        CheckpointError: a tensor that is not there, or of another size; names the first.
    """

    def __init__(
        self, source: Tensors, origins: Mapping[str, Origin], shapes: Mapping[str, tuple[int, ...]]
    ) -> None:
        self._source, self._origins = source, dict(origins)
        self.shapes = {name: tuple(shape) for name, shape in shapes.items()}
        for name, origin in self._origins.items():
            self._check(name, origin)

    def __getitem__(self, name: str) -> np.ndarray:
        origin, shape = self._origins[name], self.shapes[name]
        array = self._source[origin.name]
        if origin.third is not None:
            rows = array.shape[0] // 3
            array = array[origin.third * rows : (origin.third + 1) * rows]
        if origin.transposed:
            array = array.T
        return np.ascontiguousarray(array).reshape(shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._origins)

    def __len__(self) -> int:
        return len(self._origins)

    def _check(self, name: str, origin: Origin) -> None:
        found = self._source.shapes.get(origin.name)
        if found is None:
            raise CheckpointError(f"{origin.name} is missing, which is {name} of the model")
        if origin.third is not None:
            found = (found[0] // 3, *found[1:])
        if origin.transposed:
            found = found[::-1]
        # A product's weight may stand there as a 1x1 convolution's.
        if _plain(found) != _plain(self.shapes[name]):
            raise CheckpointError(
                f"{origin.name} has shape {found}; {name} of the model needs {self.shapes[name]}"
            )


def _plain(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[:2] if len(shape) == 4 and shape[2:] == (1, 1) else shape
