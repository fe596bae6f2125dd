"""Days, devices, memory and money of a training run: Megatron-LM's and ZeRO-Infinity's equations.

Achieved FLOP/s are an input: they are measured, or taken from a published run like yours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

DAY = 86_400.0

BYTES: Mapping[str, float] = {
    "adam": 16.0,
    "deepspeed": 18.0,
    "zero-infinity": 20.0,
    "frontier": 24.0,
}
"""Of parameters, gradients and optimiser states, a parameter, in mixed precision: fp16 weights and
gradients with fp32 master, mean and variance is 16; each tool counts something more."""

WHOLE = (math.inf, 4.0, 2.0, 0.0)
"""Bytes a parameter that no device shares, by ZeRO's stage: all, the fp16 weight and gradient, the
weight, none."""

V100_ACHIEVABLE = 70e12

HEAD = 128
"""Width of a head in a guessed shape."""


@dataclass(frozen=True)
class Decoder:
    """A GPT: l layers of width h, V words, rows of s tokens."""

    layers: int
    width: int
    vocabulary: int = 51_200
    length: int = 2048

    @property
    def params(self) -> float:
        """12 l h^2 (1 + 13 / (12 h) + (V + s) / (12 l h))."""
        size = 12.0 * self.layers * self.width**2
        rest = 13 / (12 * self.width)
        words = (self.vocabulary + self.length) / (12 * self.layers * self.width)
        return size * (1 + rest + words)

    def step_flops(self, batch: int, *, recompute: bool = True) -> float:
        """96 B s l h^2 (1 + s / (6 h) + V / (16 l h)), or 72 and 12 without recomputing."""
        passes, words = (96.0, 16) if recompute else (72.0, 12)
        inner = self.length / (6 * self.width)
        head = self.vocabulary / (words * self.layers * self.width)
        return passes * batch * self.length * self.layers * self.width**2 * (1 + inner + head)


def shaped(params: float, length: int = 2048) -> Decoder:
    """A shape guessed from a size: 12 l h^2 = N with h = 128 l, as GPT-3 has (96 of 12288). Ours.

    The layers are the nearest whole number, at least one; the width then keeps N, as the nearest
    multiple of 8. Every parameter counts as in the layers, none as in a vocabulary.

    Args:
        params: N, at least 1000.
        length: of a row, tokens.

    Raises:
        ValueError: fewer parameters than a layer has.
    """
    if not params >= 1000:
        raise ValueError(f"params is {params!r}, not a size from 1000")
    layers = max(1, round((params / (12 * HEAD**2)) ** (1 / 3)))
    width = max(8, 8 * round(math.sqrt(params / (12 * layers)) / 8))
    return Decoder(layers, width, vocabulary=0, length=length)


@dataclass(frozen=True)
class Cluster:
    """What trains.

    Attributes:
        devices: n.
        achieved: FLOP/s of one, X.
        price: of a device hour; 0 where nobody asks.
    """

    devices: int
    achieved: float
    price: float = 0.0

    def __post_init__(self) -> None:
        if self.devices < 1:
            raise ValueError(f"devices is {self.devices!r}, not a number from 1")
        if not (math.isfinite(self.achieved) and self.achieved > 0):
            raise ValueError(f"achieved is {self.achieved!r}, not FLOP/s above 0")


@dataclass(frozen=True)
class Cost:
    """Of a run.

    Attributes:
        days: of training.
        device_hours: of all devices.
        price: of these.
    """

    days: float
    device_hours: float
    price: float


def of_flops(flops: float, cluster: Cluster) -> Cost:
    """A run whose FLOPs are known."""
    days = flops / (cluster.devices * cluster.achieved) / DAY
    hours = days * 24 * cluster.devices
    return Cost(days, hours, hours * cluster.price)


def of_tokens(
    model: Decoder, tokens: float, batch: int, cluster: Cluster, *, recompute: bool = True
) -> Cost:
    """T = tokens / (B s) F / (n X): steps times the work of one."""
    steps = tokens / (batch * model.length)
    return of_flops(steps * model.step_flops(batch, recompute=recompute), cluster)


def rule_of_eight(params: float, tokens: float, cluster: Cluster) -> float:
    """Days by 8 T P / (n X): with recomputing, a token costs a parameter 8 FLOPs."""
    return of_flops(8.0 * tokens * params, cluster).days


def bubble(stages: int, micro_batches: int, interleaved: int = 1) -> float:
    """(p - 1) / (v m): idle over ideal time of a pipeline."""
    return (stages - 1) / (interleaved * micro_batches)


def live_chunks(stages: int, micro_batches: int, interleaved: int = 1) -> int:
    """Pieces of the model, l / (p v) layers each, of which the first stage keeps activations.

    min(p, m) with 1F1B, and 2 (p - 1) + (v - 1) p + 1 interleaved (Narayanan et al. 2021, §2.2):
    the forward passes before the first backward one. Over v they are 1 + (p - 1) / (p v) of what
    1F1B keeps (Korthikanti et al. 2022, §4.2.3).

    Args:
        stages: p.
        micro_batches: m, of a step.
        interleaved: v, pieces a stage.
    """
    if interleaved == 1:
        return min(stages, micro_batches)
    return min(2 * (stages - 1) + (interleaved - 1) * stages + 1, interleaved * micro_batches)


def state_bytes(
    params: float, *, counted: str = "adam", shards: int = 1, stage: int = 3
) -> float:  # fmt: skip
    """Parameters, gradients and optimiser states on one device.

    Args:
        params: of the model.
        counted: which bytes a parameter, of `BYTES`; 2 of them the weight's, 2 the gradient's.
        shards: devices that share; 1 for none.
        stage: what they split, as ZeRO's stages (Rajbhandari et al. 2020, arXiv 1910.02054, §5):
            nothing, the optimiser's states, gradients too, weights too.

    Raises:
        ValueError: a way of counting, or a stage, that is not known.
    """
    if counted not in BYTES:
        raise ValueError(f"counted is {counted!r}, not one of {', '.join(BYTES)}")
    if stage not in range(len(WHOLE)):
        raise ValueError(f"stage is {stage!r}, not one of 0, 1, 2, 3")
    whole = min(BYTES[counted], WHOLE[stage])
    return params * (whole + (BYTES[counted] - whole) / shards)


def checkpoint_bytes(model: Decoder, batch: int, every: int = 1) -> float:
    """2 b s h l / ci: activations kept between recomputed parts, two bytes each."""
    return 2.0 * batch * model.length * model.width * model.layers / every


def kept_bytes(
    model: Decoder, batch: int, *, heads: int = 0, tensor: int = 1, sequence: bool = True
) -> float:
    """b s h l (10 + 24 / t + 5 a s / (h t)): all activations of a pass, nothing computed again.

    Korthikanti et al. 2022 (arXiv 2205.05198, eqs. 1, 2 and 4). The first term is of norms and
    dropout; sequence parallelism divides it, too: 34 b s h l / t.

    Args:
        model: its shape.
        batch: b, rows.
        heads: a, of kept scores; 0 where none are, with flash attention or where the scores are
            computed again (their selective recomputing).
        tensor: t, devices that share each layer.
        sequence: whether these share norms and dropout by the row's tokens.
    """
    shared = 24.0 + 5.0 * heads * model.length / model.width
    a_token = 10.0 / (tensor if sequence else 1) + shared / tensor
    return batch * model.length * model.width * model.layers * a_token


def working_bytes(model: Decoder, heads: int, batch: int, every: int = 1) -> tuple[float, float]:
    """The largest operator, 16 h^2, and the activations of one recomputed part.

    b s ci (16 h + 2 a s) for `heads` a.
    """
    operator = 16.0 * model.width**2
    inner = 16.0 * model.width + 2.0 * heads * model.length
    return operator, batch * model.length * every * inner


def efficiency(intensity: float, bandwidth: float, peak: float = V100_ACHIEVABLE) -> float:
    """Share of the peak when so many FLOPs are done for each byte moved: ait bw / (ait bw + peak).

    The intensity of parameters and gradients is s b, of optimiser states s b / 4, of activation
    checkpoints 24 h ci.
    """
    moved = intensity * bandwidth
    return moved / (moved + peak)
