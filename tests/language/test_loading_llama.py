"""Configurations of LLaMA and Mistral files: read, written back, refused by name."""

import pytest

from workbench.language.loading import layout_for, layout_of
from workbench.language.mixers.xquant import XQuant
from workbench.language.published import PUBLISHED

SMALL = {
    "vocab_size": 60,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
}
SCALED = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
OLD_LENGTH = {"original_max_position_embeddings": 99}


def read(kind, **fields):
    return layout_of(kind).read({"model_type": kind, **SMALL, **fields})


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("llama", {"tie_word_embeddings": True, "rope_theta": 77.0, "attention_bias": True}),
        ("llama", {"rope_scaling": {"rope_type": "llama3", **SCALED, **OLD_LENGTH}}),
        ("llama", {"rope_scaling": {"type": "linear", "factor": 2.0}, "head_dim": 12}),
        ("mistral", {"sliding_window": 7, "hidden_act": "silu"}),
    ],
)
def test_what_is_read_is_written_back(kind, fields):
    config = read(kind, **fields)
    assert layout_for(config).model_type == kind
    again = layout_of(kind).to_file_fields(config)
    assert layout_of(kind).read(again) == config


def test_present_and_older_forms_of_positions_are_one():
    old = read("llama", rope_theta=5e5, rope_scaling={"type": "llama3", **SCALED, **OLD_LENGTH})
    positions = {"rope_type": "llama3", "rope_theta": 5e5, **SCALED, **OLD_LENGTH}
    assert read("llama", rope_parameters=positions) == old
    mixer = old.mixers[0]
    assert (mixer.rope_theta, mixer.rope_scaling.factor) == (5e5, 8.0)
    left_out = read("llama", rope_scaling={"rope_type": "llama3", **SCALED})
    assert left_out.mixers[0].rope_scaling.original_max_position_embeddings == 2048


def test_fields_left_out_are_the_families():
    assert read("mistral").mixers[0].window_size == 4096
    assert read("mistral", sliding_window=None).mixers[0].window_size is None
    assert read("mistral").max_position_embeddings == 131072
    assert read("llama").max_position_embeddings == 2048


def test_a_cache_is_in_no_file():
    config = read("llama")
    mixer = config.mixers[0].model_copy(update={"cache": XQuant(group=32)})
    packed = config.model_copy(update={"mixers": (mixer,)})
    assert layout_for(packed).to_file_fields(packed) == layout_of("llama").to_file_fields(config)


def test_a_model_without_a_limit_is_written_in_our_own_layout():
    assert layout_for(PUBLISHED["transformer++-340m"]).model_type == "workbench-decoder"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rope_scaling": {"type": "yarn", "factor": 2}}, "rope_type='yarn' is not supported"),
        ({"rope_parameters": {"partial_rotary_factor": 0.5}}, "partial_rotary_factor must be 1"),
        ({"hidden_act": "gelu"}, "hidden_act='gelu' is not supported; supported: 'silu'"),
        ({"mlp_bias": True}, "mlp_bias=True is not supported"),
        ({"num_kv_headz": 3}, "num_kv_headz=3 is not known"),
        ({"rope_scaling": {"type": "linear", "factor": 0.5}}, "rope_scaling"),
        ({"vocab_size": 1}, "vocab_size=1"),
    ],
)
def test_what_is_not_supported_is_named(fields, message):
    with pytest.raises(ValueError, match=message):
        read("llama", **fields)
