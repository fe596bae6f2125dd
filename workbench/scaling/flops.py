"""FLOPs of training, in every convention that is in use: side by side, never one for another.

A multiply-add counts 2, and training 3 times its forward pass. With width d, depth l, heads h, FFN
width f, vocabulary V and sequence s. At 10 to 300 M parameters the choice changes C threefold, and
with it a fitted exponent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Mixer = Literal["attention", "gla", "state"]

FLOPS = 6.0
"""Of one parameter and one token in training, as the `standard` and `total` conventions count."""

ROUNDS = 6
"""Of a division's fixed point: a token's cost changes by a few per cent where a size doubles."""

ABOUT: Mapping[str, str] = {
    "kaplan": "6 N without embedding and head (Kaplan et al. 2020)",
    "standard": "6 N with the head, without the embedding",
    "attention": "standard, and 6 s d l for the causal half of scores and values",
    "total": "6 N with everything (Hoffmann et al. 2022's fits)",
    "detailed": "every product, attention in full, the embedding as one (Hoffmann et al., app. F): "
    "3 / s [2sVd + l (6sd^2 + 2s^2d + 3hs^2 + 2s^2d + 2sd^2 + 4sdf) + 2sdV] for a plain decoder",
}


@dataclass(frozen=True)
class Shape:
    """A decoder, as far as FLOPs depend on it.

    Attributes:
        width, depth, heads, inner, vocabulary: d, l, h, f, V.
        gated: a feed-forward layer of three matrices.
        tied: the head is the embedding.
        mixer: `attention`; `gla` with a state of d_k x d_v a head; `state` for a number a channel.
        key, value: d_k and d_v of a head, for `gla`.
        chunk: tokens of a chunk, for `gla` in training.
    """

    width: int
    depth: int
    heads: int
    inner: int
    vocabulary: int
    gated: bool = False
    tied: bool = True
    mixer: Mixer = "attention"
    key: int = 0
    value: int = 0
    chunk: int = 64

    def __post_init__(self) -> None:
        for name in ("width", "depth", "heads", "inner", "vocabulary"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)!r}, not a number from 1")
        if self.mixer == "gla" and (self.key < 1 or self.value < 1):
            raise ValueError("a 'gla' mixer needs key and value, the sizes of a head's state")

    @property
    def feed_forward(self) -> int:
        """Weights of one layer's feed-forward part."""
        return (3 if self.gated else 2) * self.width * self.inner

    @property
    def body(self) -> int:
        """N without embedding and head: 4 d^2 a layer for a mixer's projections, and the FFN."""
        return self.depth * (4 * self.width**2 + self.feed_forward)

    @property
    def head(self) -> int:
        """Weights of the head, or of the embedding."""
        return self.width * self.vocabulary

    @property
    def total(self) -> int:
        """N with everything."""
        return self.body + self.head * (1 if self.tied else 2)


def per_token(shape: Shape, length: int) -> dict[str, float]:
    """FLOPs of training on one token of a row of `length`, by convention.

    `attention` and `detailed` count what the shape's mixer does in place of scores: a recurrent
    form has no term in the length.

    Args:
        shape: the model.
        length: tokens of a row.
    """
    softmax = 3.0 * shape.heads * length * shape.depth if shape.mixer == "attention" else 0.0
    return conventions(
        shape.body,
        shape.head,
        shape.total,
        causal=mixing(shape, length, causal=True),
        full=mixing(shape, length, causal=False) + softmax,
    )


def conventions(
    body: float, head: float, total: float, *, causal: float, full: float
) -> dict[str, float]:
    """FLOPs of training on one token, by convention, of any model whose weights are counted.

    Args:
        body: parameters without embedding and head.
        head: parameters of the head.
        total: all parameters.
        causal, full: forward FLOPs of mixing a token with the row's others, as far as it may see
            them, and as if it saw them all.
    """
    return {
        "kaplan": 6.0 * body,
        "standard": 6.0 * (body + head),
        "attention": 6.0 * (body + head) + 3 * causal,
        "total": 6.0 * total,
        "detailed": 3 * (2.0 * body + 4.0 * head + full),
    }


def training(shape: Shape, tokens: float, length: int) -> dict[str, float]:
    """FLOPs of training on so many tokens, by convention."""
    return {name: value * tokens for name, value in per_token(shape, length).items()}


def mixing(shape: Shape, length: int, *, causal: bool) -> float:
    """Forward FLOPs a token of what mixes tokens, beside its projections, in all layers.

    Attention: 4 s d for scores and values, half of it where only the causal part counts. Gated
    linear attention in chunks: 4 h d_k d_v for the update and the read, 2 h d_k d_v for the decay,
    2 c h (d_k + d_v) within a chunk. A state of one number a channel: 3 d.
    """
    if shape.mixer == "attention":
        return shape.depth * (2.0 if causal else 4.0) * length * shape.width
    if shape.mixer == "state":
        return shape.depth * 3.0 * shape.width
    state = 6.0 * shape.heads * shape.key * shape.value
    within = 2.0 * min(shape.chunk, length) * shape.heads * (shape.key + shape.value)
    return shape.depth * (state + within)


def forward_additions(weights: float, tokens: float) -> float:
    """Additions in place of the forward products of ternary weights: one a weight and token.

    Weights of 0 need none, which in expectation are a third. Every convention of FLOPs counts these
    products as if the weights were dense, as the authors of the MatMul-free LM do.

    Args:
        weights: of three values.
        tokens: seen.
    """
    return 1.0 * weights * tokens
