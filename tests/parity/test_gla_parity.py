"""Gated linear attention against its layer in plain torch, on checkpoints torch wrote.

Keys, configuration and layer are those of flash-linear-attention; the recurrence goes token by
token. Mamba-2's layer is held to the one of transformers.
"""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.peers import peer

torch = peer("torch")

from safetensors.torch import load_file, save_file  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from workbench.language import loading  # noqa: E402
from workbench.language.linear import Linear  # noqa: E402
from workbench.language.mixers.mamba2 import Mamba2Config  # noqa: E402

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("default"),
    pytest.mark.filterwarnings("ignore:.*no tokenizer.json:UserWarning"),
]

VOCAB, WIDTH, INNER, LAYERS, HEADS = 67, 48, 80, 2, 4
KEY, VALUE = WIDTH // 2 // HEADS, WIDTH // HEADS
TOKENS = np.random.default_rng(0).integers(0, VOCAB, (2, 83))
"""Longer than a chunk of 64, and no multiple of it."""
FIELDS = {
    "architectures": ["GLAForCausalLM"],
    "attn": None,
    "attn_mode": "chunk",
    "bos_token_id": 1,
    "clamp_min": None,
    "conv_size": 4,
    "elementwise_affine": True,
    "eos_token_id": 2,
    "expand_k": 0.5,
    "expand_v": 1,
    "feature_map": None,
    "fuse_cross_entropy": True,
    "fuse_norm": True,
    "fuse_swiglu": True,
    "hidden_act": "swish",
    "hidden_ratio": 4,
    "hidden_size": WIDTH,
    "initializer_range": 0.02,
    "intermediate_size": INNER,
    "max_position_embeddings": 2048,
    "model_type": "gla",
    "norm_eps": 1e-06,
    "num_heads": HEADS,
    "num_hidden_layers": LAYERS,
    "num_kv_heads": None,
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
    "transformers_version": "4.50.0",
    "use_cache": True,
    "use_gk": True,
    "use_gv": False,
    "use_l2warp": False,
    "use_output_gate": True,
    "use_short_conv": False,
    "vocab_size": VOCAB,
}
CASES = {
    "today": {},
    "old": {"fuse_norm": False},
    "tied": {"tie_word_embeddings": True},
    "shared": {"num_kv_heads": 2, "clamp_min": -0.02},
    "hybrid": {"attn": {"layers": [1], "num_heads": 4, "num_kv_heads": 2, "window_size": 20}},
}
"""Changes of the fields; "old" also has files of the old form."""


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled():
    """What the programs compute does not depend on this."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def normed(x, gain):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * gain


class Weights(dict):
    """Tensors by key; `linear` multiplies with one."""

    def linear(self, name, x):
        return F.linear(x, self[f"{name}.weight"], self.get(f"{name}.bias"))


def gla(w, name, x, fields):
    batch, time, _ = x.shape
    shared = fields["num_kv_heads"] or HEADS

    def heads(projection, size):
        y = w.linear(f"{name}.{projection}", x)
        return y.view(batch, time, -1, size).repeat_interleave(HEADS * size // y.shape[-1], 2)

    q, k, v = heads("q_proj", KEY), heads("k_proj", KEY), heads("v_proj", VALUE)
    gate = w.linear(f"{name}.gk_proj.1", w.linear(f"{name}.gk_proj.0", x))
    gate = F.logsigmoid(gate) / 16
    if fields["clamp_min"] is not None:
        gate = gate.clamp_min(fields["clamp_min"])
    decay = gate.exp().view(batch, time, shared, KEY).repeat_interleave(HEADS // shared, 2)
    state, out = torch.zeros(batch, HEADS, KEY, VALUE), []
    for t in range(time):
        state = decay[:, t, :, :, None] * state + k[:, t, :, :, None] * v[:, t, :, None]
        out.append(torch.einsum("bhk,bhkv->bhv", q[:, t], state) * KEY**-0.5)
    o = normed(torch.stack(out, 1), w[f"{name}.g_norm_swish_gate.weight"])
    o = o.flatten(2) * F.silu(w.linear(f"{name}.g_proj", x))
    return w.linear(f"{name}.o_proj", o)


def turned(x):
    """Rotary positions, the halves of a head as real and imaginary parts."""
    size = x.shape[-1]
    angles = torch.arange(x.shape[-2])[:, None] * 10000.0 ** (-torch.arange(0, size, 2) / size)
    pairs = torch.complex(*x.chunk(2, -1)) * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([pairs.real, pairs.imag], -1)


def attention(w, name, x, attn):
    batch, time, _ = x.shape
    q, k, v = (
        w.linear(f"{name}.{one}_proj", x).view(batch, time, -1, WIDTH // 4).transpose(1, 2)
        for one in "qkv"
    )
    distance = torch.arange(time)[:, None] - torch.arange(time)
    seen = (distance >= 0) & (distance < attn["window_size"])
    k, v = (each.repeat_interleave(2, 1) for each in (turned(k), v))
    o = F.scaled_dot_product_attention(turned(q), k, v, attn_mask=seen)
    return w.linear(f"{name}.o_proj", o.transpose(1, 2).flatten(2))


def logits_of(w, fields, tokens):
    """The whole model."""
    x = w["model.embeddings.weight"][tokens]
    for number in range(LAYERS):
        name = f"model.layers.{number}"
        y = normed(x, w[f"{name}.attn_norm.weight"])
        if fields["attn"] and number in fields["attn"]["layers"]:
            x = x + attention(w, f"{name}.attn", y, fields["attn"])
        else:
            x = x + gla(w, f"{name}.attn", y, fields)
        y = normed(x, w[f"{name}.mlp_norm.weight"])
        y = F.silu(w.linear(f"{name}.mlp.gate_proj", y)) * w.linear(f"{name}.mlp.up_proj", y)
        x = x + w.linear(f"{name}.mlp.down_proj", y)
    head = "model.embeddings" if fields["tie_word_embeddings"] else "lm_head"
    return F.linear(normed(x, w["model.norm.weight"]), w[f"{head}.weight"])


def random_weights(fields):
    shared = fields["num_kv_heads"] or HEADS
    shapes = {"model.embeddings.weight": (VOCAB, WIDTH), "model.norm.weight": (WIDTH,)}
    if not fields["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (VOCAB, WIDTH)
    for number in range(LAYERS):
        name = f"model.layers.{number}"
        shapes |= {f"{name}.{norm}.weight": (WIDTH,) for norm in ("attn_norm", "mlp_norm")}
        shapes |= {f"{name}.mlp.{one}_proj.weight": (INNER, WIDTH) for one in ("gate", "up")}
        shapes[f"{name}.mlp.down_proj.weight"] = (WIDTH, INNER)
        shapes[f"{name}.attn.q_proj.weight"] = (HEADS * KEY, WIDTH)
        shapes[f"{name}.attn.o_proj.weight"] = (WIDTH, WIDTH)
        if fields["attn"] and number in fields["attn"]["layers"]:
            shapes[f"{name}.attn.q_proj.weight"] = (WIDTH, WIDTH)
            shapes |= {f"{name}.attn.{one}_proj.weight": (WIDTH // 2, WIDTH) for one in "kv"}
            continue
        shapes[f"{name}.attn.k_proj.weight"] = (shared * KEY, WIDTH)
        shapes[f"{name}.attn.v_proj.weight"] = (shared * VALUE, WIDTH)
        shapes[f"{name}.attn.g_proj.weight"] = (WIDTH, WIDTH)
        shapes[f"{name}.attn.gk_proj.0.weight"] = (16, WIDTH)
        shapes[f"{name}.attn.gk_proj.1.weight"] = (shared * KEY, 16)
        shapes[f"{name}.attn.gk_proj.1.bias"] = (shared * KEY,)
        shapes[f"{name}.attn.g_norm_swish_gate.weight"] = (VALUE,)
    draw = torch.Generator().manual_seed(0)
    return Weights(
        {
            name: torch.randn(shape, generator=draw) * 0.25
            + (1 if name.endswith(("norm.weight", "gate.weight")) else 0)
            for name, shape in shapes.items()
        }
    )


def in_the_old_form(weights):
    """Gate and up in one tensor; the norm of a head under its other name."""
    old = {}
    for name, tensor in weights.items():
        if name.endswith("mlp.gate_proj.weight"):
            tensor = torch.cat([tensor, weights[name.replace("gate_proj", "up_proj")]])
        if not name.endswith("mlp.up_proj.weight"):
            old[name.replace("g_norm_swish_gate", "g_norm")] = tensor
    return old


@pytest.fixture(scope="module", params=CASES)
def case(request, tmp_path_factory):
    """A folder torch wrote, its fields and weights."""
    place, fields = tmp_path_factory.mktemp("gla"), FIELDS | CASES[request.param]
    weights = random_weights(fields)
    written = in_the_old_form(weights) if request.param == "old" else dict(weights)
    save_file(written, place / "model.safetensors", metadata={"format": "pt"})
    (place / "config.json").write_text(json.dumps(fields), encoding="utf-8")
    return place, fields, weights


def test_logits_are_torchs_and_files_written_back_are_equal(case, tmp_path):
    place, fields, weights = case
    model, tokenizer = loading.load(place)
    assert tokenizer is None and dict(model.special_tokens)["eos_token_id"] == 2
    with torch.inference_mode():
        wanted = logits_of(weights, fields, torch.from_numpy(TOKENS)).numpy()
    found = nnx.jit(lambda model, tokens: model(tokens))(model, jnp.asarray(TOKENS))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())
    loading.save(model, tmp_path)
    again = load_file(tmp_path / "model.safetensors")
    assert again.keys() == weights.keys()
    assert all(torch.equal(again[name], weights[name]) for name in weights)
    read_back = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    for name in ("hidden_size", "num_heads", "num_kv_heads", "clamp_min", "tie_word_embeddings"):
        assert read_back[name] == fields[name]


def test_mamba2_is_transformers():
    from transformers import Mamba2Config as TheirConfig
    from transformers.models.mamba2.modeling_mamba2 import Mamba2Mixer

    torch.manual_seed(0)
    theirs = Mamba2Mixer(
        TheirConfig(
            hidden_size=24,
            num_heads=6,
            head_dim=8,
            state_size=10,
            n_groups=1,
            num_hidden_layers=1,
            layer_norm_epsilon=1e-6,
            chunk_size=16,
        ),
        layer_idx=0,
    ).eval()
    for parameter in theirs.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    ours = Mamba2Config(state_size=10, head_dim=8).build(
        24, 0, linear=Linear, eps=1e-6, dtype=jnp.float32, rngs=nnx.Rngs(params=0)
    )
    with torch.inference_mode():
        weights = {name: value.numpy() for name, value in theirs.named_parameters()}
        x = torch.randn(2, 37, 24)
        wanted = theirs(x).numpy()
    ours.in_proj.kernel[...] = jnp.asarray(weights["in_proj.weight"].T)
    ours.out_proj.kernel[...] = jnp.asarray(weights["out_proj.weight"].T)
    ours.conv1d.kernel[...] = jnp.asarray(weights["conv1d.weight"].T)
    ours.conv1d.bias[...] = jnp.asarray(weights["conv1d.bias"])
    ours.norm.scale[...] = jnp.asarray(weights["norm.weight"])
    for name in ("A_log", "D", "dt_bias"):
        getattr(ours, name)[...] = jnp.asarray(weights[name])
    assert len(weights) == 8
    found = nnx.jit(lambda layer, x: layer(x)[0])(ours, jnp.asarray(x.numpy()))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
