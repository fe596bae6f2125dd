"""Whole convnets on this CPU beside timm on torch, and beside XLA's own convolutions.

Published tables at 224 pixels, float32, random weights written by timm, so that both read the same
file. Ours has its norms folded; torch runs eagerly as timm makes it, with channels first, channels
last, and channels last with its norms folded too: the fastest counts. "XLA's own" is our network
with `lax.conv_general_dilated` for every convolution but 1 x 1, which are products of matrices.
Each side is in a process of its own; they take turns, and their logits must agree.

python benchmarks/convnets.py [--tiny] [--rounds N] [--threads one] [--only WORD]

Needs torch and timm beside jax: `make test-parity` makes `.venv-parity`, which runs this where this
Python has no torch.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from record import THREADS, Benchmark, Figure, elsewhere, ratio
from sides import Clock, apart, worker

SCRIPT = Path(__file__).stem
NO_TORCH = "skipped: timm's side, for torch and timm are not here (make test-parity)"
LARGEST_ERROR = 1e-3
"""Relative, between the logits of both sides."""
OURS, STOCK = "ours", "XLA's own"
PEERS = ("torch, channels first", "torch, channels last", "torch, channels last, folded")


class Case(NamedTuple):
    """A network on a batch of square pictures.

    Args:
        at_most: our time over torch's.
        times_stock: XLA's time over ours, at least; None where it is not run.
    """

    name: str
    batch: int = 8
    pixels: int = 224
    at_most: float | None = 1.2
    times_stock: float | None = None

    @property
    def words(self) -> str:
        """The case in a line."""
        return f"{self.name}, {self.batch} × {self.pixels} px"


CASES = (
    Case("mobilenetv2_100", at_most=1.1, times_stock=4),
    Case("mobilenetv2_100", batch=1, at_most=1.1, times_stock=4),
    Case("convnext_tiny"),
    Case("convnext_tiny", batch=1),
    Case("resnet50"),
    Case("resnet50", batch=1),
)
TINY = (Case("mobilenetv2_050", batch=1, pixels=32, at_most=None, times_stock=0),)


def main() -> int:
    """Every network by turns."""
    if (status := elsewhere(__file__)) is not None:
        return status
    more = [
        ("--rounds", {"type": int, "default": 9}),
        ("--only", {"default": "", "help": "cases with this word in their line"}),
        THREADS,
    ]
    bench, options = Benchmark.from_command(__file__, "Convnets beside timm on torch", more=more)
    peer = find_spec("torch") is not None and find_spec("timm") is not None
    if not peer:
        print(NO_TORCH)
    for case in TINY if bench.tiny else CASES:
        if options.only in case.words:
            measure(bench, case, 2 if bench.tiny else options.rounds, peer)
    bench.finish()
    return 0


def measure(bench: Benchmark, case: Case, rounds: int, peer: bool) -> None:
    """One network: all sides by turns."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        apart(SCRIPT, write_theirs if peer else write_ours, folder, case.name)
        sides: dict[str, tuple[Callable[..., Any], str]] = {OURS: (ours, "auto")}
        if case.times_stock is not None:
            sides[STOCK] = (ours, "xla")
        sides |= {name: (theirs, name) for name in PEERS if peer}
        running = {
            name: stack.enter_context(worker(SCRIPT, side, folder, case.batch, case.pixels, how))
            for name, (side, how) in sides.items()
        }
        logits = {name: process.ask("start")["logits"] for name, process in running.items()}
        calls: dict[str, list[dict[str, float]]] = {name: [] for name in running}
        for _ in range(rounds):
            for name, process in running.items():
                calls[name].append(process.ask("call"))
    bench.raw[case.words] = calls
    report(bench, case, calls, logits)


