"""The form of a model in the original layout, told from the shapes in its file.

A single file holds no configuration. All that shapes tell is read from them; what they do not tell
(heads, predictions, scales) follows the family: Stable Diffusion 1, 2 or XL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from workbench.checkpoints import CheckpointError
from workbench.diffusion.loading.original_names import UNET, VAE
from workbench.diffusion.unet.config import CROSS_DOWN, CROSS_UP, PLAIN_DOWN, PLAIN_UP, UNetConfig
from workbench.diffusion.vae import AutoencoderConfig

Shapes = Mapping[str, tuple[int, ...]]
Family = Literal["1", "2", "XL"]

HEAD_WIDTH = 64
OLD_HEADS = 8
WAVES = 256
"""Channels of each size's sinusoid in SDXL."""

# Prefixes of the text encoders, and whether each is OpenCLIP's.
TEXTS: dict[Family, tuple[tuple[str, bool], ...]] = {
    "1": (("cond_stage_model.transformer.", False),),
    "2": (("cond_stage_model.model.", True),),
    "XL": (
        ("conditioner.embedders.0.transformer.", False),
        ("conditioner.embedders.1.model.", True),
    ),
}
SIZES: dict[Family, int] = {"1": 64, "2": 96, "XL": 128}
SCALES: dict[Family, float] = {"1": 0.18215, "2": 0.18215, "XL": 0.13025}


@dataclass(frozen=True)
class Form:
    """A family with the configurations of its UNet and VAE."""

    family: Family
    unet: UNetConfig
    vae: AutoencoderConfig


def form_of(shapes: Shapes) -> Form:
    """The form of a whole checkpoint.

    Raises:
        CheckpointError: no checkpoint of these families, or a part of it is not in the file.
    """
    if f"{UNET}input_blocks.0.0.weight" not in shapes:
        raise CheckpointError(
            f"no {UNET}input_blocks.0.0.weight: this is no whole checkpoint in the original layout "
            "(a single part or a LoRA file is read by other functions)"
        )
    families = [
        family
        for family, texts in TEXTS.items()
        if all(any(name.startswith(prefix) for name in shapes) for prefix, _ in texts)
    ]
    if not families:
        prefixes = ", ".join(prefix for texts in TEXTS.values() for prefix, _ in texts)
        raise CheckpointError(f"no text encoder of a known family; looked for {prefixes}")
    if f"{VAE}decoder.conv_in.weight" not in shapes:
        raise CheckpointError(f"no VAE: {VAE}decoder.conv_in.weight is missing")
    return Form(families[0], _unet(shapes, families[0]), _vae(shapes, families[0]))


