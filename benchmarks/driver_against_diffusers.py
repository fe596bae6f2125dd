"""Full sampling under this driver beside diffusers' loop: same weights, sampler and threads.

The peer is torch with `UNet2DConditionModel` and `DDIMScheduler` in inference mode, in every form
that works here (plain, channels last, compiled, one thread or all); the fastest counts. Both read
one folder in diffusers' layout and start from the same noise; what they end with is compared.

python benchmarks/driver_against_diffusers.py [--tiny] [--repeats N] [--only NAME] [--form FORM]

Needs torch and diffusers beside jax: `make test-parity` makes `.venv-parity`, which runs this where
this Python has no torch.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from plan_speedup import DIGITS, SMALL, TINY, Case, pipeline
from record import FOLDER, ROOT, Benchmark, Figure, elsewhere

NO_TORCH = "skipped: diffusers' side, for torch and diffusers are not here (make test-parity)"
REPEATS = {"digits": 9, "small": 5, "tiny": 2}
FORMS = (
    "channels last",
    "channels last, one thread",
    "plain",
    "compiled",
    "compiled, channels last",
    "compiled, channels last, one thread",
)
"""One thread too: on cores that other programs share, two that wait for each other are slower."""
LARGEST_ERROR = 1e-2
MEMORY_STEPS = 3


def main() -> int:
    """Both shapes: time by turns, what they end with, memory in fresh processes."""
    if (status := elsewhere(__file__)) is not None:
        return status
    more = [
        ("--repeats", {"type": int}),
        ("--only", {"choices": ("digits", "small")}),
        ("--form", {"choices": FORMS, "help": "diffusers in this form, without the search"}),
    ]
    bench, options = Benchmark.from_command(__file__, "Full sampling beside diffusers", more=more)
    peer = find_spec("torch") is not None and find_spec("diffusers") is not None
    if not peer:
        print(NO_TORCH)
    cases = [TINY] if bench.tiny else [c for c in (DIGITS, SMALL) if options.only in (None, c.name)]
    for case in cases:
        about = bench.raw.setdefault(case.name, {"batch": case.batch})
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write(case, folder)
            form = (options.form or fastest_form(folder, about, bench.tiny)) if peer else None
            compare(bench, case, folder, form, options.repeats or REPEATS[case.name])
            if not bench.tiny:
                memory(bench, case, folder, form)
    bench.finish()
    return 0


def write(case: Case, folder: Path) -> None:
    """A case as a folder: weights, sampler, tokens, and the inputs of both sides."""
    import numpy as np

    from workbench.diffusion.checkpoint import save_unet
    from workbench.diffusion.schedulers import save_scheduler
    from workbench.diffusion.unet import new_unet

    subject = pipeline(case)
    save_unet(new_unet(subject.config), folder / "unet")
    save_scheduler(subject.scheduler, folder / "scheduler")
    subject.tokens.save(folder / "class_tokens")
    inputs = subject.inputs(tuple(range(case.batch)))
    context = np.concatenate([np.asarray(inputs.blank), np.asarray(inputs.context)])
    noise = np.asarray(inputs.noise).transpose(0, 3, 1, 2)
    np.savez(folder / "inputs.npz", noise=np.ascontiguousarray(noise), context=context)
    settings = {"steps": subject.steps, "guidance": subject.guidance, "batch": case.batch}
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")


def ours(folder: Path, steps: int | None = None) -> Callable[[], Any]:
    """This driver over the folder, full sampling."""
    from workbench.diffusion.driver import sample
    from workbench.diffusion.pipeline import Pipeline

    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    wanted = steps or settings["steps"]
    subject = Pipeline.load(folder, steps=wanted, guidance=settings["guidance"])
    inputs = subject.inputs(tuple(range(settings["batch"])))
    return lambda: sample(subject, inputs)["latents"]


def theirs(folder: Path, form: str, steps: int | None = None) -> Callable[[], Any]:
    """Diffusers' loop over the folder, in one of FORMS; the last samples, NCHW."""
    import numpy as np
    import torch
    from diffusers import DDIMScheduler, UNet2DConditionModel

    from workbench.measure.device import threads_available

    threads = 1 if "one thread" in form else threads_available()
    torch.set_num_threads(threads)
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    guidance, wanted = settings["guidance"], steps or settings["steps"]
    kind = torch.channels_last if "channels last" in form else torch.contiguous_format
    unet: Any = UNet2DConditionModel.from_pretrained(folder / "unet").eval().to(memory_format=kind)
    if "compiled" in form:
        unet = torch.compile(unet)
    scheduler = DDIMScheduler.from_pretrained(folder / "scheduler")
    given = np.load(folder / "inputs.npz")
    noise, context = torch.from_numpy(given["noise"]), torch.from_numpy(given["context"])

    def loop() -> Any:
        torch.set_num_threads(threads)  # loops of other forms ran since
        scheduler.set_timesteps(wanted)
        x = noise
        with torch.inference_mode():
            for t in scheduler.timesteps:
                both = torch.cat([x, x]).contiguous(memory_format=kind)
                output = unet(both, t, encoder_hidden_states=context, return_dict=False)[0]
                blank, asked = output.chunk(2)
                x = scheduler.step(blank + guidance * (asked - blank), t, x).prev_sample
        return x

    return loop


