"""Stable Diffusion 1.5 on an NVIDIA GPU: 50 DDIM steps in bfloat16, beside diffusers on torch.

The UNet at its true configuration with random weights written by diffusers, guidance 7.5, a batch
of 1 and of 8; text encoder and VAE are left out on both sides. Ours in full, with encoder
propagation, with DeepCache and with the automatic plan; diffusers as it is, under `torch.compile`,
and with the DeepCache package where that is installed. Every run starts from the same noise, all
take turns in one process.

python benchmarks/stable_diffusion_gpu.py [--tiny] [--repeats N] [--folder DIR] [--no-automatic]
                                          [--torch-mode MODE]

Without a GPU it says so and writes nothing; `--tiny` runs its short form on any device. The peers
need torch with CUDA and diffusers beside jax.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

# Torch allocates on the same device; read when jax starts it.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

from record import Benchmark, Figure
from stable_diffusion_unet import FULL, SMALL, TOKENS, write, write_ours

if TYPE_CHECKING:
    from workbench.diffusion.pipeline import Inputs, Pipeline

NO_GPU = "jax finds no NVIDIA GPU here: nothing is measured"
NO_TORCH = "skipped: diffusers' side, for torch with CUDA and diffusers are not here"
SLOWEST = "max-autotune-no-cudagraphs"
"""Compiles for minutes, for the fastest programs; "default" takes a quarter of them."""

STEPS, GUIDANCE, BATCHES = 50, 7.5, (1, 8)
TINY_STEPS = 6
INTERVAL, BRANCH = 5, 0
OURS, PROPAGATED, CACHED, AUTOMATIC = (
    "this library",
    "this library, encoder propagation",
    f"this library, DeepCache every {INTERVAL} at branch {BRANCH}",
    "this library, automatic plan for half the time",
)
PEER, COMPILED, PACKAGE = (
    "diffusers",
    "diffusers, torch.compile",
    f"diffusers, DeepCache package every {INTERVAL} at branch {BRANCH}",
)


def main() -> int:
    """Every batch size, all sides by turns."""
    more = [
        ("--repeats", {"type": int, "default": 7}),
        ("--folder", {"type": Path, "help": "keep the model here, and use it if it is there"}),
        ("--no-automatic", {"action": "store_true", "help": "leave out the automatic plan"}),
        ("--torch-mode", {"default": SLOWEST, "help": "of torch.compile, as torch names them"}),
    ]
    title = "Stable Diffusion 1.5 on an NVIDIA GPU"
    bench, options = Benchmark.from_command(__file__, title, more=more)
    import jax

    if jax.default_backend() != "gpu" and not bench.tiny:
        print(NO_GPU)
        return 0
    peer = peers_are_here(bench.tiny)
    if not peer:
        print(NO_TORCH)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        if not (folder / "unet" / "config.json").exists():
            (write if find_spec("diffusers") else write_ours)(
                str(folder), SMALL if bench.tiny else FULL
            )
        base = pipeline(folder, TINY_STEPS if bench.tiny else STEPS)
        subjects = plans(base, automatic=not (bench.tiny or options.no_automatic))
        for batch in BATCHES[:1] if bench.tiny else BATCHES:
            repeats = 2 if bench.tiny else options.repeats
            mode = options.torch_mode if peer else ""
            measure(bench, folder, subjects, batch, repeats, mode)
            bench.write()
    bench.finish()
    return 0


def peers_are_here(tiny: bool) -> bool:
    """Whether diffusers and a torch that reaches the GPU are installed."""
    if find_spec("torch") is None or find_spec("diffusers") is None:
        return False
    import torch

    return tiny or torch.cuda.is_available()


def pipeline(folder: Path, steps: int) -> Pipeline:
    """The folder's UNet in bfloat16 under DDIM, reading one of two random texts' features."""
    import jax

    from workbench.diffusion.checkpoint import load_unet
    from workbench.diffusion.conditioning import ClassTokens
    from workbench.diffusion.pipeline import Pipeline, flat_weights
    from workbench.diffusion.plan import Plan
    from workbench.diffusion.schedulers import DDIM
    from workbench.model_files.precision import precision

    unet = load_unet(folder / "unet", dtype="bfloat16")
    width = unet.config.cross_attention_dim
    return Pipeline(
        name="Stable Diffusion 1.5, random weights",
        config=unet.config,
        weights=flat_weights(unet),
        conditioning=ClassTokens.create(2, TOKENS, width, jax.random.key(0)),
        scheduler=DDIM(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
        weights_hash="random, by diffusers",
        steps=steps,
        guidance=GUIDANCE,
        plan=Plan.full(steps),
        precision=precision("bfloat16"),
    )


def plans(base: Pipeline, automatic: bool) -> dict[str, Pipeline]:
    """The same pipeline under every plan."""
    from workbench.diffusion.encoder_propagation import EncoderPropagation
    from workbench.diffusion.feature_inheritance import FeatureInheritance

    propagation = EncoderPropagation(
        key_steps="paper" if base.steps == STEPS else "uniform", injection=0.0
    )
    inheritance = FeatureInheritance(interval=INTERVAL, branch=BRANCH)
    found = {
        OURS: base,
        PROPAGATED: base.with_plan(propagation.plan(base.steps)),
        CACHED: base.with_plan(inheritance.plan(base.steps)),
    }
    if automatic:
        from workbench.diffusion.automatic.method import AutomaticPlan

        chosen = AutomaticPlan(goal="time", budget=0.5, tolerance=1.0).prepare(base)
        if chosen.plan.is_full:
            print("the automatic plan is full sampling: it is not timed again")
        else:
            found[AUTOMATIC] = chosen
    return found


def measure(
    bench: Benchmark,
    folder: Path,
    subjects: dict[str, Pipeline],
    batch: int,
    repeats: int,
    mode: str,
) -> None:
    """Times every side by turns and adds its figures; torch's where `mode` says how to compile."""
    import numpy as np

    from workbench.diffusion.driver import sample
    from workbench.measure.timing import interleaved

    base = subjects[OURS]
    inputs = base.inputs(tuple(range(batch)))

    def run(subject: Pipeline) -> Callable[[], Any]:
        return lambda: sample(subject, inputs)["latents"][:, -1]

    thunks = {name: run(subject) for name, subject in subjects.items()}
    if mode:
        thunks |= theirs(folder, base, inputs, mode)
        bench.raw["torch.compile"] = mode
    timed = interleaved(thunks, repeats=repeats)
    bench.add_timings({f"batch {batch}: {name}": timing for name, timing in timed.items()})
    against = COMPILED if COMPILED in timed else OURS
    for name, timing in timed.items():
        low, high = timing.quartiles
        bench.add(Figure(f"batch {batch}: {name}", timing.median, "s", low, high))
        if name != against:
            each = [a / b for a, b in zip(timed[against].samples, timing.samples, strict=True)]
            low, middle, high = (float(q) for q in np.quantile(each, (0.25, 0.5, 0.75)))
            words = f"batch {batch}: {name}, times as fast as {against}"
            bench.add(Figure(words, middle, "×", low, high))
    if mode:
        here, there = thunks[OURS](), thunks[PEER]()
        distance = float(np.linalg.norm(here - there) / np.linalg.norm(there))
        words = f"batch {batch}: {OURS} from {PEER}, distance of the last latents over their size"
        bench.add(Figure(words, distance, ""))


