"""The text encoder's rules and refusals; its arithmetic is held against transformers."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from workbench.checkpoints import CheckpointError, read_tensors, write_tensors
from workbench.diffusion.checkpoint import (
    TEXT_ENCODER,
    file_shapes,
    load_text_encoder,
    save_text_encoder,
)
from workbench.diffusion.text.config import CLIPTextConfig
from workbench.diffusion.text.encoder import CLIPTextEncoder, end_of_text

SMALL = CLIPTextConfig(
    vocab_size=20,
    hidden_size=8,
    intermediate_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    max_position_embeddings=6,
    projection_dim=4,
    eos_token_id=9,
)


@pytest.fixture(scope="module")
def encoder() -> CLIPTextEncoder:
    draw = np.random.default_rng(0)
    shapes = file_shapes(TEXT_ENCODER.abstract(SMALL))
    tensors = {name: draw.normal(size=s).astype(np.float32) for name, s in shapes.items()}
    return TEXT_ENCODER.build(SMALL, tensors, dtype="float32")


@pytest.fixture
def folder(encoder: CLIPTextEncoder, tmp_path: Path) -> Path:
    save_text_encoder(encoder, tmp_path)
    return tmp_path


def test_a_token_reads_those_before_it_only(encoder: CLIPTextEncoder) -> None:
    tokens = jnp.asarray([[1, 2, 3, 4, 5], [1, 2, 3, 9, 9]], jnp.int32)
    graph, weights = nnx.split(encoder)
    features = jax.jit(lambda w, t: nnx.merge(graph, w)(t))(weights, tokens)
    last = np.asarray(features.last)
    np.testing.assert_allclose(last[0, :3], last[1, :3], rtol=0, atol=1e-5)
    assert np.abs(last[0, 3:] - last[1, 3:]).max() > 0.1
    np.testing.assert_array_equal(features.pooled[1], last[1, 3])


def test_where_a_text_ends() -> None:
    tokens = jnp.asarray([[1, 9, 3, 9], [9, 1, 12, 12]], jnp.int32)
    assert end_of_text(tokens, 9).tolist() == [1, 0]
    assert end_of_text(tokens, 12).tolist() == [0, 2]
    # A file that says 2: the largest token ends the text.
    assert end_of_text(tokens, 2).tolist() == [1, 2]


def test_a_projection_in_the_file_is_read(folder: Path) -> None:
    tensors = read_tensors(folder / "model.safetensors")
    projection = np.ones((4, 8), np.float32)
    write_tensors(folder / "model.safetensors", tensors | {"text_projection.weight": projection})
    found = load_text_encoder(folder)
    assert found.config.projection
    np.testing.assert_array_equal(found.text_projection.kernel[...], projection.T)


def test_faults_of_a_folder(folder: Path) -> None:
    file = folder / "config.json"
    fields = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(fields | {"num_hidden_layers": 3}), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"missing \(16\)(.|\n)*encoder\.layers\.2"):
        load_text_encoder(folder)
    file.write_text(json.dumps(fields | {"architectures": ["CLIPVision"]}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"config\.json.*architectures=\['CLIPVision'\]"):
        load_text_encoder(folder)
    file.write_text(json.dumps(fields), encoding="utf-8")
    tensors = read_tensors(folder / "model.safetensors")
    bare = {"final_layer_norm.bias": tensors["text_model.final_layer_norm.bias"]}
    write_tensors(folder / "model.safetensors", tensors | bare)
    with pytest.raises(CheckpointError, match="both stand for text_model.final_layer_norm.bias"):
        load_text_encoder(folder)


PUBLISHED = {
    "stable 1.5": {
        "_name_or_path": "openai/clip-vit-large-patch14", "architectures": ["CLIPTextModel"],
        "attention_dropout": 0.0, "bos_token_id": 0, "dropout": 0.0, "eos_token_id": 2,
        "hidden_act": "quick_gelu", "hidden_size": 768, "initializer_factor": 1.0,
        "initializer_range": 0.02, "intermediate_size": 3072, "layer_norm_eps": 1e-05,
        "max_position_embeddings": 77, "model_type": "clip_text_model", "num_attention_heads": 12,
        "num_hidden_layers": 12, "pad_token_id": 1, "projection_dim": 768,
        "torch_dtype": "float32", "transformers_version": "4.22.0.dev0", "vocab_size": 49408,
    },
    "sdxl second": {
        "architectures": ["CLIPTextModelWithProjection"], "attention_dropout": 0.0,
        "bos_token_id": 0, "dropout": 0.0, "eos_token_id": 2, "hidden_act": "gelu",
        "hidden_size": 1280, "initializer_factor": 1.0, "initializer_range": 0.02,
        "intermediate_size": 5120, "layer_norm_eps": 1e-05, "max_position_embeddings": 77,
        "model_type": "clip_text_model", "num_attention_heads": 20, "num_hidden_layers": 32,
        "pad_token_id": 1, "projection_dim": 1280, "torch_dtype": "float16",
        "transformers_version": "4.32.0.dev0", "vocab_size": 49408,
    },
}  # fmt: skip


def test_fields_of_published_files() -> None:
    first = CLIPTextConfig.from_file_fields(PUBLISHED["stable 1.5"])
    assert first == CLIPTextConfig()
    assert first.pooled_width == 768
    second = CLIPTextConfig.from_file_fields(PUBLISHED["sdxl second"])
    assert second.projection
    assert second.pooled_width == 1280
    assert CLIPTextConfig.from_file_fields(second.to_file_fields()) == second


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"hidden_act": "relu"}, "hidden_act"),
        ({"hiden_size": 3}, "text encoder config field hiden_size=3 is not known; did you mean"),
        ({"model_type": "bert"}, "model_type='bert' is not supported; supported: 'clip_text"),
        ({"num_attention_heads": 7}, "num_attention_heads=7 does not divide hidden_size=512"),
        ({"num_hidden_layers": 0}, "num_hidden_layers"),
    ],
)
def test_config_refuses(fields: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        CLIPTextConfig.from_file_fields(fields)


def test_refuses_texts_too_long(encoder: CLIPTextEncoder, unchecked_shapes: None) -> None:
    with pytest.raises(
        ValueError, match=r"tokens have shape \(1, 7\); needed \[B, T\], T from 1 to 6"
    ):
        encoder(jnp.zeros((1, 7), jnp.int32))
    with pytest.raises(ValueError, match=r"tokens have shape \(7,\)"):
        encoder(jnp.zeros((7,), jnp.int32))
