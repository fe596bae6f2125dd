"""Weights in less than float32: what is stored, what comes out, and what loading holds at once."""

import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from workbench.checkpoints import open_tensors, read_tensors
from workbench.checkpoints.quantizing import quantized
from workbench.diffusion.checkpoint import (
    TEXT_ENCODER,
    VAE,
    file_shapes,
    load_text_encoder,
    save_text_encoder,
)
from workbench.diffusion.text.config import CLIPTextConfig
from workbench.diffusion.text.encoder import CLIPTextEncoder
from workbench.diffusion.vae import AutoencoderConfig
from workbench.model_files import precision
from workbench.model_files.precision import Int8Kernel, weight_bytes

CONFIG = CLIPTextConfig(
    vocab_size=50,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    max_position_embeddings=8,
    projection=True,
    projection_dim=24,
)
TOKENS = jnp.asarray([[48, 3, 9, 49, 49], [48, 1, 2, 3, 49]], jnp.int32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text encoder with weights of a trained one's size: draws of numpy's."""
    draw = np.random.default_rng(0)
    shapes = file_shapes(TEXT_ENCODER.abstract(CONFIG))
    tensors = {
        name: (draw.normal(size=shape) / np.sqrt(shape[-1])).astype(np.float32)
        for name, shape in shapes.items()
    }
    encoder = TEXT_ENCODER.build(CONFIG, tensors, dtype="float32")
    path = tmp_path_factory.mktemp("encoder")
    save_text_encoder(encoder, path)
    return path


def _last(encoder: CLIPTextEncoder) -> np.ndarray:
    graph, weights = nnx.split(encoder)
    return np.asarray(jax.jit(lambda w, t: nnx.merge(graph, w)(t).last)(weights, TOKENS))


@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 5), st.integers(1, 4)),
        elements=st.floats(-1e4, 1e4, width=32),
    )
)
@settings(deadline=None, max_examples=50)
def test_whole_numbers_are_within_half_a_step(kernel: np.ndarray) -> None:
    values, scale = quantized(kernel)
    assert values.dtype == np.int8
    assert (scale > 0).all()
    assert (np.abs(values * scale - kernel) <= 0.501 * scale).all()
    assert (np.abs(values) == 127).any(axis=0)[np.abs(kernel).max(axis=0) > 1e-30].all()


def test_a_kernel_of_whole_numbers_reads_as_floats() -> None:
    kernel = np.random.default_rng(0).normal(size=(3, 3, 2, 4)).astype(np.float32)
    values, scale = quantized(kernel)
    read = Int8Kernel(jnp.asarray(values), jnp.asarray(scale))[...]
    assert read.dtype == jnp.float32
    np.testing.assert_allclose(read, values * scale, rtol=1e-6)


@pytest.mark.parametrize(("dtype", "farthest"), [("bfloat16", 0.02), ("int8", 0.04)])
def test_output_stays_near(folder: Path, dtype: str, farthest: float) -> None:
    exact = _last(load_text_encoder(folder))
    near = _last(load_text_encoder(folder, dtype=dtype))
    error = np.linalg.norm(near - exact) / np.linalg.norm(exact)
    assert 1e-4 < error < farthest


def test_what_is_stored(folder: Path) -> None:
    kinds = {"float32": jnp.float32, "bfloat16": jnp.bfloat16, "int8": jnp.int8}
    for dtype, kernels in kinds.items():
        encoder = load_text_encoder(folder, dtype=dtype)
        layer = encoder.text_model.encoder.layers[0]
        kernel = layer.mlp.fc1.kernel
        stored = kernel.values if dtype == "int8" else kernel
        assert stored[...].dtype == kernels
        assert layer.mlp.fc1.bias[...].dtype == jnp.float32
        assert layer.layer_norm1.scale[...].dtype == jnp.float32
        table = encoder.text_model.embeddings.token_embedding.embedding
        assert table[...].dtype == (jnp.float32 if dtype == "float32" else jnp.bfloat16)
        shapes = TEXT_ENCODER.abstract(CONFIG, dtype=dtype)
        like = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), nnx.split(encoder)[1])
        assert jax.tree.map(lambda s: (s.shape, s.dtype), nnx.split(shapes)[1]) == like
        assert nnx.split(shapes)[0] == nnx.split(encoder)[0]


def test_bytes_of_an_autoencoder() -> None:
    """Per weight 4, 2 and 1 bytes, and a little for norms, biases and scales."""
    weights = 83.65
    models = {d: VAE.abstract(AutoencoderConfig(), dtype=d) for d in precision.PRECISIONS}
    millions = {dtype: weight_bytes(model) / 1e6 for dtype, model in models.items()}
    assert millions["float32"] == pytest.approx(4 * weights, rel=1e-3)
    assert millions["bfloat16"] == pytest.approx(2 * weights, rel=2e-3)
    assert millions["int8"] == pytest.approx(weights, rel=5e-3)


def test_where_bfloat16_gains_nothing_float32_computes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for has, compute, words in (
        (False, jnp.float32, "computed in float32: on a CPU bfloat16 is no faster"),
        (True, jnp.bfloat16, "computed in bfloat16"),
    ):
        monkeypatch.setattr(precision, "gains_by_bfloat16", lambda has=has: has)
        for name in ("bfloat16", "int8"):
            found = precision.precision(name)
            assert found.compute == compute
            assert words in found.sentence
            assert name in found.sentence
        assert precision.precision(jnp.float32).compute == jnp.float32
    with pytest.raises(ValueError, match="dtype='float16' is not supported; use float32, bfloat16"):
        precision.precision(jnp.float16)
    with pytest.raises(ValueError, match="dtype='fast'"):
        precision.precision("fast")


def test_saved_int8_is_what_it_computes_with(folder: Path, tmp_path: Path) -> None:
    small = load_text_encoder(folder, dtype="int8")
    save_text_encoder(small, tmp_path)
    written = read_tensors(tmp_path / "model.safetensors")
    before = read_tensors(folder / "model.safetensors")
    assert written.keys() == before.keys()
    name = "text_model.encoder.layers.1.self_attn.q_proj.weight"
    assert written[name].dtype == np.float32
    kernel = small.text_model.encoder.layers[1].self_attn.q_proj.kernel
    np.testing.assert_array_equal(written[name], np.asarray(kernel[...]).T)
    again = load_text_encoder(tmp_path, dtype="int8")
    np.testing.assert_allclose(_last(again), _last(small), rtol=0, atol=1e-5)


class _Watched(Mapping[str, np.ndarray]):
    """Tensors of a file that count how many of those read before are still held."""

    def __init__(self, path: Path):
        self._tensors = open_tensors(path, dtype=np.float32)
        self.shapes = self._tensors.shapes
        self.most_held, self._read = 0, list[weakref.ref[Any]]()

    def __getitem__(self, name: str) -> np.ndarray:
        self.most_held = max(self.most_held, sum(r() is not None for r in self._read))
        tensor = self._tensors[name]
        if tensor.ndim > 1 and "embedding" not in name:  # turned, so never the weight itself
            self._read.append(weakref.ref(tensor))
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


@pytest.mark.parametrize("dtype", precision.PRECISIONS)
def test_loading_holds_one_tensor_of_the_file_at_a_time(folder: Path, dtype: str) -> None:
    tensors = _Watched(folder)
    TEXT_ENCODER.build(CONFIG, tensors, dtype=dtype)
    assert tensors.most_held <= 1