def text_fields(shapes: Shapes, family: Family, index: int) -> dict[str, Any]:
    """The `config.json` fields of a text encoder.

    Stable Diffusion 2 reads the layer before the last through the final norm: its last layer is
    left out, so that its output is the last of what remains.
    """
    prefix, is_open = TEXTS[family][index]
    stack = "transformer.resblocks" if is_open else "text_model.encoder.layers"
    layers = _count(shapes, re.escape(prefix + stack))
    if is_open:
        table, hidden = "token_embedding.weight", "transformer.resblocks.0.mlp.c_fc.weight"
        positions = "positional_embedding"
    else:
        table = "text_model.embeddings.token_embedding.weight"
        positions = "text_model.embeddings.position_embedding.weight"
        hidden = "text_model.encoder.layers.0.mlp.fc1.weight"
    vocabulary, width = _shape(shapes, prefix + table)
    projected = is_open and family == "XL"
    return {
        "architectures": ["CLIPTextModelWithProjection" if projected else "CLIPTextModel"],
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": _shape(shapes, prefix + hidden)[0],
        "num_hidden_layers": layers - (family == "2"),
        "num_attention_heads": max(width // HEAD_WIDTH, 1),
        "max_position_embeddings": _shape(shapes, prefix + positions)[0],
        "hidden_act": "gelu" if is_open else "quick_gelu",
        "projection_dim": _shape(shapes, prefix + "text_projection")[1] if projected else width,
        "eos_token_id": 2,  # the largest id of a text, as the makers of these files pool
    }


def _unet(shapes: Shapes, family: Family) -> UNetConfig:
    down, depths, widths, layers = _walk_down(shapes)
    blocks = len(widths)
    ups = _count(shapes, rf"{re.escape(UNET)}output_blocks")
    first_of_block = (f"{UNET}output_blocks.{i * (layers + 1)}" for i in range(blocks))
    attends = [f"{place}.1.proj_in.weight" in shapes for place in first_of_block]
    if ups != blocks * (layers + 1):
        raise CheckpointError(
            f"{ups} output_blocks do not go with {blocks} blocks of {layers} layers"
        )
    middle = f"{UNET}middle_block.1"
    depths[-1] = _count(shapes, rf"{re.escape(middle)}\.transformer_blocks")
    sizes = _shapes_of_added(shapes)
    return UNetConfig.from_file_fields(
        {
            "sample_size": SIZES[family],
            "in_channels": _shape(shapes, f"{UNET}input_blocks.0.0.weight")[1],
            "out_channels": _shape(shapes, f"{UNET}out.2.weight")[0],
            "block_out_channels": tuple(widths),
            "down_block_types": tuple(CROSS_DOWN if d else PLAIN_DOWN for d in down),
            "up_block_types": tuple(CROSS_UP if a else PLAIN_UP for a in attends),
            "layers_per_block": layers,
            "transformer_layers_per_block": tuple(depths),
            "attention_head_dim": tuple(
                OLD_HEADS if family == "1" else max(width // HEAD_WIDTH, 1) for width in widths
            ),
            "cross_attention_dim": _shape(
                shapes, f"{middle}.transformer_blocks.0.attn2.to_k.weight"
            )[1],
            "use_linear_projection": len(_shape(shapes, f"{middle}.proj_in.weight")) == 2,
            **sizes,
        }
    )


def _walk_down(shapes: Shapes) -> tuple[list[bool], list[int], list[int], int]:
    """By down block: whether it attends, its depth, its width; and the layers of each."""
    down, depths, widths, counts = [False], [1], [0], [0]
    for i in range(1, _count(shapes, rf"{re.escape(UNET)}input_blocks")):
        place = f"{UNET}input_blocks.{i}"
        if f"{place}.0.op.weight" in shapes:
            down.append(False)
            depths.append(1)
            widths.append(0)
            counts.append(0)
            continue
        widths[-1] = _shape(shapes, f"{place}.0.out_layers.3.weight")[0]
        counts[-1] += 1
        if f"{place}.1.proj_in.weight" in shapes:
            down[-1] = True
            depths[-1] = _count(shapes, rf"{re.escape(place)}\.1\.transformer_blocks")
    if len(set(counts)) != 1 or not counts[0]:
        raise CheckpointError(f"input_blocks: blocks of {counts} layers; one number was expected")
    return down, depths, widths, counts[0]


def _shapes_of_added(shapes: Shapes) -> dict[str, Any]:
    label = shapes.get(f"{UNET}label_emb.0.0.weight")
    if label is None:
        return {}
    return {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": WAVES,
        "projection_class_embeddings_input_dim": label[1],
    }


def _vae(shapes: Shapes, family: Family) -> AutoencoderConfig:
    blocks = _count(shapes, rf"{re.escape(VAE)}encoder\.down")
    layers = _count(shapes, rf"{re.escape(VAE)}encoder\.down\.0\.block")
    widths = [
        _shape(shapes, f"{VAE}encoder.down.{i}.block.0.conv2.weight")[0] for i in range(blocks)
    ]
    return AutoencoderConfig(
        sample_size=8 * SIZES[family],
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
        block_out_channels=tuple(widths),
        layers_per_block=layers,
        latent_channels=_shape(shapes, f"{VAE}decoder.conv_in.weight")[1],
        scaling_factor=SCALES[family],
    )


def _count(shapes: Shapes, prefix: str) -> int:
    """How many numbers follow a prefix in the names."""
    found = (re.match(rf"{prefix}\.(\d+)\.", name) for name in shapes)
    return 1 + max((int(match[1]) for match in found if match), default=-1)


def _shape(shapes: Shapes, name: str) -> tuple[int, ...]:
    if name not in shapes:
        raise CheckpointError(f"{name} is missing")
    return shapes[name]
