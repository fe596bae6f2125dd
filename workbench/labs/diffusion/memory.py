"""Peak memory of one sampling run, above imports, in a process of its own."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from workbench.home import compile_cache
from workbench.study.method import Method

if TYPE_CHECKING:
    from workbench.measure.memory import PeakMemory

HERE = "workbench.labs.diffusion.memory"


def peak(method: Method, settings: dict[str, Any]) -> PeakMemory | None:
    """Memory of loading the model and sampling one batch.

    None for a method that lives in a notebook, which another process cannot import, for a model
    that no folder holds, and where the process could not be measured.

    Args:
        settings: arguments of `study`, and those of `pipeline` as `model`.
    """
    from workbench.measure.memory import FreshProcessError, peak_in_fresh_process

    kind = type(method)
    knobs = method.knobs.model_dump(mode="json")
    if kind.__module__ == "__main__" or not settings["model"]["folder"]:
        return None
    try:
        # The first process compiles and keeps what it compiled; the last one only samples.
        for _ in range(2):
            found = peak_in_fresh_process(
                f"{HERE}:run",
                [kind.__module__, kind.__qualname__, knobs, settings],
                imports=[HERE, "workbench.diffusion.driver", "workbench.diffusion.pipeline"],
                env={
                    "JAX_COMPILATION_CACHE_DIR": str(compile_cache()),
                    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                },
            )
    except FreshProcessError:
        return None
    return found


def run(module: str, name: str, knobs: dict[str, Any], settings: dict[str, Any]) -> None:
    """Load the model and sample one batch with a method."""
    import jax

    from workbench.labs.diffusion.sampling_study import pipeline, study

    kind: type[Method] = getattr(import_module(module), name)
    method = kind(kind.Knobs.model_validate(knobs))
    about = study(pipeline(**settings.pop("model")), **settings)
    artifact = method.prepare(about.subject)
    jax.block_until_ready(method.apply(artifact, about.inputs(about.seeds[: about.batch])))
