"""Counts and measures what the panels show before anything ran here, and prints it.

python -m workbench.labs.vision.record [--only layers latencies groups] [--networks NAME ...]
    [--batch 1 8] [--repeats 7] [--threads one] [--out FOLDER]

Only --out writes: what ships is `--out data/vision-lab`, run in a checkout. Layers are counted
anywhere, in a minute; latencies and groups are of this machine, which should have nothing else to
do. With --threads one everything runs on one core and the processor's own time is taken, which
other programs disturb less.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.checkpoints import replace_text
from workbench.figures import numbers
from workbench.labs.vision import families
from workbench.labs.vision.claims import efficiency_of
from workbench.labs.vision.recording import add_threads, card, kept_to, typed
from workbench.measure import device, roofline
from workbench.measure.roofline import Peaks
from workbench.vision.efficiency import recorded
from workbench.vision.efficiency.layer import COLUMNS, convolution
from workbench.vision.efficiency.recorded import Recorded
from workbench.vision.efficiency.timed import GroupTimed, Timed
from workbench.vision.efficiency.waterline import Bar, attainable, balance

if TYPE_CHECKING:
    from workbench.vision.latency import Clock

MODULE = "workbench.labs.vision.record"
KINDS = ("layers", "latencies", "groups")
PIXELS = 224
EDGE, STREAM = 2048, 256 << 20
"""Of the product, and bytes of the copy, that rates are measured with."""


def main(arguments: Sequence[str] | None = None) -> int:
    """What is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="folder that is written; nothing is without it")
    parser.add_argument("--only", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--networks", nargs="*", default=list(families.MEASURED))
    parser.add_argument("--batch", nargs="*", type=int, default=[1, 8])
    parser.add_argument("--repeats", type=int, default=7)
    add_threads(parser)
    given = parser.parse_args(arguments)
    clock, words = kept_to(given.threads), typed(MODULE, arguments)
    try:
        if "layers" in given.only:
            print(count_layers(given.out))
        if "groups" in given.only:
            found = groups(given.out, given.repeats, clock, words)
            print(table(found.rows, found.peaks))
        if "latencies" in given.only:
            latencies(given.out, given.networks, given.batch, given.repeats, clock, words)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def count_layers(folder: Path | None) -> str:
    """Counts every network the lab names, at 224 pixels; the result in words.

    Args:
        folder: that is written; None for none.
    """
    from workbench import vision
    from workbench.vision.efficiency.counting import layers_of

    networks: dict[str, dict[str, Any]] = {}
    for name in families.NAMES:
        table = vision.published(name)
        layers = layers_of(table, size=PIXELS)
        networks[name] = {
            "parameters": vision.parameters(table),
            "layers": [layer.record() for layer in layers],
        }
    words = (
        f"{len(networks)} networks, {sum(len(one['layers']) for one in networks.values())} layers"
    )
    if folder is None:
        return words
    rows = [
        f'  {json.dumps(name)}: {{"parameters": {one["parameters"]}, "layers": [\n'
        + ",\n".join(f"   {json.dumps(row)}" for row in one["layers"])
        + "\n  ]}"
        for name, one in networks.items()
    ]
    head = f' "pixels": {PIXELS},\n "columns": {json.dumps(COLUMNS)},\n "networks": {{\n'
    folder.mkdir(parents=True, exist_ok=True)
    replace_text(folder / "layers.json", "{\n" + head + ",\n".join(rows) + "\n }\n}\n")
    return words


def latencies(
    folder: Path | None,
    networks: Sequence[str],
    batches: Sequence[int],
    repeats: int,
    clock: Clock,
    command: str,
) -> Recorded:
    """Times networks by turns, then every layer and every block of each alone.

    Args:
        folder: that is written; None for none.
        networks: by name.
        batches: pictures at once.
        repeats: of each time.
        clock: see `kept_to`.
        command: see `typed`.
    """
    from workbench import vision
    from workbench.vision.latency import ready, time_networks, time_parts

    peaks = rates(clock)
    made = {name: ready(vision.published(name)) for name in networks}
    rows: list[Timed] = []
    about = _card(peaks, command, clock)
    for batch in batches:
        whole = time_networks(made, batch=batch, pixels=PIXELS, repeats=repeats, clock=clock)
        for row in whole:
            print(f"{row.network}, batch {batch}: {numbers.seconds(row.median)}", flush=True)
        rows += whole
        for name, network in made.items():
            for part in ("block", "layer"):
                rows += time_parts(
                    name, network, part=part, batch=batch, pixels=PIXELS, repeats=repeats,
                    clock=clock,
                )  # fmt: skip
            if folder is not None:
                recorded.write(folder, recorded.LATENCIES, rows, about)  # what there is by now
            print(f"{name}, batch {batch}: parts", flush=True)
    return Recorded(rows, about)


def groups(folder: Path | None, repeats: int, clock: Clock, command: str) -> Recorded:
    """Times one convolution at every group size; arguments as for `latencies`."""
    from workbench.vision.latency import time_groups

    peaks = rates(clock)
    rows = time_groups(repeats=repeats, clock=clock)
    about = _card(peaks, command, clock)
    if folder is not None:
        recorded.write(folder, recorded.GROUPS, rows, about)
    return Recorded(rows, about)


def rates(clock: Clock) -> Peaks:
    """This machine's rates by a clock: the best of some products and stream copies."""
    if clock == "wall":
        return roofline.measured("float32", again=True)
    import jax
    import jax.numpy as jnp

    from workbench.measure.timing import interleaved

    square = jax.random.normal(jax.random.key(0), (EDGE, EDGE), jnp.float32)
    stream = jnp.ones(STREAM // 4, jnp.float32)
    product, shift = jax.jit(lambda a: a @ a), jax.jit(lambda a: a + 1.0)
    timed = interleaved(
        {"product": lambda: product(square), "copy": lambda: shift(stream)}, repeats=9
    )
    seconds = {name: min(one.cpu_samples) for name, one in timed.items()}
    today = datetime.date.today().isoformat()
    return Peaks(
        f"{device.processor_name()}, 1 thread",
        {"float32": 2 * EDGE**3 / seconds["product"]},
        2 * STREAM / seconds["copy"],
        f"measured {today}: product of {EDGE}³, copy of {STREAM >> 20} MiB, processor’s time, "
        "best of 9",
    )


def table(rows: Sequence[GroupTimed], peaks: Peaks) -> str:
    """The efficiency of each group size, and what the waterline allows it, as lines."""
    peak = peaks.flops("float32")
    level = balance(peak, peaks.bytes_per_s)
    lines = [
        f"{peaks.label('float32')}; waterline {numbers.number(level)} FLOP/B",
        f"{'3 x 3, float32':<22}{'groups of':>10}{'time':>12}{'GFLOP/s':>10}{'efficiency':>12}"
        f"{'could reach':>13}",
    ]
    for row in rows:
        layer = convolution(
            row.pixels, row.pixels, row.channels, row.channels, 3,
            groups=row.channels // row.group_size,
        )  # fmt: skip
        bar = Bar(layer.name, layer.operations(row.batch), layer.bytes_moved(row.batch, 4))
        shape = f"{row.batch} x {row.pixels} x {row.pixels} x {row.channels}"
        size = "dense" if row.group_size == row.channels else str(row.group_size)
        lines.append(
            f"{shape:<22}{size:>10}{numbers.seconds(row.median):>12}"
            f"{row.operations / row.median / 1e9:>10.1f}"
            f"{100 * efficiency_of(row, peak):>11.1f} %"
            f"{100 * attainable([bar], level):>11.1f} %"
        )
    return "\n".join(lines)


def _card(peaks: Peaks, command: str, clock: Clock) -> dict[str, Any]:
    words = "processor’s time" if clock == "processor" else "wall clock"
    return card(command) | {"clock": words, "peaks": asdict(peaks)}


if __name__ == "__main__":
    raise SystemExit(main())
