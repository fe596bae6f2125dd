"""The report of ternary layers: shares, errors and sizes against numpy and the published sizes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from kernels_pallas import pack_ternary
from workbench.language.config import DecoderConfig
from workbench.language.decoder import Decoder
from workbench.language.mixers.mlgru import MLGRUConfig
from workbench.language.ternary_report import EDGES, FORMATS, packed_sizes, report, shapes
from workbench.model_files.abstract import abstract

MIB = 1 << 20


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled():
    """What the programs compute does not depend on this."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


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


@pytest.fixture(scope="module")
def model():
    return Decoder(configuration(1, 32, 16, vocab=32), rngs=nnx.Rngs(params=0))


@pytest.fixture(scope="module")
def reports(model):
    return report(model)


def test_every_ternary_layer_is_reported(reports):
    names = [one.name for one in reports]
    assert len(names) == len(set(names)) == 7
    assert {"lm_head", "model.layers.0.attn.i_proj", "model.layers.0.mlp.down_proj"} <= set(names)
    assert {one.name: one.shape for one in reports} == shapes(configuration(1, 32, 16, vocab=32))


def test_figures_are_those_of_numpy(model, reports):
    one = next(one for one in reports if one.name == "model.layers.0.mlp.gate_proj")
    w = np.float64(model.model.layers[0].mlp.gate_proj.kernel[...])
    size = np.abs(w).mean()
    signs = np.clip(np.round(w / size), -1, 1)
    assert one.size == pytest.approx(size, rel=1e-6)
    np.testing.assert_allclose(one.shares, [np.mean(signs == s) for s in (-1, 0, 1)], atol=1e-3)
    error = np.linalg.norm(w - size * signs) / np.linalg.norm(w)
    assert one.weight_error == pytest.approx(error, abs=1e-3)
    assert one.counts.sum() == w.size
    counts = np.histogram(np.clip(w / size, EDGES[0], EDGES[-1]), EDGES)[0]
    assert np.abs(counts - one.counts).sum() <= 4  # a weight on a bin's edge
    shares = np.array(one.shares)
    assert one.entropy == pytest.approx(-np.sum(shares * np.log2(shares)))
    # Normal inputs and rounding of weights alone would give the weights' error; activations add.
    assert one.output_error == pytest.approx(error, rel=0.2)


def test_the_published_model_has_its_sizes():
    found = packed_sizes(configuration(24, 1024, 2816))
    assert found["2 bits, tiles of 128 (as here)"] / MIB == pytest.approx(81, abs=0.6)
    assert found["base 3, five a byte (as here)"] / MIB == pytest.approx(65, abs=0.6)
    assert found["float32"] / found["2 bits"] == pytest.approx(16, rel=1e-4)
    bits = {name: 32 * size / found["float32"] for name, size in found.items()}
    assert bits["TL2 (bitnet.cpp)"] == pytest.approx(5 / 3, rel=2e-3)
    assert bits["TQ1_0 (llama.cpp)"] == pytest.approx(1.6875, rel=1e-6)
    assert bits["TQ2_0 (llama.cpp)"] == pytest.approx(2.0625, rel=1e-6)


def test_sizes_of_ours_are_those_of_the_arrays():
    for k, n in ((1, 1), (129, 40)):
        w = jnp.zeros((k, n), jnp.int8)
        packed = jax.eval_shape(pack_ternary, w)
        assert FORMATS["2 bits, tiles of 128 (as here)"](k, n) == packed.nbytes + 4
        stored = jax.eval_shape(lambda w: pack_ternary(w, storage="base3"), w).digits.size
        assert FORMATS["base 3, five a byte (as here)"](k, n) == stored + 4
    assert FORMATS["TL2 (bitnet.cpp)"](8, 3) == (2 * 5 + 4) * 3 // 8 + 1 + 4


def test_a_model_without_ternary_layers_is_refused():
    config = DecoderConfig(
        vocab_size=8, hidden_size=8, num_hidden_layers=1, mixers=(MLGRUConfig(),)
    )
    with pytest.raises(ValueError, match="linears='dense': there is no ternary layer"):
        packed_sizes(config)
    with pytest.raises(ValueError, match="linears='dense': there is no ternary layer with"):
        report(abstract(Decoder, config, dtype=jnp.float32))
