"""BK-SDM's three cuts, for any UNet.

Kim et al. 2023 (arXiv 2305.15798, section 3.1): base has one ResNet-and-transformer pair a stage
where Stable Diffusion 1 has two; small is base without the middle block; tiny is small without the
innermost stage. A UNet whose blocks have one pair already loses the outermost stage's only pair,
so that what is skipped costs most, as there: ours.
"""

from __future__ import annotations

from typing import Literal

from workbench.diffusion.assembly.dropping import MID, kept
from workbench.diffusion.unet.config import UNetConfig
from workbench.study.paper import Paper

Preset = Literal["base", "small", "tiny"]
PRESETS: tuple[Preset, ...] = ("base", "small", "tiny")

A_SDM = Paper(
    key="zhu2024asdm",
    title="A-SDM: Accelerating Stable Diffusion through Model Assembly and Feature Inheritance "
    "Strategies",
    authors="Zhu, Jinchao and Wang, Yuxuan and Tu, Siyuan and others",
    year=2024,
    arxiv="2406.00210",
    claim="A UNet assembled of fewer layers and recovered by distillation generates 22.4 % faster.",
)


def dropped_by(config: UNetConfig, preset: Preset) -> tuple[str, ...]:
    """The names a preset drops of a UNet.

    Raises:
        ValueError: no such preset, or a UNet too small for it.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}. You gave {preset!r}")
    pairs = [
        f"down.{level}.layer.{layer}"
        for level, layers in enumerate(config.layers)
        for layer in range(1, layers)
    ]
    names = pairs or ["down.0.layer.0"]
    if preset != "base" and config.mid_block_type is not None:
        names.append(MID)
    if preset == "tiny":
        innermost = f"down.{len(config.layers) - 1}"
        names = [name for name in names if not name.startswith(f"{innermost}.")] + [innermost]
    kept(config, names)
    return tuple(names)
