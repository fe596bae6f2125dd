"""Language models to disk and back, in the layouts of others and our own; files that are wrong."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from workbench.checkpoints import CheckpointError, read_tensors, write_tensors
from workbench.language import Decoder, DecoderConfig
from workbench.language.loading import layout_for, load, save
from workbench.language.mixers.attention import AttentionConfig
from workbench.language.mixers.gla import GLAConfig
from workbench.language.mixers.hgrn2 import HGRN2Config
from workbench.language.mixers.mamba2 import Mamba2Config
from workbench.language.mixers.retnet import RetNetConfig
from workbench.language.tokens import BPE, Bytes, Characters
from workbench.model_files.abstract import abstract

WEIGHTS = "model.safetensors"
GLA = GLAConfig(num_heads=2, num_kv_heads=1)
MODELS = {
    "gla": (GLA,),
    "gla-hybrid": (GLA, AttentionConfig(num_heads=2, window_size=5, biases="qkv")),
    "gla-scalar": (GLAConfig(num_heads=2, gate="scalar"),),
    "mamba2": (Mamba2Config(state_size=6, head_dim=8),),
    "hybrid": (HGRN2Config(expand_ratio=8), RetNetConfig(num_heads=2)),
}

# Nothing here depends on what texts a model writes.
pytestmark = pytest.mark.filterwarnings("ignore:.*no tokenizer.json:UserWarning")


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled():
    """What the programs compute does not depend on this."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def made(*mixers, **fields):
    config = DecoderConfig(
        **{
            "vocab_size": 261,
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "mixers": mixers,
            "intermediate_size": 24,
            **fields,
        }
    )
    graph, state = nnx.split(abstract(Decoder, config, dtype=np.float32))
    draw = np.random.default_rng(3)
    drawn = jax.tree.map(
        lambda leaf: jnp.asarray(0.3 * draw.standard_normal(leaf.shape), leaf.dtype), state
    )
    return nnx.merge(graph, drawn)


def same(one, other):
    assert one.config == other.config
    ours, theirs = (jax.tree_util.tree_leaves_with_path(nnx.state(m)) for m in (one, other))
    assert [path for path, _ in ours] == [path for path, _ in theirs]
    for (path, a), (_, b) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=str(path))


@pytest.fixture(scope="module")
def model():
    return made(GLA, tie_word_embeddings=False)


@pytest.fixture
def folder(model, tmp_path):
    save(model, tmp_path)
    return tmp_path


def changed(folder, **fields):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def spoiled(folder, change):
    tensors = read_tensors(folder / WEIGHTS)
    change(tensors)
    write_tensors(folder / WEIGHTS, tensors)


@pytest.mark.parametrize("kind", MODELS)
def test_every_model_comes_back_as_it_was(kind, tmp_path):
    model = made(*MODELS[kind])
    written = save(model, tmp_path, shard_bytes=4_000)
    assert written.name.endswith(".index.json")
    back, tokenizer = load(tmp_path)
    same(back, model)
    assert tokenizer is None
    family = json.loads((tmp_path / "config.json").read_text())["model_type"]
    assert family == ("gla" if kind in ("gla", "gla-hybrid") else "workbench-decoder")


def test_keys_and_shapes_are_those_of_the_format(folder):
    shapes = {name: tensor.shape for name, tensor in read_tensors(folder / WEIGHTS).items()}
    layer = {
        "attn_norm.weight": (16,),
        "mlp_norm.weight": (16,),
        "attn.q_proj.weight": (8, 16),
        "attn.k_proj.weight": (4, 16),
        "attn.v_proj.weight": (8, 16),
        "attn.g_proj.weight": (16, 16),
        "attn.o_proj.weight": (16, 16),
        "attn.gk_proj.0.weight": (16, 16),
        "attn.gk_proj.1.weight": (4, 16),
        "attn.gk_proj.1.bias": (4,),
        "attn.g_norm_swish_gate.weight": (8,),
        "mlp.gate_proj.weight": (24, 16),
        "mlp.up_proj.weight": (24, 16),
        "mlp.down_proj.weight": (16, 24),
    }
    wanted = {f"model.layers.{i}.{name}": shape for i in (0, 1) for name, shape in layer.items()}
    wanted |= {"model.embeddings.weight": (261, 16), "model.norm.weight": (16,)}
    assert shapes == wanted | {"lm_head.weight": (261, 16)}


