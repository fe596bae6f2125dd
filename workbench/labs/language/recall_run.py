"""Associative recall, measured: a small model of each mixer, trained and asked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from workbench.labs.language import models
from workbench.progress import Report, part

if TYPE_CHECKING:
    from workbench.language.config import DecoderConfig
    from workbench.language.mixing import MixerConfig
    from workbench.runs import Store

LENGTH, VOCABULARY, LAYERS, BATCH = 32, 64, 2, 128
"""Of the rows, the models and an update, as in the shipped study: ours, for a CPU."""


@dataclass(frozen=True)
class Recalled:
    """One trained model and what it recalled.

    Attributes:
        pairs: keys with a value in each text.
        state: bytes of one text's state, all layers.
        accuracy: share of held-out queries answered.
        seconds: of its training.
        stopped: the update at which its loss was no number; then the two above are none either.
    """

    name: str
    pairs: int
    width: int
    state: float
    seed: int
    accuracy: float
    seconds: float
    stopped: int | None = None

    def record(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def model_of(mixer: MixerConfig, width: int) -> DecoderConfig:
    """Two layers of a mixer and nothing else, as in Zoology."""
    from workbench.language.config import DecoderConfig

    return DecoderConfig(
        vocab_size=VOCABULARY, hidden_size=width, num_hidden_layers=LAYERS, mixers=(mixer,),
        channel_mixer="none",
    )  # fmt: skip


def state_bytes(mixer: MixerConfig, width: int) -> float:
    """Bytes of one text's state, by formula."""
    return float(LAYERS * mixer.state_bytes(width, LENGTH, 4))


def recall(
    mixers: Sequence[tuple[str, MixerConfig]],
    pairs: Sequence[int],
    seeds: Sequence[int],
    *,
    width: int,
    steps: int,
    rate: float,
    store: Store | None = None,
    report: Report,
) -> Iterator[list[Recalled]]:
    """Trains a model for each mixer and seed, and asks it with each number of pairs.

    Numbers of pairs are learnt by turns, as in the shipped study; what was done before is read.

    A model whose loss stops being a number is told as such, and the others follow.

    Args:
        mixers: name and shape of each.
        pairs: keys with a value.
        rate: peak learning rate of all.
        store: where runs are kept; the user's when None.

    Yields:
        All that is known so far, after every model.
    """
    from workbench.language.studies.recall import RecallInTurns, turns
    from workbench.runs import Store
    from workbench.training import NotANumber, Recipe, train

    kept = Store() if store is None else store
    asked = [(seed, one) for seed in seeds for one in mixers]
    found: list[Recalled] = []
    for place, (seed, (name, mixer)) in enumerate(asked):
        task: Any = RecallInTurns(model_of(mixer, width), turns(pairs), test_rows=256)
        recipe = Recipe(
            steps=steps, batch_size=BATCH, learning_rate=rate, warmup=max(1, steps // 20),
            schedule="cosine", weight_decay=0.0, log_every=max(1, steps // 50),
            checkpoint_every=max(1, steps // 4), seed=seed,
        )  # fmt: skip
        share = part(report, place, len(asked))

        def told(done: int, total: int, note: str = "", preview: Any = None,
                 share: Report = share, name: str = name, seed: int = seed) -> None:  # fmt: skip
            share(done, total, f"{name}, seed {seed}: {note or 'compiling'}")

        answered: Mapping[str, float] = {}
        seconds, stopped = math.nan, None
        try:
            result = train(task, recipe, report=told, store=kept)
            answered, seconds = result.evaluation, result.seconds
        except NotANumber as error:
            stopped = error.step
        found += [
            Recalled(
                name, count, width, state_bytes(mixer, width), seed,
                answered.get(f"accuracy_{count}", math.nan), seconds, stopped,
            )
            for count in pairs
        ]  # fmt: skip
        yield found


def known_mixers(kinds: Sequence[str], width: int) -> list[tuple[str, MixerConfig]]:
    """Name and shape of each kind that is here, with heads for a narrow model."""
    from workbench.language.mixers import mixer_of

    heads = {
        "attention": {"num_heads": max(1, width // 32)},
        "gated_delta_net": {"num_heads": 3, "head_dim": width // 4},
        "hgrn2": {"expand_ratio": 16},
        "mamba2": {"head_dim": 16, "state_size": 32},
        "mlgru": {},
    }
    return [
        (models.NAMES[kind], mixer_of({"kind": kind, **heads.get(kind, {"num_heads": 2})}))
        for kind in kinds
    ]
