"""What a study trains: families of equal size, each with the same search and the same seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from workbench.language.config import DecoderConfig
from workbench.language.published import multiplied
from workbench.language.recipes import recipe_for
from workbench.training import Recipe, Result, Task

SEARCH_SEED = 100
"""Of the search for a rate: none of the seeds that are compared."""

PASSES = 3
"""Forward, and twice as much backward."""

MACS_A_SECOND = 15e9
"""Of a core in training; 30 GFLOP/s, as products of this size reach it."""


@dataclass(frozen=True)
class Entry:
    """One family at one size.

    Attributes:
        kind: the family, as in tables.
        name: on the screen.
        size: what it is compared within.
        config: the model.
    """

    kind: str
    name: str
    size: str
    config: DecoderConfig


@dataclass(frozen=True)
class Design:
    """A study, before it runs.

    Each family at each size tries every rate for `search_steps` updates with a seed of its own;
    the rate with the least training loss at the end then trains once for each seed. What is held
    out decides nothing but the result.

    Attributes:
        name: of the study.
        entries: what is trained.
        task: from a model's shape.
        measured: from a finished run, rows of what was measured.
        value: the column that is compared.
        better: which way.
        within: the column within whose values families are compared.
        paper: families from best to worst as published, by kind; empty where nobody did.
        source: of that order.
        length: tokens of a row.
        margin: of `value`; a smaller difference is none.
        about: data and settings in words.
        changes: fields of every recipe that are not the family's.
    """

    name: str
    entries: tuple[Entry, ...]
    task: Callable[[DecoderConfig], Task]
    measured: Callable[[Entry, Result], list[dict[str, Any]]]
    value: str
    better: Literal["lower", "higher"]
    within: str
    rates: tuple[float, ...]
    seeds: tuple[int, ...]
    steps: int
    search_steps: int
    batch_size: int
    length: int
    margin: float = 0.0
    paper: tuple[str, ...] = ()
    source: str = ""
    about: Mapping[str, str] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)

    def recipe(self, entry: Entry, rate: float, seed: int, steps: int) -> Recipe:
        """The family's recipe with another rate."""
        return recipe_for(
            entry.config,
            steps=steps,
            learning_rate=rate,
            batch_size=self.batch_size,
            seed=seed,
            log_every=max(1, steps // 200),
            checkpoint_every=max(1, steps // 2),
            **self.changes,
        )

    @property
    def runs(self) -> int:
        """How many there are."""
        return len(self.entries) * (len(self.rates) + len(self.seeds))

    def macs(self, entry: Entry) -> float:
        """Of all runs of an entry: 3 T (weights of products + the mixers' own) for T tokens."""
        config = entry.config
        mixing = sum(
            config.mixer(layer).macs(config.hidden_size, self.length)
            for layer in range(config.num_hidden_layers)
        )
        updates = len(self.rates) * self.search_steps + len(self.seeds) * self.steps
        tokens = updates * self.batch_size * self.length
        return PASSES * tokens * (multiplied(config) + mixing)

    def plan(self, cores: int = 2) -> str:
        """What will run, and how long it takes at the rate of `MACS_A_SECOND`."""
        total = sum(self.macs(entry) for entry in self.entries)
        minutes = total / (cores * MACS_A_SECOND) / 60
        return (
            f"{self.name}: {self.runs} runs of {len(self.entries)} models; {total / 1e12:.1f} T "
            f"multiply-adds, at best {minutes:.0f} min on {cores} cores"
        )

    def tiny(self) -> Design:
        """The same of the smallest size, with a few updates: whether it works, and nothing else."""
        size = self.entries[0].size
        return replace(
            self,
            name=f"{self.name}-tiny",
            entries=tuple(entry for entry in self.entries if entry.size == size)[:2],
            rates=self.rates[:2],
            seeds=self.seeds[:3],
            steps=4,
            search_steps=2,
            batch_size=2,
        )
