"""`load_pipeline`: one call for every form a checkpoint comes in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workbench import home
from workbench.checkpoints import CheckpointError
from workbench.checkpoints.header import refuse_pickle
from workbench.diffusion.loading.assembly import Settings
from workbench.diffusion.loading.folders import load_folder
from workbench.diffusion.loading.single_files import load_file
from workbench.diffusion.loading.source import find
from workbench.diffusion.pipeline import Pipeline
from workbench.diffusion.schedulers import Scheduler
from workbench.model_files.precision import precision


def load_pipeline(
    source: str | Path,
    *,
    dtype: Any = "float32",
    variant: str | None = None,
    kind: str | None = None,
    scheduler: str | Scheduler | None = None,
    tokenizer: str | Path | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    kept_transforms: bool = False,
) -> Pipeline:
    """Read a pipeline: a folder of diffusers, a hub name, or one file of the original layout.

    Stable Diffusion 1, 2, Turbo, XL and XL Turbo; nothing is converted on disk. A hub name is
    looked up in the local cache first, and fetched where it is not there.

    Args:
        source: folder, `.safetensors` file, or hub name such as "owner/model".
        dtype: "float32", "bfloat16" or "int8", of the UNet and the text encoders; the VAE is
            float32 always.
        variant: precision of the files to read, such as "fp16", where a part has several.
        kind: pipeline class to read the index as, instead of the one it names.
        scheduler: scheduler class to read the sampler's file as; for a single file, which holds
            none, the scheduler itself.
        tokenizer: folder or hub name of the vocabulary, for a single file, which holds none;
            without, the one beside the file, else CLIP's own from the hub cache or the hub.
        steps: of the sampler; without, 50, or 4 for distilled models. A step is one call of the
            UNet: with PNDM, diffusers calls n of them n - 1.
        guidance: scale of classifier-free guidance; without, 7.5, 5 for XL, 1 (none) for distilled
            models. 0 leaves the prompt out: where a model's card says 0 for none, give 1.
        kept_transforms: keep a float32 UNet's kernels transformed for minimal filtering where the
            transformed ones were measured to pay on this processor, for pictures of its own size,
            instead of transforming them before each use. The pictures are the same up to rounding.
            Of Stable Diffusion 1.5 it takes 0.6 GB more, and about 2 GB more while loading, and
            hardly wins time: `benchmarks/stable_diffusion_unet.py`. Such a pipeline takes no LoRA
            and is not saved.

    Raises:
        CheckpointError: what is missing, broken, of another class, or does not fit; one line that
            names the file.

    Cost: memory of the weights and one tensor.
    """
    home.keep_compiled()
    if kept_transforms and (name := precision(dtype).name) != "float32":
        raise CheckpointError(
            f"{source}: kept_transforms=True needs dtype='float32': kernels in {name} are turned "
            "into floats at every use"
        )
    place = find(source, variant)
    settings = Settings(dtype, steps, guidance, kept_transforms)
    if place.is_file():
        refuse_pickle(place)
        if isinstance(scheduler, str):
            raise CheckpointError(
                f"{place}: a single file holds no sampler to read as {scheduler}; pass a scheduler"
            )
        _only_for("a folder", place, kind=kind, variant=variant)
        return load_file(place, settings, dtype=dtype, tokenizer=tokenizer, scheduler=scheduler)
    if isinstance(scheduler, Scheduler):
        raise CheckpointError(
            f"{place}: holds its own sampler; pass scheduler= the name of a class to read it as"
        )
    _only_for("a single file", place, tokenizer=tokenizer)
    if (place / "class_tokens").is_dir():
        more = {"scheduler": scheduler, "kept_transforms": kept_transforms or None}
        _only_for("text models", place, kind=kind, variant=variant, **more)
        given: dict[str, Any] = {"steps": steps, "guidance": guidance, "dtype": dtype}
        return Pipeline.load(place, **{k: v for k, v in given.items() if v is not None})
    return load_folder(
        place, settings, dtype=dtype, variant=variant, kind=kind, scheduler=scheduler
    )


def _only_for(form: str, place: Path, **given: Any) -> None:
    """Refuses arguments of another form of checkpoint: none is dropped in silence."""
    for name, value in given.items():
        if value is not None:
            raise CheckpointError(
                f"{place}: {name}={str(value)!r} is for {form}; leave it out here"
            )
