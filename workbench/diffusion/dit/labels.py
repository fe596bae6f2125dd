"""Classes as a diffusion transformer reads them: by their numbers."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp

from workbench.diffusion.conditioning import Conditioned, in_turn


@dataclass(frozen=True)
class ClassLabels:
    """Numbers of classes; the one after the last means "no class"."""

    classes: int

    @property
    def length(self) -> int:
        """One number per picture."""
        return 1

    @property
    def width(self) -> int:
        """One number per picture."""
        return 1

    def for_seeds(
        self, seeds: tuple[int, ...], labels: tuple[int, ...] | None = None
    ) -> Conditioned:
        """The class of each seed's picture; without labels, classes take turns by seed.

        Raises:
            ValueError: a label that is no class.
        """
        chosen = in_turn(seeds, labels, self.classes)
        blank = jnp.full((len(seeds),), self.classes, jnp.int32)
        return Conditioned(jnp.asarray(chosen), blank, chosen)
