"""Accuracy against density: a trained network pruned by each structure, at once or gradually."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from workbench.datasets import Dataset, Images
from workbench.progress import Report, part, silent
from workbench.runs import Store
from workbench.training import Recipe, train
from workbench.vision.networks.convnet import ConvNet
from workbench.vision.pruning.density_timed import Accuracy
from workbench.vision.pruning.masking import density, masked, masks
from workbench.vision.pruning.retraining import PruningTask, share_kept
from workbench.vision.pruning.structures import Blocks, NOfM, Structure, Unstructured
from workbench.vision.training.augmentation import Augmentation
from workbench.vision.training.judging import judged
from workbench.vision.training.population import with_population_statistics

BLOCK = 8
"""Side of the blocks of networks that are too narrow for 64."""

SETTINGS: Mapping[str, Sequence[Structure]] = {
    "blocks": tuple(Blocks(share, size=BLOCK) for share in (0.75, 0.5, 0.33, 0.17)),
    "n of m": (NOfM(3, 4), NOfM(2, 4), NOfM(1, 4)),
    "single weights": tuple(Unstructured(share) for share in (0.75, 0.5, 0.33, 0.17)),
}

WHILE_TRAINED: Mapping[str, Sequence[Structure]] = {
    "blocks": tuple(Blocks(share, size=BLOCK) for share in (0.5, 0.33, 0.17)),
    "n of m": (NOfM(2, 4), NOfM(1, 4)),
    "single weights": tuple(Unstructured(share) for share in (0.33, 0.17)),
}


def accuracies(
    name: str,
    model: ConvNet,
    pictures: Images,
    *,
    trained_on: Images | None = None,
    settings: Mapping[str, Sequence[Structure]] = SETTINGS,
    dense: Sequence[str] = (),
    report: Report = silent,
) -> list[Accuracy]:
    """The network as it is, and pruned by every structure; no weight is trained again.

    Dropped weights move what batch norms see, so their statistics are taken again where the
    training pictures are given.

    Args:
        name: of the network.
        model: trained.
        pictures: held out.
        trained_on: pictures for the batch norms' statistics; as they were trained if None.
        settings: structures by their kind.
        dense: names of layers that stay dense beside those that always do.
        report: called as it goes on; it stops by raising.

    Raises:
        ValueError: a structure that the network's layers cannot have.
    """
    asked = [(kind, one) for kind, of in settings.items() for one in of]
    rows = [_row(name, "dense", "", 1.0, model, pictures)]
    for number, (kind, structure) in enumerate(asked, 1):
        report(number, len(asked) + 1, f"Judging {words(structure)}")
        kept = masks(model, structure, dense=dense)
        sparse = masked(model, kept)
        if trained_on is not None:
            sparse = with_population_statistics(sparse, trained_on)
        rows.append(_row(name, kind, words(structure), density(kept), sparse, pictures))
    return rows


def accuracies_when_trained(
    name: str,
    model: ConvNet,
    data: Dataset[Images],
    recipe: Recipe,
    *,
    settings: Mapping[str, Sequence[Structure]] = WHILE_TRAINED,
    augmentation: Augmentation | None = None,
    store: Store | None = None,
    report: Report = silent,
) -> list[Accuracy]:
    """The network trained on as it is, and trained as long while it is pruned by every structure.

    Args:
        name: of the network.
        model: trained.
        data: with the pictures held out.
        recipe: of the updates, alike for all.
        settings: structures by their kind.
        augmentation: how pictures are moved.
        store: keeps the runs, so that what was broken off goes on.
        report: called as it goes on; it stops by raising.

    Raises:
        ValueError: as `PruningTask`.
    """
    asked = [("dense", None), *((kind, one) for kind, of in settings.items() for one in of)]
    rows = []
    for number, (kind, structure) in enumerate(asked):
        task = PruningTask(model, data, recipe, structure, augmentation=augmentation)
        told = part(report, number, len(asked))
        found = task.finished(train(task, recipe, store=store, report=told).weights)
        share, setting = 1.0, ""
        if structure is not None:
            share, setting = share_kept(found, structure), words(structure)
        row = _row(name, kind, setting, share, found, data.test)
        rows.append(replace(row, updates=recipe.steps))
    return rows


def words(structure: Structure) -> str:
    """A structure as people write it."""
    if isinstance(structure, NOfM):
        return f"{structure.n} of {structure.m}"
    share = f"{100 * (1 - structure.sparsity):.0f} %"
    return f"{share} in blocks of {structure.size}" if isinstance(structure, Blocks) else share


def _row(
    name: str, kind: str, setting: str, share: float, model: ConvNet, pictures: Images
) -> Accuracy:
    top1 = judged(model, pictures).top1
    return Accuracy(name, kind, setting, share, top1.value, top1.low, top1.high, top1.count)
