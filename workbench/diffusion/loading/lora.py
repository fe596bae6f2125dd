"""LoRA files: low-rank changes of a pipeline's weights, read and merged.

W' = W + scale (alpha / rank) B A (Hu et al. 2022, section 4.1), with A the "down" and B the "up"
matrix of a file; for a convolution, B A is the kernel that the two convolutions make one after the
other.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.checkpoints import CheckpointError, Tensors, open_tensors, require_finite

# Endings of a tensor's name, by its role. The files of trainers and of peft differ.
_ROLES = {
    ".lora_down.weight": "down",
    ".lora_up.weight": "up",
    ".lora_A.weight": "down",
    ".lora_B.weight": "up",
    ".lora_A.default.weight": "down",
    ".lora_B.default.weight": "up",
    ".lora_linear_layer.down.weight": "down",
    ".lora_linear_layer.up.weight": "up",
    ".lora.down.weight": "down",
    ".lora.up.weight": "up",
    "_lora.down.weight": "down",
    "_lora.up.weight": "up",
    ".alpha": "alpha",
}
_OTHER_KINDS = {
    "hada_w1_a": "LoHa",
    "lokr_w1": "LoKr",
    "lokr_w2": "LoKr",
    "dora_scale": "DoRA",
    "lora_magnitude_vector": "DoRA",
    "lora_mid": "a Tucker decomposition",
}
FLAT = {
    "lora_unet": "unet",
    "lora_te": "text_encoder",
    "lora_te1": "text_encoder",
    "lora_te2": "text_encoder_2",
}
NOTES = "lora_adapter_metadata"
PARTS = ("unet", "text_encoder", "text_encoder_2")


@dataclass(frozen=True)
class Change:
    """The low-rank change of one module.

    Args:
        down: name of A in the file.
        up: name of B.
        alpha: its value, the name of the tensor that holds it, or None for the rank.
    """

    down: str
    up: str
    alpha: str | float | None


def read_lora(
    file: str | Path, modules: Mapping[str, Iterable[str]], aliases: Mapping[str, str]
) -> tuple[Tensors, dict[tuple[str, str], Change]]:
    """The changes in a file by part and module, such as ("unet", "mid_block.attentions.0.proj_in").

    Args:
        file: `.safetensors`.
        modules: names of the modules of each part of the pipeline.
        aliases: other names of the UNet's modules, those of the original layout.

    Raises:
        CheckpointError: unreadable, a kind that is not LoRA, or a key that fits nothing; named.
    """
    file = Path(file)
    tensors = open_tensors(file, dtype=np.float32)
    try:
        require_finite(tensors)
    except CheckpointError as error:
        raise CheckpointError(f"{file}: {error}") from error
    names = _flat_names(modules, aliases)
    found: dict[tuple[str, str], dict[str, str]] = {}
    for key in tensors:
        module, role = _split(file, key)
        place = _place(module, modules, aliases, names)
        if place is None:
            known = [name for part in modules.values() for name in part]
            near = difflib.get_close_matches(module.split(".", 1)[-1], known, n=1, cutoff=0.3)
            hint = f"; nearest: {near[0]}" if near else ""
            raise CheckpointError(f"{file}: {key} fits no module of this pipeline{hint}")
        if role in found.setdefault(place, {}):
            raise CheckpointError(f"{file}: {key} and {found[place][role]} change the same module")
        found[place][role] = key
    changes = {}
    for place, roles in found.items():
        for role in ("down", "up"):
            if role not in roles:
                some = next(iter(roles.values()))
                raise CheckpointError(f"{file}: {some} has no {role} matrix beside it")
        alpha = roles.get("alpha", _noted_alpha(file, tensors.metadata, *place))
        changes[place] = Change(roles["down"], roles["up"], alpha)
    if not changes:
        raise CheckpointError(f"{file}: holds no LoRA tensors")
    return tensors, changes


def delta(tensors: Tensors, change: Change, shape: tuple[int, ...], scale: float) -> np.ndarray:
    """scale (alpha / rank) B A in the shape of the file's weight.

    Raises:
        CheckpointError: matrices that do not make a weight of this shape.
    """
    down, up = tensors[change.down], tensors[change.up]
    rank = down.shape[0]
    alpha = rank if change.alpha is None else change.alpha
    if isinstance(alpha, str):
        alpha = float(tensors[alpha].reshape(()))
    fits = (
        up.shape[:2] == (shape[0], rank)
        and int(np.prod(up.shape[2:])) == 1
        and int(np.prod(down.shape[1:])) == int(np.prod(shape[1:]))
        and down.shape[1] == shape[1]
    )
    if not fits:
        raise CheckpointError(
            f"{change.up} {up.shape} times {change.down} {down.shape} does not make {shape}"
        )
    product = up.reshape(shape[0], rank) @ down.reshape(rank, -1)
    return (scale * alpha / rank * product).reshape(shape)


def _noted_alpha(file: Path, metadata: Mapping[str, str], part: str, module: str) -> float | None:
    """Alpha of a module in the settings peft leaves in the file's header, or None."""
    try:
        notes = json.loads(metadata.get(NOTES, "{}"))
        if notes.get(f"{part}.use_rslora") or notes.get(f"{part}.use_dora"):
            raise CheckpointError(f"{file}: {part} is of rank-stabilised or DoRA kind; LoRA alone "
                                  "can be merged")  # fmt: skip
        own = notes.get(f"{part}.alpha_pattern") or {}
        whole = notes.get(f"{part}.lora_alpha")
        found = own.get(module, whole)
        return None if found is None else float(found)
    except (ValueError, TypeError, AttributeError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{file}: its header's {NOTES} cannot be read ({error})") from error


def _split(file: Path, key: str) -> tuple[str, str]:
    """A tensor's module and its role."""
    for mark, kind in _OTHER_KINDS.items():
        if mark in key:
            raise CheckpointError(f"{file}: {key} is of {kind}; LoRA alone can be merged")
    for ending, role in _ROLES.items():
        if key.endswith(ending):
            return key.removesuffix(ending), role
    raise CheckpointError(
        f"{file}: {key} is no LoRA tensor (its name ends in none of their endings)"
    )


def _flat_names(
    modules: Mapping[str, Iterable[str]], aliases: Mapping[str, str]
) -> dict[tuple[str, str], str]:
    """Modules by the names of trainers that write "_" for "."."""
    names = {
        (part, name.replace(".", "_")): name for part, each in modules.items() for name in each
    }
    return names | {("unet", alias.replace(".", "_")): name for alias, name in aliases.items()}


def _place(
    module: str,
    modules: Mapping[str, Iterable[str]],
    aliases: Mapping[str, str],
    names: Mapping[tuple[str, str], str],
) -> tuple[str, str] | None:
    """The part and module a file's name means, or None."""
    for prefix, part in FLAT.items():
        if module.startswith(prefix + "_"):
            flat = module.removeprefix(prefix + "_")
            found = names.get((part, flat)) or names.get((part, f"text_model_{flat}"))
            if found is not None:
                return part, found
    part, _, rest = module.partition(".")
    if part not in PARTS:
        part, rest = "unet", module
    # Older files name the attention's processor between the attention and its product, and give
    # a text encoder's products the UNet's names.
    rest = rest.replace(".processor.", ".")
    if part == "unet":
        rest = re.sub(r"\.to_out$", ".to_out.0", rest)
    else:
        rest = re.sub(r"\.self_attn\.to_(q|k|v|out)$", r".self_attn.\1_proj", rest)
    for name in (rest, f"text_model.{rest}", aliases.get(rest, "")):
        if name in modules.get(part, ()):
            return part, name
    return None
