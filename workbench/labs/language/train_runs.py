"""The runs of the training panel: a task and a recipe each, and branches of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from workbench.labs.language import models
from workbench.labs.language.train_form import TRAINED, Shared, branch, kinds, shared
from workbench.panels.view import Values

if TYPE_CHECKING:
    from workbench.datasets import Dataset, Text
    from workbench.language.config import DecoderConfig
    from workbench.language.mixing import MixerConfig
    from workbench.runs import Run, Store
    from workbench.training import Recipe


@dataclass(frozen=True)
class Planned:
    """One run: what is trained and how, and where it is kept.

    Attributes:
        flops: of an update, by formula: three times the forward pass.
        offset: updates before its first, for a branch.
    """

    name: str
    slot: int
    config: DecoderConfig
    task: Any
    recipe: Recipe
    run: Run
    parameters: int
    flops: float
    offset: int = 0
    parent: str = ""

    @property
    def bytes_per_step(self) -> int:
        """Bytes of text in one update."""
        base = getattr(self.task, "parent", self.task)
        return int(self.recipe.batch_size * base.data.length)


@dataclass(frozen=True)
class Branch:
    """A task that goes on from the weights of another run; Adam's moments start anew.

    Args:
        parent: the task of that run.
        weights: of its checkpoint.
        step: of that checkpoint: the branch sees the batches after it.
        source: name of that run's folder.
    """

    parent: Any
    weights: Any
    step: int
    source: str

    @property
    def fingerprint(self) -> str:
        """Of the task, the run and the step."""
        return f"{self.parent.fingerprint}; after step {self.step} of run {self.source}"

    def with_recipe(self, recipe: Recipe) -> Branch:
        """The branch with batches of the recipe's size and order."""
        return replace(self, parent=self.parent.with_recipe(recipe))

    def init(self, key: Any) -> Any:
        """The weights of the checkpoint."""
        return self.weights

    def loss(self, params: Any, batch: Any, key: Any) -> Any:
        """That of the task."""
        return self.parent.loss(params, batch, key)

    def weight(self, batch: Any) -> Any:
        """What the loss is a mean over."""
        return self.parent.weight(batch)

    def batch(self, step: int) -> Any:
        """The rows that run would have seen next."""
        return self.parent.batch(self.step + step)

    def evaluate(self, params: Any) -> dict[str, float]:
        """That of the task."""
        found: dict[str, float] = self.parent.evaluate(params)
        return found


def planned(
    values: Values,
    text: Dataset[Text],
    store: Store,
    mixers: Mapping[str, MixerConfig],
) -> list[Planned]:
    """The runs of these settings: those chosen, or the branch alone where there is one.

    Args:
        text: that is learnt.
        store: where runs are kept.
        mixers: of one's own, by their key in the form.

    Raises:
        ValueError: nothing chosen, a size without room, or a branch of a run without checkpoint.
    """
    chosen = kinds(values)
    wanted = branch(values)
    if wanted is None:
        if not chosen:
            raise ValueError("Runs: none is chosen; choose at least one")
        return [_planned(kind, shared(values), text, store, mixers) for kind in chosen]
    before = [_planned(kind, shared(values), text, store, mixers)
              for kind in dict.fromkeys([*chosen, wanted["of"]])]  # fmt: skip
    of = next(one for one, kind in zip(before, [*chosen, wanted["of"]], strict=False)
              if kind == wanted["of"])  # fmt: skip
    return [*before, _branched(of, wanted, store)]


def _planned(
    kind: str, knobs: Shared, text: Dataset[Text], store: Store, mixers: Mapping[str, MixerConfig]
) -> Planned:
    from workbench.language.published import ladder, parameters
    from workbench.language.tasks import NextToken
    from workbench.language.token_data import TokenData

    own = mixers.get(kind)
    name = str(TRAINED.get(kind) or getattr(own, "name", kind))
    config = ladder(kind if own is None else own, knobs.size)
    task = NextToken(config, TokenData(text, length=knobs.context), test_rows=32)
    recipe = _recipe(knobs, ternary=config.linears == "ternary")
    count = parameters(config)
    return Planned(
        name, models.slot(name), config, task, recipe, _run(task, recipe, store), count,
        _flops(config, knobs),
    )  # fmt: skip


def _recipe(knobs: Shared, ternary: bool) -> Recipe:
    from workbench.training import Recipe

    return Recipe(
        steps=knobs.steps,
        batch_size=knobs.batch,
        learning_rate=knobs.rate * (knobs.ternary if ternary else 1.0),
        warmup=max(1, knobs.steps // 20),
        schedule="two_stage" if ternary else "cosine",
        final_fraction=0.0 if ternary else 0.1,
        weight_decay=0.1,
        second_weight_decay=0.0 if ternary else None,
        betas=(0.9, 0.95),
        log_every=max(1, knobs.steps // 100),
        evaluate_every=max(1, knobs.steps // 10),
        checkpoint_every=max(1, knobs.steps // 10),
        seed=knobs.seed,
    )


def _run(task: Any, recipe: Recipe, store: Store) -> Run:
    from workbench.runs import Identity, fingerprint

    identity = Identity(
        config=recipe.identity(), subject=fingerprint(task), version=recipe.version,
        seed=recipe.seed,
    )  # fmt: skip
    return store.run(identity)


def _flops(config: DecoderConfig, knobs: Shared) -> float:
    """Of an update: 6 flop for each weight that takes part in a product and each mixing one."""
    from workbench.language.published import multiplied

    width, layers = config.hidden_size, range(config.num_hidden_layers)
    mixing = sum(config.mixer(layer).macs(width, knobs.context) for layer in layers)
    return 6.0 * (multiplied(config) + mixing) * knobs.context * knobs.batch


def _branched(of: Planned, wanted: Mapping[str, Any], store: Store) -> Planned:
    from workbench.progress import silent
    from workbench.training import Checkpoints
    from workbench.training.loop import Session

    checkpoints = Checkpoints(of.run.checkpoints)
    try:
        steps = checkpoints.steps()
        if not steps:
            raise ValueError(
                f"Go on from {of.name}: it has no checkpoint yet; train it first, without a branch"
            )
        state = checkpoints.restore(Session(of.task, of.recipe, silent).first_state())
    finally:
        checkpoints.close()
    total = int(wanted["steps"])
    recipe = of.recipe.model_copy(
        update={
            "steps": total, "learning_rate": of.recipe.learning_rate * wanted["rate"],
            "warmup": 0, "schedule": wanted["shape"], "final_fraction": 0.0,
            "second_weight_decay": None, "log_every": max(1, total // 50),
            "evaluate_every": max(1, total // 5), "checkpoint_every": max(1, total // 5),
        }
    )  # fmt: skip
    task = Branch(of.task, state.params, steps[-1], of.run.id)
    return replace(
        of, name=f"{of.name}, from {steps[-1]}", task=task, recipe=recipe,
        run=_run(task, recipe, store), offset=steps[-1], parent=of.name,
    )  # fmt: skip


def to_train(plans: Sequence[Planned]) -> list[Planned]:
    """Those that a run of the panel trains: the branch alone where there is one."""
    branches = [one for one in plans if one.parent]
    return branches or list(plans)
