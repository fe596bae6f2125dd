"""What mixes tokens: the one interface of attention, recurrences and a mixer of one's own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

from flax import nnx
from jaxtyping import Array, Float, Int
from pydantic import BaseModel, ConfigDict

from workbench.language.linear import MakeLinear

State = Any
"""What a mixer keeps of the tokens so far: a pytree of arrays, the batch first in each."""


class Context(NamedTuple):
    """What a layer's mixer may look at beside its input.

    Attributes:
        segment_ids: whole numbers [B, T]; nothing passes from one segment to the next.
        lower_bound: the least forget gate of this layer [width], where the model learns one.
    """

    segment_ids: Int[Array, "B T"] | None = None
    lower_bound: Float[Array, " D"] | None = None


NO_CONTEXT = Context()
"""One text a row, and no lower bounds."""


class TokenMixer(nnx.Module):
    """Maps x [B, T, D] to y [B, T, D], where y_t depends on x_1 ... x_t alone."""

    def __call__(
        self, x: Float[Array, "B T D"], state: State = None, context: Context = NO_CONTEXT
    ) -> tuple[Float[Array, "B T D"], State]:
        """Mixes T tokens that follow those `state` has seen.

        Args:
            x: the layer's normed input.
            state: from `initial_state`, this or `step`; None for a text's beginning, of which no
                state is wanted (training).
            context: the model's.

        Returns:
            y, and the state after the last token (None where none was given).
        """
        raise NotImplementedError

    def initial_state(self, batch: int, length: int) -> State:
        """The state before the first token.

        Args:
            batch: rows.
            length: the most tokens there will be; a recurrence has no use for it.
        """
        raise NotImplementedError

    def step(
        self, x: Float[Array, "B D"], state: State, context: Context = NO_CONTEXT
    ) -> tuple[Float[Array, "B D"], State]:
        """One more token: `__call__` with T = 1, unless a mixer has a shorter way."""
        y, state = self(x[:, None], state, context)
        return y[:, 0], state


class MixerConfig(BaseModel, ABC):
    """The shape of a token mixer; its fields are the paper's, its name is `kind`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ClassVar[str]

    @property
    def bounded(self) -> bool:
        """Whether it takes a lower bound of its forget gate, which the model then learns."""
        return False

    @abstractmethod
    def build(
        self, width: int, layer: int, *, linear: MakeLinear, eps: float, dtype: Any, rngs: Any
    ) -> TokenMixer:
        """The mixer.

        Args:
            width: of the model.
            layer: its place, from 0.
            linear: makes the projections.
            eps: of norms.
            dtype: of products.
            rngs: seeds of the initial weights.

        Raises:
            ValueError: a width the mixer cannot have; names the field.
        """

    def state_bytes(self, width: int, length: int, cache_bytes: int = 4) -> int:
        """Bytes of one row's state in one layer after `length` tokens.

        Args:
            cache_bytes: of an element of a cache of keys and values.
        """
        raise NotImplementedError

    def macs(self, width: int, length: int) -> float:
        """Multiply-adds a token of mixing `length` tokens at once, projections left out."""
        raise NotImplementedError

    def token_macs(self, width: int, length: int) -> float:
        """Multiply-adds of one more token after `length` others, projections left out.

        Of a recurrence that reads its float32 state in one product, one for each number it keeps.
        """
        return self.state_bytes(width, length) / 4
