"""What an answer costs: the test-time model of Kinetics (Sadhukhan et al. 2025, arXiv 2506.05333).

eFLOPs = compute + I x memory traffic, with I the FLOPs that a device does while it reads one
element. The batch is large: reading the weights is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

B200 = 562.5
"""FLOP an element: 2.25e15 FLOP/s of dense bfloat16 over 8e12 B/s, at 2 bytes. Our derivation."""


@dataclass(frozen=True)
class Served:
    """A model as its answers' cost depends on it.

    Attributes:
        params: active.
        layers, heads, kv_heads, head_dim: of attention.
        state: elements of a constant state, all layers together; 0 for attention.
    """

    params: float
    layers: int = 0
    heads: int = 0
    kv_heads: int = 0
    head_dim: int = 128
    state: float = 0.0

    @property
    def cache(self) -> float:
        """K, elements of keys and values that a token adds."""
        return 2.0 * self.kv_heads * self.head_dim * self.layers

    @property
    def sharing(self) -> float:
        """r, query heads to one head of keys."""
        return self.heads / self.kv_heads if self.kv_heads else 0.0


QWEN3 = {
    "0.6B": Served(0.752e9, 28, 16, 8),
    "8B": Served(8.19e9, 36, 32, 8),
    "32B": Served(32.76e9, 64, 64, 8),
}
"""Head counts from the public configurations, unconfirmed against the paper."""


@dataclass(frozen=True)
class Answer:
    """What answering takes.

    Attributes:
        linear: FLOPs of the weights.
        attention: FLOPs of scores and values, or of a state.
        traffic: elements read.
        intensity: FLOP an element.
    """

    linear: float
    attention: float
    traffic: float
    intensity: float

    @property
    def total(self) -> float:
        """eFLOPs."""
        return self.linear + self.attention + self.intensity * self.traffic

    @property
    def traffic_share(self) -> float:
        """Share of the total that is reading keys and values, or a state."""
        return self.intensity * self.traffic / self.total


def dense(
    model: Served, prompt: float, output: float, trials: float = 1, intensity: float = B200
) -> Answer:
    """Full attention: compute 2 P L_out T + r K (2 L_in L_out + L_out^2) T, the prompt read once.

    Args:
        model: which.
        prompt, output: L_in and L_out, tokens.
        trials: T, best of so many.
        intensity: FLOP an element.
    """
    linear = 2 * model.params * output * trials
    attention = model.sharing * model.cache * (2 * prompt * output + output**2) * trials
    traffic = model.cache * (2 * prompt * output + trials * output**2)
    return Answer(linear, attention, traffic, intensity)


def sparse(
    model: Served,
    prompt: float,
    output: float,
    budget: float,
    trials: float = 1,
    intensity: float = B200,
    block: float | None = None,
) -> Answer:
    """Attention to `budget` keys at most: the visible keys are the sum of min(b, L_in + t).

    The authors' repository adds the half square for top-k and subtracts it for blocks; the sum is
    with minus. Nothing is shared between trials.

    Args:
        budget: keys a token sees.
        block: tokens a block, where blocks are searched for: (2 L_in + L_out) / block a step more.
        model, prompt, output, trials, intensity: as of `dense`.
    """
    visible = visible_keys(prompt, output, budget)
    linear = 2 * model.params * output * trials
    attention = 2 * model.sharing * model.cache * visible * trials
    traffic = 2 * model.cache * visible * trials
    if block is not None:
        searched = (2 * prompt + output) / block * output
        attention += model.sharing * model.cache * searched * trials
        traffic += model.cache / 2 * searched * trials
    return Answer(linear, attention, traffic, intensity)


def constant_state(
    model: Served, output: float, trials: float = 1, intensity: float = B200
) -> Answer:
    """A recurrent model: the state read and written each token, whatever came before."""
    linear = 2 * model.params * output * trials
    work = 6 * model.state * output * trials
    return Answer(linear, work, 2 * model.state * output * trials, intensity)


def visible_keys(prompt: float, output: float, budget: float) -> float:
    """b L_out - max(0, b - L_in)^2 / 2; all keys where the budget is not reached."""
    if budget >= prompt + output:
        return prompt * output + output**2 / 2
    return budget * output - max(0.0, budget - prompt) ** 2 / 2


def coverage(trials: int, correct: ArrayLike, tried: ArrayLike) -> np.ndarray:
    """1 - C(T - c, n) / C(T, n): how often one of n drawn from T stored trials is right.

    Args:
        trials: T.
        correct: c of each question.
        tried: n, at most T.

    Raises:
        ValueError: more tried than there are.
    """
    right, count = np.asarray(correct)[..., None], np.atleast_1d(np.asarray(tried))
    if (count > trials).any() or (right > trials).any():
        raise ValueError(f"n and c are at most the {trials} trials")
    steps = np.arange(trials)
    # The product of (T - c - i) / (T - i) for i below n.
    ratio = np.clip(trials - right - steps, 0, None) / (trials - steps)
    missed = np.cumprod(ratio, axis=-1)
    return 1 - missed[..., count - 1]
