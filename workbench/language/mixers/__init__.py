"""Token mixers: one file each, named after the paper's model."""

from __future__ import annotations

from typing import Any

from workbench.language.mixing import MixerConfig


def mixer_of(record: dict[str, Any]) -> MixerConfig:
    """A mixer from its record, which names its kind.

    Raises:
        ValueError: a kind there is not.
    """
    from workbench.language.mixers.attention import AttentionConfig
    from workbench.language.mixers.delta_net import DeltaNetConfig
    from workbench.language.mixers.gated_delta_net import GatedDeltaNetConfig
    from workbench.language.mixers.gla import GLAConfig
    from workbench.language.mixers.hgrn2 import HGRN2Config
    from workbench.language.mixers.mamba2 import Mamba2Config
    from workbench.language.mixers.mlgru import MLGRUConfig
    from workbench.language.mixers.own import OwnConfig
    from workbench.language.mixers.retnet import RetNetConfig

    configs: tuple[type[MixerConfig], ...] = (
        AttentionConfig,
        DeltaNetConfig,
        GatedDeltaNetConfig,
        GLAConfig,
        HGRN2Config,
        Mamba2Config,
        MLGRUConfig,
        OwnConfig,
        RetNetConfig,
    )
    kinds = {config.kind: config for config in configs}
    fields = dict(record)
    kind = fields.pop("kind", None)
    if kind not in kinds:
        raise ValueError(f"mixer kind={kind!r} is not known; known: {', '.join(sorted(kinds))}")
    return kinds[kind].model_validate(fields)
