"""Model assembly: a smaller UNet of another one's blocks, and which of them each block was.

A-SDM (arXiv 2406.00210, abstract) rebuilds a lighter UNet from a trained one and recovers it by
distillation; what it drops is not public. The rules are those of BK-SDM (Kim et al. 2023, arXiv
2305.15798, section 3.1 and its public code); where a block has one layer, they are ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from workbench.diffusion.assembly.dropping import Kept, kept
from workbench.diffusion.unet.config import (
    CROSS_DOWN,
    CROSS_MID,
    CROSS_UP,
    PLAIN_DOWN,
    PLAIN_UP,
    UNetConfig,
)

ENDS = ("conv_in", "time_embedding", "add_embedding", "conv_norm_out", "conv_out")
"""Modules that every student keeps."""


@dataclass(frozen=True)
class Assembly:
    """A student's form, and what of the teacher it is made of.

    Attributes:
        teacher: the form that was cut.
        dropped: the names asked to go.
        kept: what stays.
        config: the student's form, in diffusers' fields.
        sources: the teacher's module of each of the student's, by the names of their files; None
            where no module of the teacher fits, and weights begin anew.
        features: pairs of values compared in distillation, the student's and the teacher's, by the
            names of `UNet2DCondition.run`.
    """

    teacher: UNetConfig
    dropped: tuple[str, ...]
    kept: Kept
    config: UNetConfig
    sources: dict[str, str | None]
    features: tuple[tuple[str, str], ...]


def assemble(teacher: UNetConfig, dropped: Iterable[str]) -> Assembly:
    """The UNet that stays when `dropped` goes.

    Args:
        teacher: form of the whole UNet.
        dropped: names as in `assembly.dropping`; none keeps everything.

    Raises:
        DropError: a name the UNet does not have, or that cannot be dropped, saying why.

    Cost: traces the shapes of both forms where they are new, a second or two at full size.
    """
    names = tuple(dict.fromkeys(dropped))
    return _assembled(teacher, names)


@cache
def _assembled(teacher: UNetConfig, dropped: tuple[str, ...]) -> Assembly:
    found = kept(teacher, dropped)
    config = student_form(teacher, found)
    return Assembly(
        teacher,
        dropped,
        found,
        config,
        _fitting(teacher, config, dict(_modules(teacher, found))),
        tuple(_features(teacher, found)),
    )


def student_form(teacher: UNetConfig, found: Kept) -> UNetConfig:
    """The configuration of what stays."""
    count = len(found.stages)
    fields: dict[str, Any] = dict(teacher)
    for name in ("transformer_layers_per_block", "attention_head_dim", "num_attention_heads"):
        if isinstance(fields[name], tuple):
            fields[name] = fields[name][:count]
    layers = tuple(len(stage.down) for stage in found.stages)
    downs = (CROSS_DOWN if stage.down_attends else PLAIN_DOWN for stage in found.stages)
    ups = (CROSS_UP if stage.up_attends else PLAIN_UP for stage in reversed(found.stages))
    mid = teacher.mid_block_type
    if not found.mid:
        mid = None
    elif mid == CROSS_MID and not found.mid_attends:
        mid = "UNetMidBlock2D"
    fields |= {
        "block_out_channels": teacher.block_out_channels[:count],
        "layers_per_block": layers[0] if len(set(layers)) == 1 else layers,
        "down_block_types": tuple(downs),
        "up_block_types": tuple(ups),
        "mid_block_type": mid,
    }
    return UNetConfig(**fields)


def _modules(teacher: UNetConfig, found: Kept) -> Iterator[tuple[str, str]]:
    """The student's modules and the teacher's that stand where they do."""
    yield from ((name, name) for name in ENDS)
    count, shift = len(found.stages), len(teacher.block_out_channels) - len(found.stages)
    for level, stage in enumerate(found.stages):
        up = count - 1 - level
        sides = (("down_blocks", level, 0, stage.down), ("up_blocks", up, shift, stage.up))
        for side, block, moved, layers in sides:
            for place, layer in enumerate(layers):
                for kind in ("resnets", "attentions"):
                    theirs = f"{side}.{block + moved}.{kind}.{layer}"
                    yield f"{side}.{block}.{kind}.{place}", theirs
        if level < count - 1:
            yield f"down_blocks.{level}.downsamplers.0", f"down_blocks.{level}.downsamplers.0"
        if level > 0:
            yield f"up_blocks.{up}.upsamplers.0", f"up_blocks.{up + shift}.upsamplers.0"
    if found.mid:
        yield from ((f"mid_block.{k}",) * 2 for k in ("resnets.0", "attentions.0", "resnets.1"))


def _fitting(
    teacher: UNetConfig, student: UNetConfig, places: dict[str, str]
) -> dict[str, str | None]:
    """For each module of the student: the teacher's in its place if it fits, else the nearest of
    the same block that does."""
    theirs, ours = module_shapes(teacher), module_shapes(student)
    found: dict[str, str | None] = {}
    for module, place in places.items():
        if module not in ours:
            continue
        block, _, number = place.rpartition(".")
        others = [n for n in theirs if n.rpartition(".")[0] == block] if number.isdigit() else []
        others.sort(key=lambda name: abs(int(name.rpartition(".")[2]) - int(number)))
        fits = (name for name in (place, *others) if theirs.get(name) == ours[module])
        found[module] = next(fits, None)
    return found


def _features(teacher: UNetConfig, found: Kept) -> Iterator[tuple[str, str]]:
    """The end of every down and up block, as in BK-SDM: behind its resampling where it has some.

    The innermost down block has none; where the teacher's has, its last layer is compared.
    """
    count, shift = len(found.stages), len(teacher.block_out_channels) - len(found.stages)
    for level, stage in enumerate(found.stages):
        if level < count - 1:
            yield f"down.{level}.downsample", f"down.{level}.downsample"
        elif stage.down:
            last = teacher.layers[level] - 1
            yield f"down.{level}.layer.{len(stage.down) - 1}", f"down.{level}.layer.{last}"
    for level, stage in reversed(tuple(enumerate(found.stages))):
        up = count - 1 - level
        if level > 0:
            yield f"up.{up}.upsample", f"up.{up + shift}.upsample"
        else:
            last = teacher.layers[0]
            yield f"up.{up}.layer.{len(stage.up) - 1}", f"up.{up + shift}.layer.{last}"


@cache
def module_shapes(config: UNetConfig) -> dict[str, dict[str, tuple[int, ...]]]:
    """Shapes of the tensors of every module that is dropped or kept as one, by its file's names."""
    from workbench.diffusion.costs import abstract_unet
    from workbench.model_files.keys import file_shapes

    found: dict[str, dict[str, tuple[int, ...]]] = {}
    for key, shape in file_shapes(abstract_unet(config)).items():
        module, tensor = split_key(key)
        found.setdefault(module, {})[tensor] = shape
    return found


def split_key(key: str) -> tuple[str, str]:
    """A tensor's name as its module, such as `down_blocks.0.resnets.1`, and the rest."""
    parts = key.split(".")
    length = {"down_blocks": 4, "up_blocks": 4, "mid_block": 3}.get(parts[0], 1)
    return ".".join(parts[:length]), ".".join(parts[length:])
