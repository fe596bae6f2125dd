"""Continuous batching (Yu et al. 2022, "Orca", section 4.1): texts join and leave between steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from workbench.language.generation import programs
from workbench.language.generation.programs import LanguageModel
from workbench.language.generation.request import Request
from workbench.language.generation.sampling import GREEDY, Draws, Sampling
from workbench.language.mixing import State

PIECES = (256, 32)
"""Lengths in which prompts are read; what is left of one is read a token at a time."""
SEEDS = 2**32


class Batcher:
    """Writes several texts at once in rows of one batch, each as it would be written alone.

    The rows are fixed, so that one program serves all steps. A prompt is read in pieces, one before
    each step of the others, and then takes a row.

    Args:
        model: with its weights.
        slots: rows.
        length: the most tokens a text may have, its prompt included.

    Raises:
        ValueError: a length beyond the model's limit.
    """

    def __init__(self, model: LanguageModel, *, slots: int = 8, length: int):
        if slots < 1:
            raise ValueError(f"slots={slots}; needed at least one")
        self.model, self.length = model, length
        self.rows: list[Request | None] = [None] * slots
        self._structure, self._weights = programs.parts(model)
        one = jax.eval_shape(lambda: self._begun(1))
        self.state_bytes = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(one))
        self._states: State = None if slots == 1 else self._begun(slots)
        self._waiting: deque[Request] = deque()
        self._joining: tuple[Request, int, State] | None = None

    def submit(
        self,
        prompt: Sequence[int] | Int[np.ndarray, " N"],
        *,
        steps: int,
        sampling: Sampling = GREEDY,
        seed: int = 0,
        stop: Collection[int] | None = None,
    ) -> Request:
        """Asks for a text; it begins when a row is free.

        Args:
            prompt: tokens before it, at least one.
            steps: tokens to write at most.
            sampling, seed: how they are drawn; the same seed draws the same text.
            stop: tokens that end it; the model's own end of text when None.

        Raises:
            ValueError: no prompt, a token that is none of the model's, more tokens than there is
                room for, or a seed that is none.
        """
        if steps < 1:
            raise ValueError(f"steps={steps}; needed at least one token to write")
        if not 0 <= seed < SEEDS:
            raise ValueError(f"seed={seed}; needed a whole number from 0 to {SEEDS - 1}")
        ids = tokens_of(self.model, prompt)
        if len(ids) + steps > self.length:
            raise ValueError(
                f"{len(ids)} tokens of prompt and steps={steps} are {len(ids) + steps}; "
                f"there is room for length={self.length}"
            )
        ends = ends_of(self.model) if stop is None else frozenset(stop)
        request = Request(ids, steps, sampling, seed, ends, self.state_bytes)
        self._waiting.append(request)
        return request

    def cancel(self, request: Request) -> None:
        """Ends a text where it is; its row is free for another."""
        if not request.ending:
            request.ending = "cancelled"
            self._leave()

    @property
    def busy(self) -> bool:
        """Whether a text is being written, or waits."""
        return bool(self._waiting or self._joining or any(self.rows))

    def step(self) -> list[tuple[Request, int]]:
        """Reads a piece of the text that joins, and writes a token in every row.

        Returns:
            The new tokens, each with its text. Some steps have none.
        """
        self._join()
        if not any(self.rows):
            return []
        rows = [(r.sampling, r.seed, len(r.tokens)) if r else (GREEDY, 0, 0) for r in self.rows]
        tokens = np.array([r.next_token if r else 0 for r in self.rows], np.int32)
        found, self._states = programs.write(
            self._structure, self._weights, tokens, self._states, Draws.of(rows)
        )
        new = [
            (request, token)
            for request, token in zip(self.rows, np.asarray(found).tolist(), strict=True)
            if request is not None and request.take(token)
        ]
        self._leave()
        return new

    def __iter__(self) -> Iterator[tuple[Request, int]]:
        """New tokens with their texts, until all that was asked for is written."""
        while self.busy:
            yield from self.step()

    def _begun(self, batch: int) -> State:
        return programs.begun(self._structure, self._weights, batch=batch, length=self.length)

    def _leave(self) -> None:
        """Frees the places of texts that ended."""
        self.rows = [None if r is None or r.ending else r for r in self.rows]
        self._waiting = deque(r for r in self._waiting if not r.ending)
        if self._joining is not None and self._joining[0].ending:
            self._joining = None

    def _join(self) -> None:
        """Reads one piece of the first text that waits, and seats it once only tokens are left."""
        if self._joining is None:
            if not self._waiting or None not in self.rows:
                return
            row = self.rows.index(None)
            self._joining = (self._waiting.popleft(), row, self._begun(1))
        request, row, states = self._joining
        left = len(request.prompt) - 1 - request.read  # the last token is what a step reads
        piece = next((size for size in PIECES if size <= left), 0)
        if piece:
            tokens = request.prompt[None, request.read : request.read + piece]
            states = programs.read(self._structure, self._weights, tokens, states)
            request.read += piece
            left -= piece
        self._joining = (request, row, states)
        if left < min(PIECES):
            self._seat(request, row, states)

    def _seat(self, request: Request, row: int, states: State) -> None:
        if len(self.rows) == 1:
            self._states = states
        else:
            assert self._states is not None
            self._states = programs.seated(self._states, states, jnp.int32(row))
        self.rows[row], self._joining = request, None


def tokens_of(model: LanguageModel, prompt: Any) -> Int[np.ndarray, " N"]:
    """A prompt's tokens.

    Raises:
        ValueError: none, or one that is none of the model's.
    """
    ids = np.asarray(prompt)
    if ids.ndim != 1 or not len(ids) or not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(
            f"prompt has shape {list(ids.shape)} of {ids.dtype}; needed one row of at least one id"
        )
    vocab = model.config.vocab_size
    outside = ids[(ids < 0) | (ids >= vocab)]
    if len(outside):
        raise ValueError(f"prompt: {outside[0]} is no token of this model; they are 0..{vocab - 1}")
    return ids.astype(np.int32)


def ends_of(model: LanguageModel) -> frozenset[int]:
    """The tokens that end a text, where the model's file names them."""
    found = dict(getattr(model, "special_tokens", ())).get("eos_token_id", ())
    return frozenset(found if isinstance(found, tuple) else (found,))
