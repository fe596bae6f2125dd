"""The models of this lab: their names, colours and mixers, and which of them are here."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.language.config import DecoderConfig
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

SLOTS = {name: slot for slot, name in enumerate(NAMES.values())} | {"MatMul-free": 2, "Yours": 8}
"""Every model has one colour and mark; the baseline is ink."""

BASELINE = "attention"


def slot(name: str) -> int:
    """Colour and mark of a model by its name on the screen."""
    return SLOTS.get(name, 9)


@functools.cache
def mixer(kind: str, width: int) -> MixerConfig | None:
    """The mixer of a kind as its paper shapes it; None where this installation has none.

    Args:
        width: of the model; attention has one head for every 64 of it.
    """
    from workbench.language.mixers import mixer_of

    record: dict[str, Any] = {"kind": kind}
    if kind == BASELINE:
        record["num_heads"] = max(1, width // 64)
    try:
        return mixer_of(record)
    except ValueError as error:
        if "is not known" in str(error):
            return None
        raise


@functools.cache
def layer(kind: str, width: int) -> DecoderConfig | None:
    """A model of one layer of that kind; None where there is no such mixer."""
    from workbench.language.config import DecoderConfig

    mixing = mixer(kind, width)
    if mixing is None:
        return None
    return DecoderConfig(vocab_size=2, hidden_size=width, num_hidden_layers=1, mixers=(mixing,))
