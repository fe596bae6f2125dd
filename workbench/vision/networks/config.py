"""What all networks' tables share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from flax import nnx
from pydantic import BaseModel, ConfigDict, Field

from workbench.vision.activations import Activation
from workbench.vision.preprocessing import Preprocessing

if TYPE_CHECKING:
    from workbench.vision.blocks.row import Row
    from workbench.vision.networks.convnet import ConvNet

OWN = "own"
"""The name of a network that has none."""


class NetworkConfig(BaseModel, ABC):
    """A network as a table.

    Args:
        architecture: the name it goes by.
        num_classes: logits.
        in_chans: channels of a picture.
        drop_path: probability by which training leaves the last block out; the first is kept, and
            those between follow a line. Ours where timm counts otherwise.
        activation: of the stem, the head and rows that name none.
        norm_eps: ε of its norms.
        preprocessing: how pictures are prepared.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    architecture: str = OWN
    num_classes: int = Field(1000, ge=1)
    in_chans: int = Field(3, ge=1)
    drop_path: float = Field(0.0, ge=0, lt=1)
    activation: Activation
    norm_eps: float = Field(1e-5, gt=0)
    preprocessing: Preprocessing = Preprocessing()

    @abstractmethod
    def rows(self) -> Iterator[Row]:
        """All rows, from the first stage to the last."""

    @abstractmethod
    def with_rows(self, rows: list[Any]) -> NetworkConfig:
        """The same network with other rows, as many as `rows()` gives."""

    @abstractmethod
    def build(self, *, dtype: Any, rngs: nnx.Rngs) -> ConvNet:
        """The network with fresh weights."""

    @property
    def multiple(self) -> int:
        """Height and width of a picture must be multiples of this."""
        return 1

    @property
    def block_count(self) -> int:
        """Blocks of all rows."""
        return sum(row.repeats for row in self.rows())

    def record(self) -> dict[str, Any]:
        """The table as JSON holds it."""
        return self.model_dump(mode="json")
