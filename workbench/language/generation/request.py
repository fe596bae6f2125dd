"""A text to be written, and what writing it took."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Int32

from workbench.language.generation.sampling import Sampling

Ending = Literal["", "length", "stop", "cancelled"]


@dataclass(frozen=True)
class Report:
    """What a text took.

    Attributes:
        prompt: tokens read.
        tokens: tokens written.
        first_token: seconds from the request to its first token, waiting included; None before it.
        tokens_per_second: after the first; None before there are two.
        state_bytes: of the text's row, as held in memory.
        ending: why it ended; empty while it is written.
    """

    prompt: int
    tokens: int
    first_token: float | None
    tokens_per_second: float | None
    state_bytes: int
    ending: Ending


@dataclass(eq=False)
class Request:
    """A text to be written after a prompt.

    Attributes:
        prompt: tokens before it.
        steps: tokens to write at most.
        sampling, seed: how they are drawn.
        stop: tokens that end it, and are not given.
        tokens: written so far.
        ending: why it ended; empty while it is written.
    """

    prompt: Int32[np.ndarray, " N"]
    steps: int
    sampling: Sampling
    seed: int
    stop: Collection[int]
    state_bytes: int = 0
    tokens: list[int] = field(default_factory=list)
    ending: Ending = ""
    read: int = 0
    asked_at: float = field(default_factory=time.perf_counter)
    first_at: float | None = None
    last_at: float | None = None

    @property
    def next_token(self) -> int:
        """The token to read next: of the prompt, or the newest."""
        return int(self.prompt[self.read]) if self.read < len(self.prompt) else self.tokens[-1]

    def take(self, token: int) -> bool:
        """After reading one token: whether `token` is a new one of the text."""
        self.read += 1
        if self.read < len(self.prompt):
            return False
        if token in self.stop:
            self.ending = "stop"
            return False
        self.last_at = time.perf_counter()
        self.first_at = self.first_at or self.last_at
        self.tokens.append(token)
        if len(self.tokens) == self.steps:
            self.ending = "length"
        return True

    def report(self) -> Report:
        """What it took so far."""
        first = None if self.first_at is None else self.first_at - self.asked_at
        speed = None
        if self.first_at is not None and self.last_at is not None and len(self.tokens) > 1:
            speed = (len(self.tokens) - 1) / (self.last_at - self.first_at)
        return Report(
            len(self.prompt), len(self.tokens), first, speed, self.state_bytes, self.ending
        )