def test_old_files_are_read_and_written_in_todays_form(model, folder, tmp_path_factory):
    now = read_tensors(folder / WEIGHTS)

    def change(tensors):
        for i in (0, 1):
            mlp, attn = f"model.layers.{i}.mlp", f"model.layers.{i}.attn"
            halves = [tensors.pop(f"{mlp}.{part}_proj.weight") for part in ("gate", "up")]
            tensors[f"{mlp}.gate_proj.weight"] = np.concatenate(halves)
            norm = tensors.pop(f"{attn}.g_norm_swish_gate.weight")
            tensors[f"{attn}.g_norm.weight"] = norm

    spoiled(folder, change)
    changed(folder, fuse_norm=False, transformers_version="4.40", a_later_switch=False)
    back, _ = load(folder)
    same(back, model)
    elsewhere = tmp_path_factory.mktemp("again")
    save(back, elsewhere)
    again = read_tensors(elsewhere / WEIGHTS)
    assert again.keys() == now.keys()
    assert all(np.array_equal(again[name], now[name]) for name in now)


def test_fields_left_out_mean_what_the_format_means_by_them():
    from workbench.language.loading.gla import read

    config = read({"model_type": "gla"})
    assert (config.hidden_size, config.inner, config.num_hidden_layers) == (2048, 5632, 24)
    assert config.mixers == (GLAConfig(),)
    assert not config.tie_word_embeddings and config.norm_eps == 1e-6


def test_a_head_that_is_the_embedding_again_is_one_tensor(tmp_path):
    tied = made(GLA)
    save(tied, tmp_path)
    assert "lm_head.weight" not in read_tensors(tmp_path / WEIGHTS)
    spoiled(tmp_path, lambda t: t.update({"lm_head.weight": t["model.embeddings.weight"].copy()}))
    same(load(tmp_path)[0], tied)
    spoiled(tmp_path, lambda t: t["lm_head.weight"].__setitem__((0, 0), 7.0))
    with pytest.raises(CheckpointError, match=r"tie_word_embeddings=True, but lm_head\.weight"):
        load(tmp_path)


@pytest.mark.slow
def test_half_and_quarter_precision(folder):
    tokens = jax.random.randint(jax.random.key(0), (1, 9), 0, 261)
    logits = nnx.jit(lambda model: model(tokens))
    # Mamba-2 has a kernel of three axes, whose precision is always full.
    model = made(*MODELS["mamba2"], num_hidden_layers=1)
    save(model, folder)
    exact = logits(model)
    for dtype, near in (("bfloat16", 2e-2), ("int8", 5e-2)):
        found = logits(load(folder, dtype=dtype)[0])
        assert 0 < np.linalg.norm(found - exact) / np.linalg.norm(exact) < near
    with pytest.raises(ValueError, match="dtype='float64' is not supported"):
        load(folder, dtype="float64")


def test_ids_of_special_tokens_go_along(model, folder, tmp_path_factory):
    changed(folder, bos_token_id=1, eos_token_id=[2, 3], pad_token_id=None)
    back, _ = load(folder)
    assert dict(back.special_tokens) == {"bos_token_id": 1, "eos_token_id": (2, 3)}
    elsewhere = tmp_path_factory.mktemp("again")
    save(back, elsewhere)
    fields = json.loads((elsewhere / "config.json").read_text())
    assert fields["eos_token_id"] == [2, 3] and fields["bos_token_id"] == 1


TEXT = "the cat sat on the mat; the rat sat on the cat. " * 3
TOKENIZERS = {
    "bytes": Bytes(),
    "characters": Characters.of(TEXT),
    "bpe": BPE.train(TEXT, 260),
}


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_tokenizers_come_back(model, tmp_path, kind):
    save(model, tmp_path, Bytes() if kind == "bpe" else TOKENIZERS["bpe"])
    save(model, tmp_path, TOKENIZERS[kind])
    _, tokenizer = load(tmp_path)
    assert tokenizer.fingerprint == TOKENIZERS[kind].fingerprint
    assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT


def test_a_tokenizer_with_more_ids_than_vectors(tmp_path):
    few = made(GLA, vocab_size=200)
    with pytest.raises(ValueError, match="largest id is 255; the model has vectors .*=200"):
        save(few, tmp_path, Bytes())
    save(few, tmp_path)
    TOKENIZERS["bpe"].save(tmp_path)
    with pytest.raises(ValueError, match=rf"{tmp_path}: the tokenizer's largest id is 2\d\d"):
        load(tmp_path)


