"""What the sparsity page shows before anything ran here, and the command that measures it.

python -m workbench.labs.vision.sparsity_recorded [--out data/vision-lab] [--repeats 7]
    [--threads one] [--only densities networks accuracies] [--store FOLDER]

With --threads one everything runs on one core and the processor's own time is taken, which other
programs disturb less.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import shipped
from workbench.labs.vision.recording import add_threads, card, kept_to, typed
from workbench.labs.vision.sparsity_form import LAYERS, WHOLE_NAMES
from workbench.measure.roofline import Peaks
from workbench.vision.efficiency.recorded import FOLDER, write
from workbench.vision.pruning.density_timed import Accuracy, DensityTimed, NetworkTimed

if TYPE_CHECKING:
    from workbench.vision.latency import Clock

DENSITIES, NETWORKS, ACCURACIES = "densities", "pruned-networks", "pruned-accuracies"
KINDS = ("densities", "networks", "accuracies")
MODULE = "workbench.labs.vision.sparsity_recorded"


@dataclass(frozen=True)
class Recorded:
    """What ships.

    Args:
        timed: layers at several densities.
        networks: whole, from the blocks that are kept.
        judged: networks pruned at once, and while they trained on.
        card: device, date, command, and the device's rates as they were measured with it.
    """

    timed: tuple[DensityTimed, ...]
    networks: tuple[NetworkTimed, ...]
    judged: tuple[Accuracy, ...]
    card: dict[str, Any]

    @property
    def peaks(self) -> Peaks:
        """The device's rates, measured just before."""
        return Peaks(**self.card["peaks"])

    @property
    def device(self) -> str:
        """Where it was measured."""
        return str(self.card["device"])

    @property
    def date(self) -> str:
        """When."""
        return str(self.card["date"])

    @property
    def where(self) -> str:
        """Both."""
        return f"{self.device}, {self.date}"


@cache
def recorded() -> Recorded:
    """Times, accuracies and their card.

    Raises:
        FileNotFoundError: an installation without them.
    """
    card = json.loads(shipped.path(f"{FOLDER}/{DENSITIES}.json").read_text(encoding="utf-8"))
    return Recorded(
        tuple(DensityTimed.of(row) for row in _rows(DENSITIES)),
        tuple(NetworkTimed.of(row) for row in _rows(NETWORKS)),
        tuple(Accuracy.of(row) for row in _rows(ACCURACIES)),
        card,
    )


def _rows(name: str) -> list[dict[str, str]]:
    with shipped.path(f"{FOLDER}/{name}.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def main() -> int:
    """Measures both and writes them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path(FOLDER))
    parser.add_argument("--repeats", type=int, default=7)
    add_threads(parser)
    parser.add_argument("--store", type=Path, default=None, help="of the trainings")
    parser.add_argument("--only", nargs="*", choices=KINDS, default=list(KINDS))
    given = parser.parse_args()
    clock, words = kept_to(given.threads), typed(MODULE)
    if "densities" in given.only:
        densities(given.out, given.repeats, clock, words)
    if "networks" in given.only:
        networks(given.out, given.repeats, clock, words)
    if "accuracies" in given.only:
        pruned_accuracies(given.out, words, given.store)
    return 0


def densities(folder: Path, repeats: int, clock: Clock, command: str) -> None:
    """Times every layer of the form at both batches, and blocks of other sizes in the first."""
    from workbench.labs.vision.record import rates
    from workbench.vision.pruning.timing import time_densities

    peaks = rates(clock)
    timed: list[DensityTimed] = []
    first = next(iter(LAYERS.values()))
    cases = [(layer, batch, 64) for layer in LAYERS.values() for batch in (1, 8)]
    for layer, batch, block in [*cases, (first, 8, 32), (first, 8, 128)]:
        timed += time_densities(
            batch * layer.pixels**2,
            layer.inputs,
            layer.outputs,
            block=block,
            repeats=repeats,
            clock=clock,
        )
        print(f"{layer.name}, batch {batch}, blocks of {block}: timed", flush=True)
    write(folder, DENSITIES, timed, card(command) | {"clock": clock, "peaks": asdict(peaks)})


def networks(folder: Path, repeats: int, clock: Clock, command: str) -> None:
    """Times whole networks with one block of 64 in six, at both batches."""
    from workbench.labs.vision.record import rates
    from workbench.vision.pruning.timing import time_network

    peaks = rates(clock)
    timed = []
    for name in WHOLE_NAMES:
        for batch in (1, 8):
            one = time_network(name, peaks, batch=batch, repeats=repeats, clock=clock)
            timed.append(one)
            print(f"{name}, batch {batch}: {one.speedup:.2f} x, modelled {one.modelled:.2f} x")
    write(folder, NETWORKS, timed, card(command) | {"clock": clock, "peaks": asdict(peaks)})


def pruned_accuracies(folder: Path, command: str, store: Path | None) -> None:
    """Judges every network that ships, pruned by every structure at once and while it trains on."""
    from workbench.progress import Bar
    from workbench.runs import Store
    from workbench.vision.pruning.judging import accuracies, accuracies_when_trained
    from workbench.vision.pruning.retraining import pruning_recipe
    from workbench.vision.training.plan import PATCHES, augmentation_of, data_of
    from workbench.vision.training.shelf import checkpoints

    data, recipe = data_of(PATCHES), pruning_recipe()
    judged: list[Accuracy] = []
    for one in checkpoints():
        model, bar = one.load(), Bar(one.name)
        judged += accuracies(one.name, model, data.test, trained_on=data.train, report=bar)
        judged += accuracies_when_trained(
            one.name,
            model,
            data,
            recipe,
            augmentation=augmentation_of(PATCHES),
            store=Store(store),
            report=bar,
        )
        bar.close()
    about = card(command) | {"recipe": recipe.model_dump(mode="json")}
    write(folder, ACCURACIES, judged, about)


if __name__ == "__main__":
    sys.exit(main())
