"""UNets to disk and back, and files that are not what they should be."""

import functools
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from workbench.checkpoints import CheckpointError, read_tensors, write_tensors
from workbench.diffusion.checkpoint import UNET, WEIGHTS, file_shapes, load_unet, save_unet
from workbench.diffusion.unet import UNet2DCondition, UNetConfig, new_unet
from workbench.diffusion.unet.layers import WinogradKernel

CONFIG = UNetConfig(
    block_out_channels=(8, 16),
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    layers_per_block=1,
    attention_head_dim=2,
    cross_attention_dim=6,
    norm_num_groups=4,
)


@functools.cache
def _unet() -> UNet2DCondition:
    return new_unet(CONFIG, seed=3)


def _same(one: UNet2DCondition, other: UNet2DCondition) -> None:
    assert one.config == other.config
    ours, theirs = (jax.tree_util.tree_leaves_with_path(nnx.state(u)) for u in (one, other))
    assert [path for path, _ in ours] == [path for path, _ in theirs]
    for (path, a), (_, b) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=str(path))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_unet(_unet(), tmp_path)
    return tmp_path


def test_back_as_it_was(folder: Path) -> None:
    _same(load_unet(folder), _unet())


def test_back_from_shards(tmp_path: Path) -> None:
    written = save_unet(_unet(), tmp_path, shard_bytes=20_000)
    assert written.name.endswith(".index.json")
    _same(load_unet(tmp_path), _unet())


def test_half_precision_variant_is_float32_in_memory(folder: Path) -> None:
    half = {k: v.astype(np.float16) for k, v in read_tensors(folder / WEIGHTS).items()}
    write_tensors(folder / "diffusion_pytorch_model.fp16.safetensors", half)
    unet = load_unet(folder, variant="fp16")
    kernel = np.asarray(unet.conv_in.kernel[...])
    assert kernel.dtype == np.float32
    exact = np.asarray(_unet().conv_in.kernel[...])
    np.testing.assert_array_equal(kernel, exact.astype(np.float16).astype(np.float32))
    _same(load_unet(folder), _unet())


def test_keys_and_shapes_of_stable_diffusion() -> None:
    shapes = file_shapes(UNET.abstract(UNetConfig()))
    assert len(shapes) == 686
    block = "down_blocks.0.attentions.0.transformer_blocks.0"
    for name, shape in {
        "conv_in.weight": (320, 4, 3, 3),
        "time_embedding.linear_1.weight": (1280, 320),
        "down_blocks.1.resnets.0.conv_shortcut.weight": (640, 320, 1, 1),
        "down_blocks.1.resnets.0.time_emb_proj.weight": (640, 1280),
        "down_blocks.0.attentions.1.proj_in.weight": (320, 320, 1, 1),
        "down_blocks.0.downsamplers.0.conv.weight": (320, 320, 3, 3),
        f"{block}.attn2.to_k.weight": (320, 768),
        f"{block}.attn1.to_out.0.bias": (320,),
        f"{block}.ff.net.0.proj.weight": (2560, 320),
        f"{block}.ff.net.2.weight": (320, 1280),
        f"{block}.norm3.weight": (320,),
        "mid_block.resnets.1.norm2.bias": (1280,),
        "up_blocks.3.resnets.0.conv1.weight": (320, 960, 3, 3),
        "up_blocks.0.upsamplers.0.conv.bias": (1280,),
        "conv_norm_out.weight": (320,),
    }.items():
        assert shapes[name] == shape, name
    assert f"{block}.attn1.to_q.bias" not in shapes


def _spoil(folder: Path, change) -> None:
    tensors = read_tensors(folder / WEIGHTS)
    change(tensors)
    write_tensors(folder / WEIGHTS, tensors)


def test_missing_extra_and_misshapen_in_one_error(folder: Path) -> None:
    def change(tensors):
        tensors["conv_in.bias2"] = tensors.pop("conv_in.bias")
        tensors["conv_out.weight"] = tensors["conv_out.weight"][:2]

    _spoil(folder, change)
    with pytest.raises(CheckpointError) as caught:
        load_unet(folder)
    message = str(caught.value)
    assert str(folder) in message
    assert "conv_in.bias (8,) (nearest found: conv_in.bias2)" in message
    assert "conv_out.weight: found (2, 8, 3, 3), expected (4, 8, 3, 3)" in message


def test_nan_is_refused(folder: Path) -> None:
    def change(tensors):
        tensors["conv_in.weight"] = np.full_like(tensors["conv_in.weight"], np.nan)

    _spoil(folder, change)
    with pytest.raises(CheckpointError, match=r"conv_in\.weight: 288 of 288"):
        load_unet(folder)


def test_truncated_file(folder: Path) -> None:
    file = folder / WEIGHTS
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=WEIGHTS):
        load_unet(folder)


def test_config_of_another_class_or_value(folder: Path) -> None:
    file = folder / "config.json"
    fields = json.loads(file.read_text())
    file.write_text(json.dumps(fields | {"time_embedding_type": "fourier"}))
    with pytest.raises(ValueError, match=r"config\.json: UNet config field time_embedding_type"):
        load_unet(folder)
    file.write_text(json.dumps(fields | {"_class_name": "AutoencoderKL"}))
    with pytest.raises(ValueError, match="_class_name='AutoencoderKL'"):
        load_unet(folder)
    file.write_text("{")
    with pytest.raises(ValueError, match="not valid JSON"):
        load_unet(folder)
    file.unlink()
    with pytest.raises(ValueError, match="cannot be read"):
        load_unet(folder)


def test_transformed_kernels_are_not_written(folder: Path) -> None:
    unet = load_unet(folder)
    conv = unet.down_blocks[0].resnets[0].conv1
    conv.kernel = WinogradKernel(conv.kernel[...])
    with pytest.raises(CheckpointError, match="kept transformed for speed"):
        save_unet(unet, folder)
    _same(load_unet(folder), _unet())
