"""Names in single files of the original layout, from the names of a diffusers folder.

Each function gives, for a name in the folder's layout, the name the same tensor has in the file;
where one tensor there is three here, which third.
"""

from __future__ import annotations

import re
from typing import NamedTuple

UNET, VAE = "model.diffusion_model.", "first_stage_model."

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_UNET_OUTER = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_VAE_ATTENTION = {
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
}
_OPEN_CLIP_LAYER = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_OPEN_CLIP_OUTER = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm.weight": "ln_final.weight",
    "final_layer_norm.bias": "ln_final.bias",
}
_THIRDS = {"q_proj": 0, "k_proj": 1, "v_proj": 2}


class Origin(NamedTuple):
    """Where a tensor is found in a single file.

    Args:
        name: of the tensor there.
        third: which third of its first axis, or None for all of it.
        transposed: whether its two axes are exchanged.
    """

    name: str
    third: int | None = None
    transposed: bool = False


def unet_origin(key: str, layers: int, attention: tuple[bool, ...]) -> Origin:
    """A UNet's tensor: blocks are numbered through there, down and up.

    Args:
        key: name in the folder's layout.
        layers: ResNets of each down block; an up block has one more.
        attention: of each up block, whether it attends: its upsampler comes one later then.
    """
    module, leaf = key.rsplit(".", 1)
    if module in _UNET_OUTER:
        return Origin(f"{UNET}{_UNET_OUTER[module]}.{leaf}")
    parts = key.split(".")
    if parts[0] == "mid_block":
        within = {"resnets": 2 * int(parts[2]), "attentions": 1}[parts[1]]
        return Origin(f"{UNET}middle_block.{within}.{_inner(parts[1], parts[3:])}")
    block, kind, index = int(parts[1]), parts[2], int(parts[3])
    if parts[0] == "down_blocks":
        first = 1 + block * (layers + 1)
        if kind == "downsamplers":
            return Origin(f"{UNET}input_blocks.{first + layers}.0.op.{leaf}")
        place = f"input_blocks.{first + index}"
    else:
        first = block * (layers + 1)
        if kind == "upsamplers":
            within = 2 if attention[block] else 1
            return Origin(f"{UNET}output_blocks.{first + layers}.{within}.conv.{leaf}")
        place = f"output_blocks.{first + index}"
    return Origin(f"{UNET}{place}.{int(kind == 'attentions')}.{_inner(kind, parts[4:])}")


def _inner(kind: str, parts: list[str]) -> str:
    if kind == "resnets":
        return ".".join([_RESNET[parts[0]], *parts[1:]])
    return ".".join(parts)


def vae_origin(key: str, blocks: int) -> Origin:
    """A VAE's tensor: the decoder's blocks are numbered from the other end there."""
    if key.startswith(("quant_conv", "post_quant_conv")):
        return Origin(VAE + key)
    side, rest = key.split(".", 1)
    rest = rest.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    if found := re.fullmatch(r"mid_block\.resnets\.(\d)\.(.+)", rest):
        return Origin(f"{VAE}{side}.mid.block_{int(found[1]) + 1}.{found[2]}")
    if found := re.fullmatch(r"mid_block\.attentions\.0\.(.+)\.(weight|bias)", rest):
        return Origin(f"{VAE}{side}.mid.attn_1.{_VAE_ATTENTION[found[1]]}.{found[2]}")
    if found := re.fullmatch(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)\.(.+)", rest):
        way, kind = found[1], found[3]
        block = int(found[2]) if way == "down" else blocks - 1 - int(found[2])
        place = f"block.{found[4]}" if kind == "resnets" else f"{way}sample"
        return Origin(f"{VAE}{side}.{way}.{block}.{place}.{found[5]}")
    return Origin(f"{VAE}{side}.{rest}")


def clip_origin(key: str, prefix: str) -> Origin:
    """A tensor of CLIP's text encoder, which single files keep under its own names."""
    return Origin(f"{prefix}text_model.{key.removeprefix('text_model.')}")


def open_clip_origin(key: str, prefix: str) -> Origin:
    """A tensor of OpenCLIP's text encoder: query, key and value are one tensor there."""
    key = key.removeprefix("text_model.")
    if key == "text_projection.weight":
        return Origin(prefix + "text_projection", transposed=True)
    if key in _OPEN_CLIP_OUTER:
        return Origin(prefix + _OPEN_CLIP_OUTER[key])
    _, _, layer, rest = key.split(".", 3)
    module, leaf = rest.rsplit(".", 1)
    place = f"{prefix}transformer.resblocks.{layer}"
    projection = module.removeprefix("self_attn.")
    if projection in _THIRDS:
        return Origin(f"{place}.attn.in_proj_{leaf}", _THIRDS[projection])
    return Origin(f"{place}.{_OPEN_CLIP_LAYER[module]}.{leaf}")