def fastest_form(folder: Path, about: dict[str, Any], tiny: bool) -> str:
    """The peer's fastest form over a few steps; a form that fails here is noted and left out."""
    from workbench.measure.timing import interleaved

    loops, found = {}, {}
    for form in FORMS[:2] if tiny else FORMS:
        start = time.perf_counter()
        try:
            loops[form] = theirs(folder, form, steps=5)
            loops[form]()
            found[form] = {"first call": time.perf_counter() - start}
        except Exception as error:  # a compiler that is not there, in one of many ways
            loops.pop(form, None)
            found[form] = {"failed": f"{type(error).__name__}: {str(error).splitlines()[0][:160]}"}
    for form, timing in interleaved(loops, repeats=2 if tiny else 7).items():
        found[form] |= {"seconds": timing.median, "low": timing.low, "samples": timing.samples}
    about["forms of diffusers, 5 steps"] = found
    return min(loops, key=lambda form: found[form]["seconds"])


def compare(bench: Benchmark, case: Case, folder: Path, form: str | None, repeats: int) -> None:
    """Time by turns in one process, and what both end with."""
    import numpy as np

    from workbench.measure.timing import interleaved

    thunks = {"this driver": ours(folder)}
    words = {"this driver": "this driver"}
    if form is not None:
        thunks["diffusers"] = theirs(folder, form)
        words["diffusers"] = f"diffusers ({form})"
    timed = interleaved(thunks, repeats=repeats)
    bench.add_timings({f"{case.name}: {name}": timing for name, timing in timed.items()})
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    for name, timing in timed.items():
        first, third = (1e3 * q / settings["steps"] for q in timing.quartiles)
        value = 1e3 * timing.median / settings["steps"]
        bench.add(Figure(f"{case.words}: {words[name]}, a step", value, "ms", first, third))
    if form is None:
        return
    pairs = list(zip(timed["this driver"].samples, timed["diffusers"].samples, strict=True))
    low, middle, high = (
        float(q) for q in np.quantile([a / b for a, b in pairs], (0.25, 0.5, 0.75))
    )
    title = f"{case.words}: time of this driver over diffusers'"
    bench.add(Figure(title, middle, "×", low, high, at_most=1.0))
    here = np.asarray(thunks["this driver"]())[:, -1]
    there = thunks["diffusers"]().numpy().transpose(0, 2, 3, 1)
    error = float(np.abs(here - there).max())
    cpu = timed["this driver"].cpu_median / timed["diffusers"].cpu_median
    bench.raw[case.name] |= {
        "form of diffusers": form, "processor time over diffusers'": cpu,
        "largest difference of the samples": error, "largest value": float(np.abs(there).max()),
    }  # fmt: skip
    if not error < LARGEST_ERROR:
        raise AssertionError(f"{case.name}: the two end {error} apart")
    title = f"{case.words}: largest difference from diffusers' samples, in a range of 2"
    bench.add(Figure(title, error, "", at_most=LARGEST_ERROR))


def memory(bench: Benchmark, case: Case, folder: Path, form: str | None) -> None:
    """High-water marks of loading and a few steps, in fresh processes above the import level."""
    from workbench.measure.memory import peak_in_fresh_process

    cache = {
        "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    driver = ["workbench.diffusion.driver", "numpy"]
    peer = ["torch", "diffusers", "diffusers.models.unets.unet_2d_condition"]
    runs: dict[str, tuple[str, list[str], dict[str, str], list[str]]] = {
        "this driver, compiling": ("run_ours", [], cache, driver),
        "this driver": ("run_ours", [], cache, driver),
    }
    if form is not None:
        plain = form.replace("compiled, ", "").replace("compiled", "plain")
        runs |= {f"diffusers ({f})": ("run_theirs", [f], {}, peer) for f in (plain, form)}
    for name, (function, more, env, imports) in runs.items():
        peak = peak_in_fresh_process(
            f"driver_against_diffusers:{function}",
            [str(folder), *more],
            imports=imports,
            env=env,
            paths=[FOLDER, ROOT],
        )
        bench.raw[case.name][f"memory, {name}"] = peak.as_json()
        title = f"{case.words}: {name}, peak memory above imports"
        bench.add(Figure(title, peak.above_imports / 1e6, "MB"))


def run_ours(folder: str) -> None:
    """Loads and samples a few steps, in the process that is measured."""
    import jax

    jax.block_until_ready(ours(Path(folder), MEMORY_STEPS)())


def run_theirs(folder: str, form: str) -> None:
    """The same with diffusers."""
    theirs(Path(folder), form, MEMORY_STEPS)()


if __name__ == "__main__":
    sys.exit(main())
