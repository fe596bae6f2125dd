"""ConvNeXt (Liu et al. 2022, section 3) from tiny to base, and timm's smaller ones, atto to nano,
under its names.
"""

from __future__ import annotations

from workbench.vision.blocks.convnext import ConvNeXtRow
from workbench.vision.networks.patchified import PatchifiedConfig


def _convnext(
    depths: tuple[int, ...], widths: tuple[int, ...], *, convolutions: bool = False
) -> PatchifiedConfig:
    rows = tuple(
        ConvNeXtRow(channels=width, repeats=depth, convolutions=convolutions)
        for depth, width in zip(depths, widths, strict=True)
    )
    return PatchifiedConfig(activation="gelu", norm_eps=1e-6, stages=rows)


CONVNEXTS: dict[str, PatchifiedConfig] = {
    "convnext_atto": _convnext((2, 2, 6, 2), (40, 80, 160, 320), convolutions=True),
    "convnext_femto": _convnext((2, 2, 6, 2), (48, 96, 192, 384), convolutions=True),
    "convnext_pico": _convnext((2, 2, 6, 2), (64, 128, 256, 512), convolutions=True),
    "convnext_nano": _convnext((2, 2, 8, 2), (80, 160, 320, 640), convolutions=True),
    "convnext_tiny": _convnext((3, 3, 9, 3), (96, 192, 384, 768)),
    "convnext_small": _convnext((3, 3, 27, 3), (96, 192, 384, 768)),
    "convnext_base": _convnext((3, 3, 27, 3), (128, 256, 512, 1024)),
}
"""By timm's names."""
