"""Packed models: the logits of the model they were made of, sizes of the published ones, files."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from workbench.checkpoints import CheckpointError, open_tensors
from workbench.language.bit_linear import BitLinear
from workbench.language.config import DecoderConfig
from workbench.language.decoder import Decoder
from workbench.language.mixers.mlgru import MLGRUConfig
from workbench.language.packed import (
    PackedBitLinear,
    abstract_packed,
    pack,
    packed_layer,
    weight_bytes,
)
from workbench.language.packed_files import load_packed, save_packed
from workbench.language.packed_scan import ScannedDecoder
from workbench.model_files.abstract import abstract

MIB = 1 << 20


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled():
    """What the programs compute does not depend on this."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


# Layers, width and inner width of the published models; sizes of body and head [MiB].
PUBLISHED = {"370M": ((24, 1024, 2816), 81), "2.7B": ((32, 2560, 6912), 625)}


def configuration(layers: int, width: int, inner: int, vocab: int = 32000) -> DecoderConfig:
    return DecoderConfig(
        vocab_size=vocab,
        hidden_size=width,
        num_hidden_layers=layers,
        mixers=(MLGRUConfig(),),
        intermediate_size=inner,
        linears="ternary",
        tie_word_embeddings=False,
    )


TOKENS = jax.random.randint(jax.random.key(1), (1, 12), 0, 37)


@pytest.fixture(scope="module")
def model():
    return Decoder(configuration(2, 32, 48, vocab=37), rngs=nnx.Rngs(params=0))


@pytest.fixture(scope="module")
def packed(model):
    return pack(model)


def test_a_packed_layer_has_the_same_outputs_bit_for_bit():
    layer = BitLinear(160, 70, bias=True, dtype=jnp.float32, rngs=nnx.Rngs(params=0))
    layer.bias[...] = jnp.linspace(-1, 1, 70)
    x = jax.random.normal(jax.random.key(2), (1, 1, 160))
    packed = packed_layer(layer)
    ours, theirs = jax.jit(lambda x: (packed(x), layer(x)))(x)
    np.testing.assert_array_equal(ours, theirs)


@pytest.fixture(scope="module")
def whole(model):
    return jax.jit(model.__call__)(TOKENS)


def test_a_packed_model_has_the_same_logits(packed, whole):
    np.testing.assert_allclose(jax.jit(packed.__call__)(TOKENS), whole, atol=1e-6)


@pytest.mark.slow
def test_layers_in_a_scan_decode_alike(model, packed, whole):
    scanned = ScannedDecoder(packed)
    states, step = scanned.initial_state(1, 12), jax.jit(scanned.step)
    for t in range(12):
        logits, states = step(TOKENS[:, t], states)
        np.testing.assert_allclose(logits, whole[:, t], atol=1e-5)
    with pytest.raises(ValueError, match="this model is not packed"):
        ScannedDecoder(model)


@pytest.mark.slow
def test_layers_in_a_scan_take_a_text_at_once(packed, whole):
    scanned = ScannedDecoder(packed)
    np.testing.assert_allclose(jax.jit(scanned.__call__)(TOKENS), whole, atol=1e-5)


@pytest.mark.slow
def test_a_packed_model_decodes(packed, whole):
    states, step = packed.initial_state(1, 12), jax.jit(packed.step)
    for t in range(12):
        logits, states = step(TOKENS[:, t], states)
        np.testing.assert_allclose(logits, whole[:, t], atol=1e-5)


def test_the_model_it_was_made_of_stays_as_it_was(model, packed):
    assert isinstance(model.lm_head, BitLinear)
    assert isinstance(packed.lm_head, PackedBitLinear)
    assert not any(isinstance(node, BitLinear) for _, node in nnx.iter_graph(packed))
    assert packed.model.layers[0].attn.i_proj.codes[...].dtype == jnp.uint8


@pytest.mark.parametrize("table", ["bfloat16", "int8"])
def test_a_smaller_table_rounds_the_vectors_and_no_more(model, table):
    packed = pack(model, table=table)
    ids = jnp.arange(37)
    given, held = model.model.embeddings(ids), packed.model.embeddings(ids)
    error = np.abs(np.float64(held) - np.float64(given))
    largest = np.abs(given).max(1, keepdims=True)
    step = 1 / 256 if table == "bfloat16" else 1 / 254
    assert (error <= step * largest * 1.001).all()
    assert error.max() > 0


@pytest.mark.parametrize("size", ["370M", pytest.param("2.7B", marks=pytest.mark.slow)])
def test_published_models_pack_to_their_sizes(size):
    shape, two_bit = PUBLISHED[size]
    held = weight_bytes(abstract_packed(configuration(*shape), table="int8"))
    layers, width, inner = shape
    gains = 4 * (layers * (9 * width + inner) + 2 * width + layers * (width + 7))
    assert (held["body and head"] - gains) / MIB == pytest.approx(two_bit, rel=0.01)
    assert held["embedding"] == 32000 * (width + 4)


@pytest.mark.parametrize("storage", ["two_bit", "base3"])
@pytest.mark.parametrize("table", ["float32", "int8"])
def test_a_file_is_read_back_as_it_was(model, tmp_path, storage, table):
    packed = pack(model, table=table)
    file = save_packed(packed, tmp_path, storage=storage)
    again = load_packed(tmp_path)
    assert again.config == model.config
    for one, other in zip(
        jax.tree.leaves(nnx.state(packed)), jax.tree.leaves(nnx.state(again)), strict=True
    ):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    assert file.stat().st_size < 80_000


def test_codes_are_written_in_one_order_for_every_device(packed, tmp_path):
    tensors = open_tensors(save_packed(packed, tmp_path))
    found = {name: tensors[name] for name in tensors.shapes if name.endswith("codes")}
    assert found
    for name, codes in found.items():
        assert codes.shape[2:] == (32, 128), name


def test_errors_name_what_is_wrong(model, packed, tmp_path):
    config = DecoderConfig(
        vocab_size=8, hidden_size=8, num_hidden_layers=1, mixers=(MLGRUConfig(),)
    )
    dense = abstract(Decoder, config, dtype=jnp.float32)
    with pytest.raises(ValueError, match="linears='dense': there is no ternary layer"):
        pack(dense)
    with pytest.raises(ValueError, match="table='int4' is not known; needed float32"):
        pack(model, table="int4")
    with pytest.raises(ValueError, match="this model is not packed"):
        save_packed(model, tmp_path)
    with pytest.raises(ValueError, match="storage='base4' is not known"):
        save_packed(packed, tmp_path, storage="base4")
    save_packed(packed, tmp_path)
    fields = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(
        json.dumps({**fields, "storage": "base3"}), encoding="utf-8"
    )
    with pytest.raises(CheckpointError, match="wrong shape"):
        load_packed(tmp_path)
    del fields["table"]
    (tmp_path / "config.json").write_text(json.dumps(fields), encoding="utf-8")
    with pytest.raises(ValueError, match="has no field table"):
        load_packed(tmp_path)
    (tmp_path / "config.json").write_text(
        json.dumps({**fields, "model_type": "gla"}), encoding="utf-8"
    )
    with pytest.raises(ValueError, match="model_type='gla'; needed 'workbench-decoder-packed'"):
        load_packed(tmp_path)
