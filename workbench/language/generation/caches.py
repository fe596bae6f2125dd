"""The same model with another cache."""

from __future__ import annotations

from flax import nnx

from workbench.language.decoder import Decoder
from workbench.language.mixers.attention import Attention, AttentionConfig, Cache
from workbench.language.mixers.xquant import XQuant


def with_cache(model: Decoder, cache: Cache) -> Decoder:
    """A model of the same weights, in the same memory, whose attention layers keep another cache.

    Args:
        model: with its weights; layers without a cache stay as they are.
        cache: "float32", "bfloat16", or `XQuant` settings.

    Raises:
        ValueError: no attention layer, or a cache that its sizes do not allow; names the field.
    """
    config = model.config
    if not any(isinstance(mixer, AttentionConfig) for mixer in config.mixers):
        kinds = ", ".join(sorted({mixer.kind for mixer in config.mixers}))
        raise ValueError(f"cache={cache!r}: this model of {kinds} keeps no keys and values")
    mixers = tuple(
        AttentionConfig.model_validate({**dict(mixer), "cache": cache})
        if isinstance(mixer, AttentionConfig)
        else mixer
        for mixer in config.mixers
    )
    found: Decoder = nnx.merge(*nnx.split(model))
    found.config = config.model_copy(update={"mixers": mixers})
    for layer, block in enumerate(found.model.layers):
        if isinstance(block.attn, Attention):
            mixer = mixers[layer % len(mixers)]
            assert isinstance(mixer, AttentionConfig)
            mixer.sizes(config.hidden_size)
            block.attn.config = mixer
            if isinstance(cache, XQuant) and cache.latent:
                block.attn.make_latents()
    return found
