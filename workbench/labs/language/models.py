"""The models of this lab: their names, colours and mixers, and which of them are here."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.language.mixing import MixerConfig

NAMES = {
    "attention": "Transformer++",
    "gla": "GLA",
    "mlgru": "MLGRU",
    "retnet": "RetNet",
    "mamba2": "Mamba-2",
    "hgrn2": "HGRN2",
    "gated_delta_net": "Gated DeltaNet",
    "delta_net": "DeltaNet",
}
"""Names on the screen, by the kind of the token mixer."""

SLOTS = {
    "Transformer++": 0, "GLA": 1, "MatMul-free": 2, "RetNet": 3, "Mamba-2": 4, "HGRN2": 5,
    "Gated DeltaNet": 6, "DeltaNet": 7, "Yours": 8, "MLGRU": 9,
}  # fmt: skip
"""Every model has one colour and mark; the baseline is ink."""

BASELINE = "attention"


def slot(name: str) -> int:
    """Colour and mark of a model by its name on the screen."""
    return SLOTS.get(name, SLOTS["Yours"])


@functools.cache
def mixer(kind: str, width: int) -> MixerConfig | None:
    """The mixer of a kind as its paper shapes it; None where this installation has none.

    Args:
        width: of the model, which decides heads where the paper's number is of one width.
    """
    from workbench.language.mixers import mixer_of

    try:
        return mixer_of({"kind": kind, **_heads(kind, width)})
    except ValueError as error:
        if "is not known" in str(error):
            return None
        raise


def _heads(kind: str, width: int) -> dict[str, Any]:
    """Heads for a width: 64 wide for attention; 128 for HGRN2, or the half of a narrow model;
    3/4 of the width in heads of 256 for Gated DeltaNet."""
    if kind == BASELINE:
        return {"num_heads": max(1, width // 64)}
    if kind == "hgrn2":
        return {"expand_ratio": 128 if width % 128 == 0 else width // 2}
    if kind == "gated_delta_net":
        heads = max(1, 3 * width // 1024)
        return {"num_heads": heads, "head_dim": 3 * width // 4 // heads}
    return {}
