"""One forward pass of the Stable Diffusion 1.5 UNet on this CPU, beside diffusers on torch.

True configuration, random weights written by diffusers, float32, a batch of 2 (as guidance needs)
on 64 x 64 latents with 77 tokens. This side runs the driver's own program of a full step, the
sampler's update with it. Each side has a process of its own; they take turns.

python benchmarks/stable_diffusion_unet.py [--tiny] [--rounds N] [--threads one] [--folder DIR]

Needs torch and diffusers beside jax: `make test-parity` makes `.venv-parity`, which runs this where
this Python has no torch. The full form needs 12 GiB of memory and 3.5 GB of disk.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from record import THREADS, Benchmark, Figure, elsewhere, ratio
from sides import Clock, Memory, apart, worker

SCRIPT = Path(__file__).stem
NO_TORCH = "skipped: diffusers' side, for torch and diffusers are not here (make test-parity)"
CROSS_DOWN, CROSS_UP = "CrossAttnDownBlock2D", "CrossAttnUpBlock2D"
FULL = {
    "sample_size": 64,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": [320, 640, 1280, 1280],
    "down_block_types": [CROSS_DOWN, CROSS_DOWN, CROSS_DOWN, "DownBlock2D"],
    "up_block_types": ["UpBlock2D", CROSS_UP, CROSS_UP, CROSS_UP],
    "layers_per_block": 2,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
SMALL = {
    **FULL,
    "sample_size": 16,
    "block_out_channels": [32, 64],
    "down_block_types": [CROSS_DOWN, "DownBlock2D"],
    "up_block_types": ["UpBlock2D", CROSS_UP],
    "layers_per_block": 1,
    "cross_attention_dim": 32,
}
BATCH, TOKENS, STEPS = 2, 77, 50
LARGEST_ERROR = 1e-4
PLAIN, WEIGHTS, PEER = "this UNet", "this UNet, transformed weights kept", "diffusers"


def main() -> int:
    """Writes the model, then rounds by turns for each way to hold the weights."""
    if (status := elsewhere(__file__)) is not None:
        return status
    more = [
        ("--rounds", {"type": int, "default": 5}),
        ("--folder", {"type": Path, "help": "keep the model here, and use it if it is there"}),
        THREADS,
    ]
    bench, options = Benchmark.from_command(__file__, "SD 1.5 UNet beside diffusers", more=more)
    peer = find_spec("torch") is not None and find_spec("diffusers") is not None
    if not peer:
        print(NO_TORCH)
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder = options.folder or scratch
        fields = SMALL if bench.tiny else FULL
        if not (folder / "unet" / "config.json").exists():
            apart(SCRIPT, write if peer else write_ours, folder, fields)
        inputs(folder, fields)
        rounds = 2 if bench.tiny else options.rounds
        cold = stack.enter_context(worker(SCRIPT, ours, folder, scratch, False))
        started = {f"{PLAIN}, compiling": cold.ask("start")}
        cold.close()
        other = stack.enter_context(worker(SCRIPT, theirs, folder, scratch)) if peer else None
        if other:
            started[PEER] = other.ask("start")
        calls: dict[str, list[dict[str, float]]] = {}
        for name, kept in ((PLAIN, False), (WEIGHTS, True)):
            here = stack.enter_context(worker(SCRIPT, ours, folder, scratch, kept))
            started[name] = here.ask("start")
            sides = {name: here, **({PEER: other} if other else {})}
            found = {side: [] for side in sides}
            for _ in range(rounds):
                for side, process in sides.items():
                    found[side].append(process.ask("call"))
            started[name] |= here.ask("finish")
            here.close()
            calls[name] = found[name]
            calls[f"{PEER} beside {name}"] = found.get(PEER, [])
        if other:
            started[PEER] |= other.ask("finish")
        report(bench, started, calls, peer)
    bench.finish()
    return 0


def report(bench: Benchmark, started: dict[str, Any], calls: dict[str, Any], peer: bool) -> None:
    """Figures of both sides, and whether they agree."""
    import numpy as np

    outputs = {name: found.pop("output") for name, found in started.items()}
    bench.raw |= {"processes": started, "calls": calls}
    for name in (PLAIN, WEIGHTS):
        seconds = [one["seconds"] for one in calls[name]]
        low, middle, high = (float(q) for q in np.quantile(seconds, (0.25, 0.5, 0.75)))
        bench.add(Figure(f"{name}: forward", middle, "s", low, high))
        if peer:
            beside = calls[f"{PEER} beside {name}"]
            bound = 1.0 if bench.threads == "one" else 1.1
            bench.add(
                ratio(
                    f"{name}: time over diffusers'",
                    seconds,
                    [one["seconds"] for one in beside],
                    at_most=bound,
                )
            )
    if peer:
        both = calls[f"{PEER} beside {PLAIN}"] + calls[f"{PEER} beside {WEIGHTS}"]
        seconds = [one["seconds"] for one in both]
        low, middle, high = (float(q) for q in np.quantile(seconds, (0.25, 0.5, 0.75)))
        bench.add(Figure("diffusers: forward", middle, "s", low, high))
    add_start(bench, started, peer)
    floor(bench, started[PLAIN], calls[PLAIN])
    if not peer:
        return
    expected = np.load(outputs[PEER]).transpose(0, 2, 3, 1)
    for name in (PLAIN, WEIGHTS):
        error = float(np.abs(np.load(outputs[name]) - expected).max())
        bench.raw[f"largest value, {name}"] = float(np.abs(expected).max())
        if not error < LARGEST_ERROR:
            raise AssertionError(f"{name} is {error} away from diffusers")
        bench.add(Figure(f"{name}: largest difference", error, "", at_most=LARGEST_ERROR))


def add_start(bench: Benchmark, started: dict[str, Any], peer: bool) -> None:
    """Loading, compiling and memory."""
    for name, found in started.items():
        bench.add(Figure(f"{name}: loading", found["load"], "s"))
        peak = found["load_peak"] / 1e9
        bench.add(Figure(f"{name}: peak memory of loading above imports", peak, "GB"))
        if "compile" in found:
            cached = name in (PLAIN, WEIGHTS)
            word = "traced and compiled" if name != PLAIN else "traced and compiled, seen before"
            target = 3.0 if name == PLAIN and cached else None
            bench.add(Figure(f"{name}: {word}", found["compile"], "s", at_most=target))
        if "peak" in found:
            bench.add(Figure(f"{name}: peak memory above imports", found["peak"] / 1e9, "GB"))
    if peer:
        for name, bound in ((PLAIN, 1.2), (WEIGHTS, 1.5)):
            value = started[name]["peak"] / started[PEER]["peak"]
            bench.add(Figure(f"{name}: peak over diffusers'", value, "×", at_most=bound))


def floor(bench: Benchmark, found: dict[str, Any], calls: Any) -> None:
    """The definition's products at the rate of one large product here."""
    least = found["macs"] / found["macs_per_s"]
    middle = sorted(one["seconds"] for one in calls)[len(calls) // 2]
    bench.add(
        Figure("products of the definition", found["macs"] / 1e9, "GMAC", basis="modelled"),
        Figure("rate of one large product here", found["macs_per_s"] / 1e9, "GMAC/s"),
        Figure("all products at that rate", least, "s", basis="modelled"),
        Figure(f"{PLAIN}: forward over that", middle / least, "×"),
    )


def ours(folder: str, scratch: str, kept: bool) -> Iterator[dict[str, Any]]:
    """Loads and compiles; then a forward pass whenever it is asked."""
    import jax
    import numpy as np
    from flax import nnx

    from workbench.diffusion import driver
    from workbench.diffusion.checkpoint import load_unet
    from workbench.diffusion.pipeline import flat_weights
    from workbench.diffusion.unet.winograd import transform_kernels
    from workbench.model_files.precision import FLOAT32

    jax.config.update("jax_compilation_cache_dir", str(Path(scratch) / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.devices()
    watch = Memory()
    clock = Clock()
    unet = load_unet(folder + "/unet")
    jax.block_until_ready(jax.tree.leaves(nnx.split(unet)[1]))
    config, held = unet.config, FLOAT32
    changed = 0
    if kept:
        held = replace(held, transformed=(config.sample_size, config.sample_size, BATCH))
        changed = transform_kernels(unet, *held.transformed)
    found: dict[str, Any] = {"load": clock.seconds(), "load_peak": watch.peak()}
    weights = flat_weights(unet)
    del unet
    given = step(folder)
    clock = Clock()
    work = driver.programs(config, held)
    compiled = work.full.lower((driver.OUTPUT,), weights, *given).compile()
    found |= {"compile": clock.seconds(), "kernels transformed": changed}
    plan = compiled.memory_analysis()
    found["XLA's estimate of temporaries"] = plan.temp_size_in_bytes
    output = f"{scratch}/ours_{kept}.npy"
    np.save(output, np.asarray(compiled(weights, *given)[-1][driver.OUTPUT]))
    word = yield {**found, "output": output}
    while word != "finish":
        clock = Clock()
        jax.block_until_ready(compiled(weights, *given))
        word = yield clock.both()
    peak = watch.peak()
    yield {"peak": peak, "macs": macs(work, weights, given), "macs_per_s": product_rate()}


def step(folder: str) -> Any:
    """What the driver gives a step: the sample, the step's row, and what is fixed."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from workbench.diffusion import steps
    from workbench.diffusion.schedulers import DDIM, start

    arrays = np.load(folder + "/inputs.npz")
    x, t = jnp.asarray(arrays["x"]), arrays["t"]
    row = DDIM(clip_sample=False).plan(STEPS).table[:1]
    rows = steps.Rows(t, np.asarray(row), np.zeros(1, np.float32), t.astype(np.int32))
    keys = jax.vmap(jax.random.key)(np.zeros(1, np.uint32))
    context, guidance = jnp.asarray(arrays["context"]), jnp.float32(7.5)
    return steps.Carry(x, start(x)), rows, steps.Conditions(context, guidance, x, keys)


def macs(work: Any, weights: Any, given: Any) -> int:
    """Multiply-accumulates of the definition: minimal filtering is not counted as fewer."""
    from workbench.diffusion.steps import passes
    from workbench.measure.macs import count

    def forward(weights: Any, carry: Any, rows: Any, fixed: Any) -> Any:
        x, t = passes(carry.x, rows, fixed), rows.timestep[0]
        return work.unet(weights)(x, t, fixed.context)

    return count(forward, weights, *given).total


def product_rate(size: int = 2048, repeats: int = 7) -> float:
    """Multiply-accumulates a second of one product, the best of some."""
    import jax
    import jax.numpy as jnp

    array = jnp.ones((size, size), jnp.float32)
    product = jax.jit(jnp.matmul)
    jax.block_until_ready(product(array, array))
    seconds = []
    for _ in range(repeats):
        clock = Clock()
        jax.block_until_ready(product(array, array))
        seconds.append(clock.seconds())
    return size**3 / min(seconds)


def theirs(folder: str, scratch: str) -> Iterator[dict[str, Any]]:
    """The same with diffusers: channels last where that is the faster of two calls."""
    import numpy as np
    import torch
    from diffusers import UNet2DConditionModel

    from workbench.measure.device import threads_available

    torch.set_num_threads(threads_available())
    watch = Memory()
    clock = Clock()
    unet: Any = UNet2DConditionModel.from_pretrained(folder + "/unet").eval()
    found: dict[str, Any] = {"load": clock.seconds(), "load_peak": watch.peak()}
    arrays = np.load(folder + "/inputs.npz")
    x = torch.from_numpy(arrays["x"].transpose(0, 3, 1, 2).repeat(BATCH, 0))
    t, context = torch.from_numpy(arrays["t"]), torch.from_numpy(arrays["context"])

    def forward() -> Any:
        with torch.inference_mode():
            return unet(x, t, encoder_hidden_states=context, return_dict=False)[0]

    output = f"{scratch}/theirs.npy"
    np.save(output, forward().numpy())
    word = yield {**found, "output": output}
    while word != "finish":
        clock = Clock()
        forward()
        word = yield clock.both()
    yield {"peak": watch.peak()}


def write(folder: str, fields: dict[str, Any]) -> None:
    """The model, by diffusers, with its own random weights."""
    import torch
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    UNet2DConditionModel(**fields).save_pretrained(folder + "/unet")


def write_ours(folder: str, fields: dict[str, Any]) -> None:
    """The model, by this library, where diffusers is not here."""
    from workbench.diffusion.checkpoint import save_unet
    from workbench.diffusion.unet import UNetConfig, new_unet

    save_unet(new_unet(UNetConfig.from_file_fields(fields)), folder + "/unet")


def inputs(folder: Path, fields: dict[str, Any]) -> None:
    """What both sides read: an NHWC latent for every pass, a timestep, and contexts."""
    import numpy as np

    rng = np.random.default_rng(0)
    size, width = fields["sample_size"], fields["cross_attention_dim"]
    x = rng.standard_normal((1, size, size, fields["in_channels"]), dtype=np.float32)
    context = rng.standard_normal((BATCH, TOKENS, width), dtype=np.float32)
    np.savez(folder / "inputs.npz", x=x, t=np.full((1,), 501.0, np.float32), context=context)


if __name__ == "__main__":
    sys.exit(main())
