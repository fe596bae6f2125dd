"""`model_index.json`: which parts a pipeline has, and of which classes."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.checkpoints import CheckpointError
from workbench.diffusion.loading.source import INDEX, UNREAD

SD, XL, DIT = "StableDiffusionPipeline", "StableDiffusionXLPipeline", "DiTPipeline"
CLIP, CLIP_PROJECTED = "CLIPTextModel", "CLIPTextModelWithProjection"
TOKENIZERS = ("CLIPTokenizer", "CLIPTokenizerFast")

# Parts of each kind of pipeline, with the classes that can be read there; None: any scheduler.
PARTS: dict[str, dict[str, tuple[str, ...] | None]] = {
    SD: {
        "unet": ("UNet2DConditionModel",),
        "vae": ("AutoencoderKL",),
        "text_encoder": (CLIP,),
        "tokenizer": TOKENIZERS,
        "scheduler": None,
    },
    XL: {
        "unet": ("UNet2DConditionModel",),
        "vae": ("AutoencoderKL",),
        "text_encoder": (CLIP,),
        "text_encoder_2": (CLIP_PROJECTED,),
        "tokenizer": TOKENIZERS,
        "tokenizer_2": TOKENIZERS,
        "scheduler": None,
    },
    DIT: {
        "transformer": ("DiTTransformer2DModel", "Transformer2DModel"),
        "vae": ("AutoencoderKL",),
        "scheduler": None,
    },
}

# Pipelines that hold the same parts for another task, by mathematics, not by spelling.
_NEAREST = {
    "StableDiffusionImg2ImgPipeline": SD,
    "StableDiffusionInpaintPipeline": SD,
    "StableDiffusionControlNetPipeline": SD,
    "LatentConsistencyModelPipeline": SD,
    "StableDiffusionXLImg2ImgPipeline": XL,
    "StableDiffusionXLControlNetPipeline": XL,
}


@dataclass(frozen=True)
class Index:
    """A pipeline's class and settings."""

    kind: str
    settings: Mapping[str, Any]


def read_index(folder: Path, kind: str | None = None) -> Index:
    """Read `model_index.json` and hold it against the folder.

    Args:
        folder: of the whole pipeline.
        kind: read it as this class instead of its own.

    Raises:
        CheckpointError: no index, an unknown class, a part of a wrong class, or a part missing.
    """
    file = folder / INDEX
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(
            f"{file}: cannot be read: {error.strerror or error}; a pipeline's folder holds one"
        ) from error
    except ValueError as error:
        raise CheckpointError(f"{file}: not valid JSON ({error})") from error
    if not isinstance(fields, dict):
        raise CheckpointError(f"{file}: holds {type(fields).__name__}, needed an object of parts")
    name = kind or str(fields.get("_class_name", ""))
    if name not in PARTS:
        near = (
            _NEAREST.get(name) or (difflib.get_close_matches(name, PARTS, n=1, cutoff=0) or [SD])[0]
        )
        raise CheckpointError(
            f"{file}: pipeline class {name or '(no _class_name)'} is not supported; the nearest is "
            f"{near} (pass kind={near!r} to read the folder as that one); all: {', '.join(PARTS)}"
        )
    for part, classes in PARTS[name].items():
        _check_part(file, fields, name, part, classes)
    unknown = _unknown_parts(fields, name)
    if unknown:
        raise CheckpointError(
            f"{file}: {name} has no part {unknown[0]!r} here; its parts: {', '.join(PARTS[name])}"
        )
    return Index(name, fields)


def _check_part(
    file: Path, fields: Mapping[str, Any], kind: str, part: str, classes: tuple[str, ...] | None
) -> None:
    entry = fields.get(part)
    found = entry[1] if isinstance(entry, list) and len(entry) == 2 else None
    if found is None:
        raise CheckpointError(f"{file}: names no {part}; {kind} needs one")
    if classes is not None and found not in classes:
        raise CheckpointError(
            f"{file}: {part} is of class {found}; {kind} is read with {' or '.join(classes)} there"
        )
    if not (file.parent / part).is_dir():
        raise CheckpointError(
            f"{file.parent / part}: missing; {INDEX} names this part, copy or download it"
        )


def _unknown_parts(fields: Mapping[str, Any], kind: str) -> list[str]:
    """Parts the index names with a class, beyond those read or ignored."""
    return [
        part
        for part, entry in fields.items()
        if isinstance(entry, list)
        and len(entry) == 2
        and all(isinstance(word, str) for word in entry)
        and part not in PARTS[kind]
        and part not in UNREAD
    ]
