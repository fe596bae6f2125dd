"""Multi-query associative recall at a size for a CPU: what each mixer can still look up.

    python -m workbench.language.studies.recall

Two layers of width 64 over a vocabulary of 64, trained on rows of 32 tokens with 2, 4 and 8 pairs
by turns and 0 between the queries, and asked with each number of pairs apart. At these settings
attention learns the task in the updates there are; where it does not, as on longer rows in smaller
batches, nothing can be said of any order.

What differs from Zoology (Arora et al. 2023, arXiv 2312.04927): there a vocabulary of 8192, rows of
64 to 512 tokens with 4 to 64 pairs, widths to 512, 4 layers for all but attention, no feed-forward
layers, 64 epochs of 100 k rows. Here feed-forward layers make parameters equal, few pairs teach
what many ask, rows are never repeated, and training is short: a mixer that answers little may yet
learn. Whether the published order shows is what the study asks, not what it assumes. Expect
attention and both delta rules to answer nearly all, GLA to guess among the values it saw, and
RetNet to do either, by seed, so that only the delta rules and attention before GLA is told.

Plan: 1000 updates of 128 rows, 4.1 M tokens a run; three rates of half that length for each mixer,
then three seeds. By count 26 T multiply-adds, 29 minutes at 30 GFLOP/s on one core; small products
and compiling take half as long again. A difference below one part in a hundred is called none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flax import nnx

from workbench.language.config import DecoderConfig
from workbench.language.evaluation import recall_accuracy
from workbench.language.mixers import mixer_of
from workbench.language.mixing import MixerConfig
from workbench.language.published import parameters
from workbench.language.recall import MQAR
from workbench.language.studies.command import main as command
from workbench.language.studies.design import Design, Entry
from workbench.language.tasks import TokenTask
from workbench.language.token_data import Rows
from workbench.training import Result

MODULE = "workbench.language.studies.recall"
WIDTH, LAYERS, VOCABULARY, LENGTH = 64, 2, 64, 32
PARAMETERS = 72_000
PAIRS = (2, 4, 8)
STEPS, BATCH = 1000, 128
ROWS = -(-STEPS // len(PAIRS)) * BATCH
"""Of each number of pairs: none comes twice."""

SIZE = "width 64"
NAMES = {
    "attention": "Transformer++",
    "delta_net": "DeltaNet",
    "gated_delta_net": "Gated DeltaNet",
    "gla": "GLA",
    "retnet": "RetNet",
}
MIXERS: dict[str, dict[str, Any]] = {
    "attention": {"num_heads": 2},
    "delta_net": {"num_heads": 2},
    "gated_delta_net": {"num_heads": 3, "head_dim": 16},
    "gla": {"num_heads": 2},
    "retnet": {"num_heads": 2},
}
PAPER = ("attention", "delta_net", "gla", "retnet")
SOURCE = "Arora et al. 2023 (Zoology) and Yang et al. 2024 (DeltaNet), MQAR"


@dataclass(frozen=True)
class Turns:
    """Recall tasks of different sizes, a batch of each in turn."""

    tasks: tuple[MQAR, ...]

    @property
    def length(self) -> int:
        """Tokens of a row."""
        return self.tasks[0].length

    @property
    def vocab_size(self) -> int:
        """Ids are below it."""
        return self.tasks[0].vocab_size

    @property
    def fingerprint(self) -> str:
        """All their settings."""
        return f"turns {[task.fingerprint for task in self.tasks]}"

    def batch(self, step: int, batch_size: int, seed: int) -> Rows:
        """The training rows of an update."""
        turn, which = divmod(step, len(self.tasks))
        return self.tasks[which].batch(turn, batch_size, seed)


@dataclass(frozen=True, eq=False)
class RecallInTurns(TokenTask):
    """The values of keys that come again, few pairs and many."""

    data: Turns

    def evaluate(self, params: nnx.State) -> dict[str, float]:
        """Share of held-out queries answered, for each number of pairs."""
        model = self.model(params)
        return {
            f"accuracy_{task.pairs}": recall_accuracy(model, task, rows=self.test_rows)
            for task in self.data.tasks
        }


def turns(every: Sequence[int]) -> Turns:
    """Rows of 32 tokens with these numbers of pairs."""
    return Turns(
        tuple(
            MQAR(
                length=LENGTH,
                pairs=pairs,
                vocab=VOCABULARY,
                random_between=False,
                train_examples=ROWS,
            )
            for pairs in every
        )
    )


def task(config: DecoderConfig) -> RecallInTurns:
    """Rows of 32 tokens with 2, 4 and 8 pairs."""
    return RecallInTurns(config, turns(PAIRS))


def model(mixer: MixerConfig) -> DecoderConfig:
    """Two layers of a mixer, with feed-forward layers that make parameters equal.

    Raises:
        ValueError: a mixer that leaves no room for them.
    """

    def shape(inner: int) -> DecoderConfig:
        return DecoderConfig(
            vocab_size=VOCABULARY,
            hidden_size=WIDTH,
            num_hidden_layers=LAYERS,
            mixers=(mixer,),
            intermediate_size=inner,
        )

    one, two = parameters(shape(1)), parameters(shape(2))
    inner = 1 + round((PARAMETERS - one) / (two - one))
    if inner < 1:
        raise ValueError(
            f"mixer {mixer.kind!r} has so many weights that a model of {LAYERS} layers has {one:,} "
            f"without feed-forward layers; all models here have {PARAMETERS:,}"
        )
    return shape(inner)


def entry(kind: str, name: str, mixer: MixerConfig) -> Entry:
    """A mixer in the study."""
    return Entry(kind, name, SIZE, model(mixer))


def answered(entry: Entry, result: Result) -> list[dict[str, Any]]:
    """A row for each number of pairs: the share answered, and the bytes of a text's state."""
    config = entry.config
    state = sum(
        config.mixer(layer).state_bytes(config.hidden_size, LENGTH)
        for layer in range(config.num_hidden_layers)
    )
    return [
        {"pairs": pairs, "accuracy": result.evaluation[f"accuracy_{pairs}"], "state": state}
        for pairs in PAIRS
    ]


def design() -> Design:
    """The study."""
    return recall_study(
        "recall",
        tuple(
            entry(kind, name, mixer_of({"kind": kind, **MIXERS[kind]}))
            for kind, name in NAMES.items()
        ),
    )


def recall_study(name: str, entries: tuple[Entry, ...]) -> Design:
    """Entries that learn to recall, compared by what they answer."""
    return Design(
        name=name,
        entries=entries,
        task=task,
        measured=answered,
        value="accuracy",
        better="higher",
        within="pairs",
        rates=(1e-3, 3e-3, 1e-2),
        seeds=(0, 1, 2),
        steps=STEPS,
        search_steps=STEPS // 2,
        batch_size=BATCH,
        length=LENGTH,
        margin=0.01,
        paper=PAPER,
        source=SOURCE,
        about={
            "data": f"MQAR, {LENGTH} tokens, vocabulary {VOCABULARY}, 0 between, pairs {PAIRS} "
            "by turns"
        },
        changes={"weight_decay": 0.0},
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    return command(design(), MODULE, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