def theirs(folder: Path, base: Pipeline, inputs: Inputs, mode: str) -> dict[str, Callable[[], Any]]:
    """diffusers' loop in each of its forms; one that cannot be built is named and left out."""
    import torch
    from diffusers import DDIMScheduler, UNet2DConditionModel

    from workbench.diffusion.schedulers import save_scheduler

    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    dtype = torch.bfloat16 if on_gpu else torch.float32
    save_scheduler(base.scheduler, folder / "scheduler")

    def model() -> Any:
        unet: Any = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=dtype)
        return unet.eval().to(device, memory_format=torch.channels_last)

    def scheduler() -> Any:
        return DDIMScheduler.from_pretrained(folder / "scheduler")

    first = model()
    found = {PEER: loop(first, scheduler(), base, inputs)}
    if on_gpu:  # on a CPU the tiny form would wait for a C++ compiler
        compiled = torch.compile(first, mode=mode)
        found[COMPILED] = loop(compiled, scheduler(), base, inputs)
    if find_spec("DeepCache") is None:
        print("skipped: the DeepCache package, which is not here")
        return found
    from DeepCache import DeepCacheSDHelper

    parts = SimpleNamespace(unet=model(), scheduler=scheduler())  # all it reads of a pipeline
    helper = DeepCacheSDHelper(pipe=parts)
    helper.set_params(cache_interval=INTERVAL, cache_branch_id=BRANCH)
    helper.enable()
    found[PACKAGE] = loop(parts.unet, parts.scheduler, base, inputs)
    return found


def loop(unet: Any, scheduler: Any, base: Pipeline, inputs: Inputs) -> Callable[[], Any]:
    """Sampling with guidance as diffusers' pipeline does it; the last latents on the host, NHWC."""
    import numpy as np
    import torch

    weight = next(unet.parameters())
    device, dtype = weight.device, weight.dtype
    context = np.concatenate([np.asarray(inputs.blank), np.asarray(inputs.context)])
    context = torch.from_numpy(context).to(device, dtype)
    noise = torch.from_numpy(np.asarray(inputs.noise).transpose(0, 3, 1, 2).copy())
    noise = noise.to(device, dtype, memory_format=torch.channels_last)

    def run() -> Any:
        scheduler.set_timesteps(base.steps, device=device)
        x = noise * scheduler.init_noise_sigma
        with torch.inference_mode():
            for t in scheduler.timesteps:
                both = scheduler.scale_model_input(torch.cat([x, x]), t)
                output = unet(both, t, encoder_hidden_states=context, return_dict=False)[0]
                blank, asked = output.chunk(2)
                x = scheduler.step(blank + GUIDANCE * (asked - blank), t, x).prev_sample
        return x.float().cpu().numpy().transpose(0, 2, 3, 1)  # waits for the device

    return run


if __name__ == "__main__":
    sys.exit(main())
