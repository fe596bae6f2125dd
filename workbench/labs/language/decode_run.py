"""Models that write in turns, a token each, and what was measured of each meanwhile."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench.labs.language.decode_form import Writing
from workbench.progress import Report

if TYPE_CHECKING:
    from workbench.labs.language.shelf import Shelf

WINDOW = 16
"""Tokens over which a rate is a mean."""


@dataclass
class Written:
    """What one model wrote, and when.

    Attributes:
        ids: tokens written.
        seconds: time of each token; the first holds the prompt.
        weights, state: bytes held while it wrote.
        prompt: tokens of the prompt.
        room: tokens that state has room for.
    """

    name: str
    text: str = ""
    ids: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    weights: int = 0
    state: int = 0
    prompt: int = 0
    room: int = 0

    @property
    def first(self) -> float | None:
        """Time to the first token [s]."""
        return self.seconds[0] if self.seconds else None

    @property
    def rate(self) -> float | None:
        """Tokens a second after the first."""
        later = self.seconds[1:]
        return len(later) / sum(later) if later else None

    def rates(self) -> list[tuple[int, float]]:
        """Tokens so far, prompt included, and tokens a second over the last few."""
        later = self.seconds[1:]
        return [
            (self.prompt + 1 + end, WINDOW / sum(later[end - WINDOW : end]))
            for end in range(WINDOW, len(later) + 1, WINDOW)
        ]


def decode(
    shelf: Shelf, names: Sequence[str], knobs: Writing, report: Report
) -> Iterator[list[Written]]:
    """The models write in turns, so that both meet the same machine; a token of each per turn.

    What each compiles is compiled before: two tokens are written and thrown away.

    Yields:
        What has been written so far, after every turn.

    Raises:
        ValueError: a prompt without tokens, or more text than a model's limit.
    """
    found = [Written(name) for name in names]
    streams = []
    for place, one in enumerate(found):
        report(place, len(found), f"Reading {one.name}")
        streams.append(_stream(shelf, one, knobs, report, place / len(found)))
    for turn in range(knobs.tokens):
        report(turn, knobs.tokens, f"Writing, token {turn + 1}")
        for one, (stream, tokenizer) in zip(found, streams, strict=True):
            begin = time.perf_counter()
            token = next(stream, None)
            if token is None:
                continue
            one.seconds.append(time.perf_counter() - begin)
            one.ids.append(int(token))
            one.text = tokenizer.decode(one.ids)
        yield found
        if all(len(one.ids) <= turn for one in found):
            return  # every model has ended its text


def _stream(
    shelf: Shelf, one: Written, knobs: Writing, report: Report, share: float
) -> tuple[Iterator[int], Any]:
    import jax
    from flax import nnx

    from workbench.language.generation import Sampling, generate

    model, tokenizer = shelf.model(one.name)
    ids = tokenizer.encode(knobs.prompt)
    if not len(ids):
        raise ValueError("prompt: there is no token to go on from; write at least one character")
    sampling = Sampling(
        temperature=knobs.temperature,
        top_k=knobs.top_k or None,
        top_p=knobs.top_p if knobs.top_p < 1 else None,
    )
    one.prompt, one.room = len(ids), len(ids) + knobs.tokens
    one.weights = sum(leaf.nbytes for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))
    report(round(1000 * share), 1000, f"Compiling {one.name}")
    begin = functools.partial(
        generate, model, ids,
        steps=knobs.tokens, sampling=sampling, seed=knobs.seed, length=one.room,
    )  # fmt: skip
    for _ in zip(range(2), begin(), strict=False):
        pass
    writer = begin()
    one.state = writer.report().state_bytes
    return writer, tokenizer
