"""Prompts: texts as what attention reads, through the tokenizers and text encoders of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from workbench.diffusion.conditioning import Conditioned
from workbench.diffusion.text.tokens import Tokenizer
from workbench.progress import Report, silent

KEPT_TEXTS = 64


class TextContext(NamedTuple):
    """One text as a UNet reads it."""

    context: Float[Array, "T D"]
    pooled: Float[Array, " P"] | None


@dataclass(frozen=True, eq=False)
class TextConditioning:
    """Texts through one text encoder (Rombach et al. 2022, section 3.3), or through SDXL's two.

    One encoder gives its last hidden states. With two (Podell et al. 2023, section 2.1) the
    penultimate hidden states of both stand side by side, and the second's pooled text and the
    picture's sizes are added to the time embedding.

    Args:
        tokenizers: one for each encoder.
        encoders: `CLIPTextEncoder`s.
        zeros_for_empty: an empty negative prompt is all zeros instead of the encoding of "".
    """

    tokenizers: tuple[Tokenizer, ...]
    encoders: tuple[Any, ...]
    zeros_for_empty: bool = False
    _read: dict[str, TextContext] = field(default_factory=dict, repr=False)

    @property
    def length(self) -> int:
        """Tokens of each text."""
        return self.tokenizers[0].length

    @property
    def width(self) -> int:
        """Width of a token: the UNet's `cross_attention_dim`."""
        return sum(encoder.config.hidden_size for encoder in self.encoders)

    @property
    def pools(self) -> bool:
        """Whether pooled text and sizes are given beside the context."""
        return len(self.encoders) > 1

    @property
    def rules(self) -> list[Any]:
        """What turns a text into numbers besides the encoders' weights, as plain values."""
        return [self.zeros_for_empty, *(tokenizer.rules for tokenizer in self.tokenizers)]

    def for_seeds(
        self, seeds: tuple[int, ...], labels: tuple[int, ...] | None = None
    ) -> Conditioned:
        """Texts do not follow from seeds: always an error that says so."""
        raise ValueError("This model reads prompts: give inputs(seeds, prompts=...)")

    def for_texts(
        self,
        count: int,
        prompts: str | Sequence[str],
        negative: str | Sequence[str],
        size: tuple[int, int],
        report: Report = silent,
    ) -> Conditioned:
        """What attention reads for `count` pictures.

        Args:
            count: pictures.
            prompts: one text for all, or one each.
            negative: the same for what guidance moves away from.
            size: height and width of the picture in pixels, which SDXL is told.
            report: progress, a step for each distinct text.

        Raises:
            ValueError: another number of texts, or something that is no text.
        """
        asked = _one_each("Prompts", prompts, count)
        away = _one_each("Negative prompts", negative, count)
        order = list(dict.fromkeys((*asked, *away)))
        read: dict[str, TextContext] = {}
        for index, text in enumerate(order):
            report(index, len(order), "reading the text")
            read[text] = self._text(text)
        report(len(order), len(order), "reading the text")
        rows = [read[text] for text in asked]
        blanks = [self._blank(text, read[text]) for text in away]
        distinct = list(dict.fromkeys(asked))
        labels = np.array([distinct.index(text) for text in asked], dtype=np.int32)
        return Conditioned(
            jnp.stack([row.context for row in rows]),
            jnp.stack([row.context for row in blanks]),
            labels,
            self._added(rows, size),
            self._added(blanks, size),
        )

    def _text(self, text: str) -> TextContext:
        """One text, encoded if it was not lately; one at a time: one program serves every count."""
        if text not in self._read:
            while len(self._read) >= KEPT_TEXTS:
                del self._read[next(iter(self._read))]
            self._read[text] = self._encoded(text)
        return self._read[text]

    def _encoded(self, text: str) -> TextContext:
        found = [
            _encode(*nnx.split(encoder), jnp.asarray(tokenizer([text])))
            for tokenizer, encoder in zip(self.tokenizers, self.encoders, strict=True)
        ]
        if not self.pools:
            return TextContext(found[0].last[0], None)
        context = jnp.concatenate([features.penultimate for features in found], axis=-1)
        return TextContext(context[0], found[-1].pooled[0])

    def _blank(self, text: str, found: TextContext) -> TextContext:
        return jax.tree.map(jnp.zeros_like, found) if self.zeros_for_empty and not text else found

    def _added(self, rows: list[TextContext], size: tuple[int, int]) -> Any:
        """Pooled text with original size, crop corner and wanted size, all in pixels."""
        if not self.pools:
            return None
        from workbench.diffusion.unet.added import AddedConditions

        sizes = jnp.asarray([*size, 0, 0, *size], jnp.float32)
        pooled = jnp.stack([row.pooled for row in rows if row.pooled is not None])
        return AddedConditions(pooled, jnp.broadcast_to(sizes, (len(rows), 6)))


@partial(jax.jit, static_argnums=0)
def _encode(graph: Any, weights: Any, tokens: Array) -> Any:
    return nnx.merge(graph, weights)(tokens)


def _one_each(name: str, given: str | Sequence[str], count: int) -> list[str]:
    texts = [given] * count if isinstance(given, str) else list(given)
    wrong = [text for text in texts if not isinstance(text, str)]
    if wrong:
        raise ValueError(f"{name} must be texts. You gave {wrong[0]!r}")
    if len(texts) != count:
        raise ValueError(
            f"{name} must be one text for all, or one for each of the {count} seeds. "
            f"You gave {len(texts)}"
        )
    return texts
