"""One text, token by token."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np
from jaxtyping import Int

from workbench.language.generation.batcher import Batcher, tokens_of
from workbench.language.generation.programs import LanguageModel
from workbench.language.generation.request import Report, Request
from workbench.language.generation.sampling import GREEDY, Sampling

LEAST_ROOM = 256
"""Rooms are this times a power of two, so that texts of like lengths share their programs."""


class Writer(Iterator[int]):
    """The tokens of one text, each written when it is asked for.

    Args:
        batcher: of one row.
        request: the text, submitted to it.
    """

    def __init__(self, batcher: Batcher, request: Request):
        self._batcher, self._request = batcher, request

    def __next__(self) -> int:
        while self._batcher.busy:
            for _, token in self._batcher.step():
                return token
        raise StopIteration

    def report(self) -> Report:
        """Time to the first token, tokens a second and bytes of state so far."""
        return self._request.report()


def generate(
    model: LanguageModel,
    prompt: Sequence[int] | Int[np.ndarray, " N"],
    *,
    steps: int,
    sampling: Sampling = GREEDY,
    seed: int = 0,
    stop: Collection[int] | None = None,
    length: int | None = None,
) -> Writer:
    """Writes a text after a prompt, one token whenever one is asked for.

    Args:
        model: with its weights; one with a cache and one with a constant state are written alike.
        prompt: tokens before it, at least one.
        steps: tokens to write at most.
        sampling, seed: how they are drawn; the same seed draws the same text.
        stop: tokens that end it, and are not given; the model's own end of text when None.
        length: tokens to have room for; just more than there will be when None. Texts with equal
            room share their compiled programs.

    Raises:
        ValueError: before anything runs: more tokens than the model's limit or the room, no prompt,
            or a token that is none of the model's.
    """
    ids = tokens_of(model, prompt)
    needed = len(ids) + steps
    limit = model.config.max_position_embeddings
    if limit is not None and needed > limit:
        raise ValueError(
            f"{len(ids)} tokens of prompt and steps={steps} are {needed}; this model has "
            f"max_position_embeddings={limit}"
        )
    batcher = Batcher(model, slots=1, length=length or room(needed, limit))
    request = batcher.submit(ids, steps=steps, sampling=sampling, seed=seed, stop=stop)
    return Writer(batcher, request)


def room(tokens: int, limit: int | None) -> int:
    """Room for so many tokens, and not beyond a limit."""
    found = LEAST_ROOM
    while found < tokens:
        found *= 2
    return found if limit is None else min(found, limit)