def report(
    bench: Benchmark, case: Case, calls: dict[str, Any], logits: dict[str, list[float]]
) -> None:
    """Seconds, ratios and whether all sides agree."""
    import numpy as np

    seconds = {name: [one["seconds"] for one in found] for name, found in calls.items()}
    low, middle, high = (float(q) for q in np.quantile(seconds[OURS], (0.25, 0.5, 0.75)))
    bench.add(Figure(f"{case.words}: a batch", middle, "s", low, high))
    if STOCK in seconds:
        words = f"{case.words}: XLA's own over ours"
        bench.add(ratio(words, seconds[STOCK], seconds[OURS], at_least=case.times_stock))
    rivals = [name for name in PEERS if name in seconds]
    if rivals:
        best = min(rivals, key=lambda name: float(np.median(seconds[name])))
        words = f"{case.words}: time over {best}"
        bench.add(ratio(words, seconds[OURS], seconds[best], at_most=case.at_most))
    here = np.asarray(logits[OURS])
    others = [np.asarray(one) for name, one in logits.items() if name != OURS]
    error = max((float(np.abs(here - one).max()) for one in others), default=0.0)
    error /= float(np.abs(here).max())
    bench.add(Figure(f"{case.words}: logits apart", error, "", at_most=LARGEST_ERROR))


def pictures(batch: int, pixels: int) -> Any:
    """The same for every side, [B, H, W, 3]."""
    import numpy as np

    shape = (batch, pixels, pixels, 3)
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def ours(folder: str, batch: int, pixels: int, how: str) -> Iterator[dict[str, Any]]:
    """Our network with its norms folded; `how` is the form of convolutions."""
    import jax
    import numpy as np
    from flax import nnx

    from workbench import vision
    from workbench.vision.observing import observed

    graph, weights = nnx.split(vision.folded(vision.load(folder)))

    def network(weights: Any, x: Any) -> Any:
        model: Any = nnx.merge(graph, weights)
        with observed() if how == "xla" else contextlib.nullcontext():
            return model(x)

    call, x = jax.jit(network), jax.device_put(pictures(batch, pixels))
    found = np.asarray(call(weights, x))
    jax.block_until_ready(call(weights, x))
    yield {"logits": found.ravel().tolist()}
    while True:
        clock = Clock()
        jax.block_until_ready(call(weights, x))
        yield clock.both()


def theirs(folder: str, batch: int, pixels: int, how: str) -> Iterator[dict[str, Any]]:
    """timm's network on torch; `how` is one of `PEERS`."""
    import torch

    from workbench.measure.device import threads_available

    torch.set_num_threads(threads_available())
    network = timm_network(folder)
    if "folded" in how:
        fold(network)
    kind = torch.contiguous_format if "first" in how else torch.channels_last
    network = network.to(memory_format=kind)
    x = torch.from_numpy(pictures(batch, pixels)).permute(0, 3, 1, 2).contiguous(memory_format=kind)
    with torch.inference_mode():
        found = network(x).numpy().copy()
        network(x)
        yield {"logits": found.ravel().tolist()}
        while True:
            clock = Clock()
            network(x)
            yield clock.both()


def write_theirs(folder: str, name: str) -> None:
    """A folder as timm writes it for its hub: `config.json` and `model.safetensors`."""
    with without_torchvision() as peers:
        import timm

        network = peers.randomised(timm.create_model(name))
        timm.models._hub.save_for_hf(network, Path(folder), safe_serialization=True)


def write_ours(folder: str, name: str) -> None:
    """The same kind of folder, where there is no timm."""
    from workbench import vision

    vision.save(vision.new(vision.published(name)), folder)


def timm_network(folder: str) -> Any:
    """timm's network with the folder's weights."""
    import json

    with without_torchvision():
        import timm
        from safetensors.torch import load_file

        name = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))[
            "architecture"
        ]
        network = timm.create_model(name).eval()
    network.load_state_dict(load_file(Path(folder) / "model.safetensors"))
    return network


def fold(network: Any) -> None:
    """Batch norms into the convolutions registered just before them, in place."""
    import torch
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    for owner in list(network.modules()):
        children = list(owner.named_children())
        for (conv_name, conv), (norm_name, norm) in pairwise(children):
            if isinstance(conv, torch.nn.Conv2d) and isinstance(norm, torch.nn.BatchNorm2d):
                setattr(owner, conv_name, fuse_conv_bn_eval(conv, norm))
                setattr(owner, norm_name, getattr(norm, "act", torch.nn.Identity()))


@contextlib.contextmanager
def without_torchvision() -> Iterator[Any]:
    """timm can be imported inside; gives the module that makes it so."""
    from tests.parity import without_torchvision as peers

    with peers.stand_in():
        yield peers


if __name__ == "__main__":
    sys.exit(main())
