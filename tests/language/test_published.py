"""Published shapes have their published parameters; the ladder's models are of one size."""

import pytest

from workbench.language.config import DecoderConfig
from workbench.language.mixers.gla import GLAConfig
from workbench.language.published import (
    BENCHMARKED,
    KINDS,
    PUBLISHED,
    RUNGS,
    ladder,
    multiplied,
    parameters,
)


def gla(d, layers, inner, embeddings):
    """4 d^2, 24.5 d of the gate and d / 4 of its norm a mixer; 3 d I a feed-forward layer."""
    mixer = 4 * d**2 + 16 * (3 * d // 2) + d // 2 + d // 4
    return layers * (mixer + 3 * d * inner + 2 * d) + d + embeddings * 32000 * d


def plain(d, layers, inner, embeddings, mixer):
    return layers * (mixer + 3 * d * inner + 2 * d) + d + embeddings * 32000 * d


def ternary(d, layers, inner):
    """A norm before each product, one of the output; lower bounds; a head beside the embedding."""
    layer = 4 * d**2 + 4 * d + d + 3 * d * inner + d + inner + 2 * d
    return layers * (layer + d) + d + 2 * 32000 * d + d


def mamba2(d, layers, size, head):
    inner = 2 * d
    heads, mixed = inner // head, inner + 2 * size
    mixer = d * (inner + mixed + heads) + 5 * mixed + 3 * heads + inner + inner * d
    return layers * (mixer + d) + d + 2 * 32000 * d


@pytest.mark.parametrize(
    ("name", "exact", "millions"),
    [
        ("gla-340m", gla(1024, 24, 2816, 1), 341.7),
        ("gla-1.3b", gla(2048, 24, 5632, 2), 1365.5),
        ("transformer++-340m", plain(1024, 24, 2816, 1, 4 * 1024**2), 341.1),
        ("transformer++-1.3b", plain(2048, 24, 5632, 2, 4 * 2048**2), 1364.3),
        ("matmulfree-370m", ternary(1024, 24, 2816), 374.1),
        ("matmulfree-1.3b", ternary(2048, 24, 5632), 1364.8),
        ("matmulfree-2.7b", ternary(2560, 32, 6912), 2702.4),
        ("retnet-1.3b", plain(2048, 24, 2816, 2, 8 * 2048**2 + 512), 1351.7),
        ("hgrn2-1.3b", plain(2048, 24, 5632, 2, 4 * 2048**2 + 2048) + 24 * 2048, 1364.4),
        ("mamba2-1.3b", mamba2(2048, 48, 128, 64), 1371.8),
    ],
)
def test_published_models_have_their_parameters(name, exact, millions):
    assert parameters(PUBLISHED[name]) == exact
    assert round(exact / 1e6, 1) == millions


def test_the_head_of_an_untied_gla_is_its_own():
    untied = PUBLISHED["gla-340m"].model_copy(update={"tie_word_embeddings": False})
    assert round(parameters(untied) / 1e6, 1) == 374.5


def test_weights_of_products_are_the_matrices_alone():
    d, inner, size = 1024, 2816, 24 * 1024
    assert multiplied(PUBLISHED["transformer++-340m"]) == size * (4 * d + 3 * inner) + 32000 * d
    # Of the untied MatMul-free model the head is a product, and bounds and embedding are none.
    assert multiplied(PUBLISHED["matmulfree-370m"]) == size * (4 * d + 3 * inner) + 32000 * d
    d, inner = 2048, 4096
    one = d * (2 * inner + 2 * 128 + 64) + inner * d
    assert multiplied(PUBLISHED["mamba2-1.3b"]) == 48 * one + 32000 * d


def test_every_published_shape_is_its_own_record():
    for config in PUBLISHED.values():
        assert DecoderConfig.model_validate(config.record()) == config
    assert 1.30e9 < parameters(PUBLISHED["delta_net-1.3b"]) < 1.40e9
    assert 1.30e9 < parameters(PUBLISHED["gated_delta_net-1.3b"]) < 1.40e9


def test_models_timed_on_a_cpu_are_as_large_as_each_other():
    gla, transformer = (parameters(BENCHMARKED[n]) for n in ("gla-30m", "transformer++-30m"))
    assert round(gla / 1e6, 1) == 31.6
    assert abs(gla - transformer) < 0.004 * gla


ALL = [(kind, size) for size in RUNGS for kind in KINDS]


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        pytest.param(kind, size, marks=() if size == "10k" else pytest.mark.slow)
        for kind, size in ALL
    ],
)
def test_kinds_of_a_size_have_its_parameters(kind, size):
    config = ladder(kind, size)
    wanted = RUNGS[size][0]
    assert abs(parameters(config) - wanted) < 0.006 * wanted
    assert config.vocab_size == 256
    assert config.linears == ("ternary" if kind == "matmulfree" else "dense")


def test_a_gate_of_the_ablation_changes_the_gate_and_gives_its_parameters_to_the_rest():
    gates = [ladder(f"gla{gate}", "100k") for gate in ("", "-scalar", "-fixed", "-none")]
    assert [c.mixers[0].gate for c in gates] == ["channel", "scalar", "fixed", "none"]
    assert gates[0].inner < gates[1].inner < gates[2].inner == gates[3].inner
    counts = [parameters(config) for config in gates]
    assert max(counts) - min(counts) < 0.003 * counts[0]


def test_a_mixer_of_ones_own_is_fitted_too():
    config = ladder(GLAConfig(num_heads=1, expand_k=1.0), "30k")
    assert config.mixers == (GLAConfig(num_heads=1, expand_k=1.0),)
    assert abs(parameters(config) - 30_000) < 200


@pytest.mark.parametrize(
    ("kind", "size", "vocab_size", "message"),
    [
        ("gla", "10m", 256, "size='10m' is not on the ladder; use 10k, 30k"),
        ("glu", "10k", 256, "kind='glu' is not on the ladder; use attention, "),
        ("gla", "10k", 8192, "10,000 parameters have no room for kind='gla' .*vocab_size=8192"),
        ("mamba2", "10k", 8192, "10,000 parameters have no room for kind='mamba2'"),
        ("matmulfree", "10k", 4096, "10,000 parameters have no room for kind='matmulfree'"),
    ],
)
def test_what_the_ladder_has_not_is_named(kind, size, vocab_size, message):
    with pytest.raises(ValueError, match=message):
        ladder(kind, size, vocab_size=vocab_size)
