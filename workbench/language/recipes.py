"""How each family of models is trained: its authors' numbers where they gave them."""

from __future__ import annotations

from typing import Any

from workbench.language.config import DecoderConfig
from workbench.training import Recipe

PUBLISHED_WIDTH = 1024
"""Width at which the rates below were published."""

HIGHEST = 1e-2
"""No rate is above this, however narrow a model."""

DENSE: dict[str, Any] = {
    "learning_rate": 3e-4,
    "schedule": "cosine",
    "final_fraction": 0.1,
    "weight_decay": 0.01,
    "betas": (0.9, 0.95),
    "clip_norm": 1.0,
}
"""Yang et al. 2023 (arXiv 2312.06635), section 5.1: GLA and its rivals alike. The moments' decays
are those of language models in general (Touvron et al. 2023, section 2.3)."""

TERNARY: dict[str, Any] = {
    **DENSE,
    "learning_rate": 1.5e-3,
    "schedule": "two_stage",
    "first_final_fraction": 8e-4 / 1.5e-3,
    "second_peak_fraction": 5e-4 / 1.5e-3,
    "final_fraction": 0.0,
    "switch_at": 0.5,
    "weight_decay": 0.1,
    "second_weight_decay": 0.0,
}
"""Ma et al. 2025 (arXiv 2504.12285), section 2.2: BitNet b1.58 2B4T, as public notes give it. A
latent weight must cross half a step before its code changes, so that rates are high, and decay,
which pulls codes to 0, ends with the first stage. That the switch is halfway is ours."""


def recipe_for(config: DecoderConfig, *, steps: int, **changes: Any) -> Recipe:
    """The recipe of a configuration's family.

    Rates hold for width 1024 and go as 1 / width from there (as Yang et al. 2022, arXiv
    2203.03466, table 3, has it for matrices under Adam; that embeddings and gains follow is ours),
    up to `HIGHEST`. Warm-up is a twentieth of the run, which is ours too. For a comparison a rate
    is still to be searched, with equal effort for each family.

    Args:
        config: decides the family by its projections, dense or ternary.
        steps: updates.
        changes: fields of `Recipe` to set otherwise.
    """
    family = TERNARY if config.linears == "ternary" else DENSE
    rate = min(HIGHEST, family["learning_rate"] * PUBLISHED_WIDTH / config.hidden_size)
    fields = {"warmup": steps // 20, "batch_size": 16, **family, "learning_rate": rate}
    return Recipe.model_validate({"steps": steps, **fields, **changes})


def source(config: DecoderConfig) -> str:
    """Where the numbers come from, in a line."""
    if config.linears == "ternary":
        return (
            "Two stages and a decay that ends with the first: Ma et al. 2025 (BitNet b1.58 2B4T). "
            "Rate for this width, warm-up and the place of the switch are ours"
        )
    return (
        "AdamW, cosine and decay: Yang et al. 2023 (GLA), for all its rivals alike. Rate for this "
        "width and warm-up are ours"
    )