@pytest.mark.filterwarnings("error")
def test_a_folder_without_a_tokenizer_warns(folder):
    with pytest.warns(UserWarning, match=r"no tokenizer\.json: the model reads and writes ids"):
        load(folder)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model_type": "glaa"}, "model_type='glaa' is not supported.*did you mean gla"),
        ({"model_type": None}, "model_type=None is not supported; supported: gla"),
        ({"use_short_conv": True}, "gla config field use_short_conv=True is not supported"),
        ({"num_head": 3}, "gla config field num_head=3 is not known; did you mean num_heads"),
        ({"hidden_size": "wide"}, "gla config field hidden_size='wide': .*valid integer"),
        ({"hidden_size": 18}, "num_heads=2 does not divide expand_k"),
        ({"num_heads": 3}, "num_kv_heads=1|num_heads=3 does not divide expand_k"),
        ({"clamp_min": 0.5}, "mixers.*clamp_min=0.5"),
        ({"attn": {"num_heads": 2}}, "gla config field attn=.* must say layers and num_heads"),
        ({"attn": {"num_heads": 2, "layers": [7]}}, "attn: layer 7 of 2 is not there"),
        ({"attn": {"num_heads": 2, "layers": [1], "qk_norm": True}}, "attn config field qk_norm"),
    ],
)
def test_a_field_that_is_wrong_is_named(folder, fields, message):
    changed(folder, **fields)
    with pytest.raises(ValueError, match=message):
        load(folder)


def test_files_that_are_not_there_or_wrong(model, tmp_path):
    with pytest.raises(CheckpointError, match="no such file or folder"):
        load(tmp_path / "nothing")
    index = save(model, tmp_path, shard_bytes=4_000)
    shard = sorted(tmp_path.glob("model-*.safetensors"))[0]
    shard.rename(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match=shard.name):
        load(tmp_path)
    index.unlink()
    with pytest.raises(CheckpointError, match="safetensors"):
        load(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(ValueError, match=r"config\.json: cannot be read"):
        load(tmp_path)
    with pytest.raises(CheckpointError, match="not a folder"):
        load(tmp_path / "elsewhere")


def test_tensors_that_do_not_fit_are_named(folder):
    def change(tensors):
        tensors["model.layers.0.attn.q_proj.weights"] = tensors.pop(
            "model.layers.0.attn.q_proj.weight"
        )
        tensors["model.norm.weight"] = tensors["model.norm.weight"][:3]

    spoiled(folder, change)
    with pytest.raises(CheckpointError) as caught:
        load(folder)
    message = str(caught.value)
    assert "model.layers.0.attn.q_proj.weight (8, 16) (nearest found:" in message
    assert "model.norm.weight: found (3,), expected (16,)" in message


def test_what_a_family_cannot_hold_is_written_in_our_own_layout():
    for fields in (
        {"gate_low_rank_dim": 8},
        {"gate_logit_normalizer": 4.0},
        {"gate": "none"},
    ):
        config = made(GLAConfig(num_heads=2, **fields)).config
        assert layout_for(config).model_type == "workbench-decoder"
    for attention in ({"rope_theta": None}, {"biases": "all"}, {"head_dim": 6}):
        config = made(GLA, AttentionConfig(num_heads=2, **attention)).config
        assert layout_for(config).model_type == "workbench-decoder"
    assert layout_for(made(GLA).config).model_type == "gla"
    from workbench.language.loading.gla import LAYOUT

    with pytest.raises(ValueError, match="model_type='gla' cannot hold this model of attention"):
        LAYOUT.to_file_fields(config)


def test_a_hub_name_is_found_in_the_cache_while_it_is_whole(model, tmp_path, monkeypatch):
    from huggingface_hub import constants

    snapshot = tmp_path / "models--someone--a-model" / "snapshots" / ("a" * 40)
    save(model, snapshot, shard_bytes=4_000)
    refs = snapshot.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text("a" * 40)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    same(load("someone/a-model")[0], model)
    shard = sorted(snapshot.glob("model-*.safetensors"))[0]
    shard.unlink()
    with pytest.raises(CheckpointError, match=shard.name):
        load("someone/a-model")
    with pytest.raises(CheckpointError, match="someone/nothing: not a path here, not in the hub"):
        load("someone/nothing")
