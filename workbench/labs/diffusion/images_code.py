"""Text to image, copied as code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.labs.diffusion.export import model_code
from workbench.labs.diffusion.images_form import CHECKPOINT, DRAWING, PROMPT, method_of, seeds_of
from workbench.panels.view import Values

if TYPE_CHECKING:
    from workbench.diffusion.pipeline import Pipeline


def code(values: Values, given: Pipeline | None) -> str:
    """Python that draws the same pictures and saves them."""
    checkpoint: Any = values[CHECKPOINT]
    prompt: Any = values[PROMPT]
    drawing: Any = values[DRAWING]
    method = method_of(values)
    lines = ["from workbench.labs import diffusion"]
    if method is not None:
        lines.append(f"from {type(method).__module__} import {type(method).__name__}")
    lines += ["", *_model(checkpoint, given)]
    sampling = {
        "sampler": None if drawing.sampler == "own" else drawing.sampler,
        "steps": drawing.steps,
        "guidance": drawing.guidance,
    }
    chosen = [f"{name}={value!r}" for name, value in sampling.items() if value is not None]
    lines.append(f"model = model.with_sampling({', '.join(chosen)})" if chosen else "")
    if drawing.height is not None or drawing.width is not None:
        lines += ["height, width = model.picture_size"] * (None in (drawing.height, drawing.width))
        height, width = drawing.height or "height", drawing.width or "width"
        lines.append(f"model = model.with_size({height}, {width})")
    seeds = seeds_of(values)
    arguments = ["model", repr(prompt.prompt)]
    arguments += [f"negative={prompt.negative!r}"] if prompt.negative else []
    arguments.append(f"seeds=range({seeds[0]}, {seeds[-1] + 1})")
    arguments += [] if method is None else [f"method={method.code()}"]
    arguments.append(f"at_once={drawing.at_once}")
    lines += ["made = diffusion.generate(", *(f"    {one}," for one in arguments), ")"]
    return "\n".join(
        [line for line in lines if line or line is lines[1]] + ["made.save('pictures')", ""]
    )


def _model(checkpoint: Any, given: Pipeline | None) -> list[str]:
    if checkpoint.path:
        more = "" if checkpoint.precision == "float32" else f", dtype={checkpoint.precision!r}"
        more += f", tokenizer={checkpoint.tokenizer!r}" if checkpoint.tokenizer else ""
        return [
            "from workbench.diffusion import load_pipeline",
            "",
            f"model = load_pipeline({checkpoint.path!r}{more})",
        ]
    if given is None:
        return ["model = diffusion.pipeline()"]
    note, model = model_code(given)
    return note or [f"model = {model}", f"model = model.with_sampling({_own_sampling(given)})"]


def _own_sampling(given: Pipeline) -> str:
    """Sampler, steps and guidance a model was given with, which its folder does not hold."""
    from workbench.diffusion.pipeline import SAMPLERS

    own = [f"steps={given.steps}", f"guidance={given.guidance!r}"]
    if given.scheduler != (given.first_scheduler or given.scheduler):
        kind = next(name for name, made in SAMPLERS.items() if type(given.scheduler) is made)
        own.insert(0, f"sampler={kind!r}")
    return ", ".join(own)
