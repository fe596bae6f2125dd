"""MatMul-free LM against its equations in plain torch, on checkpoints torch wrote."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers import peer

torch = peer("torch")

from safetensors.torch import load_file, save_file  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from workbench.language import loading  # noqa: E402

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]

VOCAB, WIDTH, INNER, LAYERS = 61, 40, 56, 2
FIELDS = {
    "architectures": ["HGRNBitForCausalLM"],
    "attn_mode": "fused_recurrent",
    "bos_token_id": 1,
    "conv_size": 4,
    "eos_token_id": 2,
    "expand_ratio": 1,
    "fuse_cross_entropy": True,
    "hidden_act": "swish",
    "hidden_ratio": 4,
    "hidden_size": WIDTH,
    "initializer_range": 0.02,
    "intermediate_size": INNER,
    "max_position_embeddings": 2048,
    "model_type": "hgrn_bit",
    "num_heads": 1,
    "num_hidden_layers": LAYERS,
    "rms_norm_eps": 1e-06,
    "share_conv_kernel": True,
    "torch_dtype": "float32",
    "transformers_version": "4.40.2",
    "use_cache": True,
    "use_lower_bound": True,
    "use_short_conv": False,
    "vocab_size": VOCAB,
}
TOKENS = np.random.default_rng(0).integers(0, VOCAB, (2, 19))


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled():
    """What the programs compute does not depend on this."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def normed(x, gain):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * gain


class Ternary(torch.autograd.Function):
    """Rounds one way or the other; the gradient of what was rounded."""

    @staticmethod
    def forward(ctx, value, scale, low, high):
        return (value * scale).round().clamp(low, high) / scale

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None, None, None


def product(weights, name, x):
    """The ternary layer `name`."""
    y = normed(x, weights[f"{name}.norm.weight"])
    row = 127 / y.abs().amax(-1, keepdim=True).clamp_min(1e-5)
    w = weights[f"{name}.weight"]
    whole = 1 / w.abs().mean().clamp_min(1e-5)
    return F.linear(
        Ternary.apply(y, row.detach(), -128, 127), Ternary.apply(w, whole.detach(), -1, 1)
    )


def mixed(weights, name, x, bound):
    f = torch.sigmoid(product(weights, f"{name}.f_proj", x))
    f = bound + (1 - bound) * f
    add = (1 - f) * F.silu(product(weights, f"{name}.i_proj", x))
    h, states = torch.zeros_like(add[:, 0]), []
    for t in range(x.shape[1]):
        h = f[:, t] * h + add[:, t]
        states.append(h)
    gate = normed(product(weights, f"{name}.g_proj", x), weights[f"{name}.g_norm.weight"])
    return product(weights, f"{name}.o_proj", gate * F.silu(torch.stack(states, 1)))


def logits_of(weights, tokens):
    """The whole model."""
    shares = weights["model.lower_bounds"].softmax(0)
    bounds = shares.cumsum(0) - shares[0]
    x = weights["model.embeddings.weight"][tokens]
    for number in range(LAYERS):
        name = f"model.layers.{number}"
        x = x + mixed(
            weights, f"{name}.attn", normed(x, weights[f"{name}.attn_norm.weight"]), bounds[number]
        )
        both = product(
            weights, f"{name}.mlp.gate_proj", normed(x, weights[f"{name}.mlp_norm.weight"])
        )
        gate, up = both.chunk(2, -1)
        x = x + product(weights, f"{name}.mlp.down_proj", F.silu(gate) * up)
    return product(weights, "lm_head", normed(x, weights["model.norm.weight"]))


def random_weights():
    shapes = {
        "model.embeddings.weight": (VOCAB, WIDTH),
        "model.lower_bounds": (LAYERS, WIDTH),
        "model.norm.weight": (WIDTH,),
        "lm_head.weight": (VOCAB, WIDTH),
        "lm_head.norm.weight": (WIDTH,),
    }
    for number in range(LAYERS):
        name = f"model.layers.{number}"
        shapes |= {f"{name}.{norm}.weight": (WIDTH,) for norm in ("attn_norm", "mlp_norm")}
        shapes[f"{name}.attn.g_norm.weight"] = (WIDTH,)
        for letter in "ifgo":
            shapes[f"{name}.attn.{letter}_proj.weight"] = (WIDTH, WIDTH)
            shapes[f"{name}.attn.{letter}_proj.norm.weight"] = (WIDTH,)
        shapes[f"{name}.mlp.gate_proj.weight"] = (2 * INNER, WIDTH)
        shapes[f"{name}.mlp.gate_proj.norm.weight"] = (WIDTH,)
        shapes[f"{name}.mlp.down_proj.weight"] = (WIDTH, INNER)
        shapes[f"{name}.mlp.down_proj.norm.weight"] = (INNER,)
    draw = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(shape, generator=draw) * (0.2 if len(shape) > 1 else 0.1)
        + (1 if len(shape) == 1 else 0)
        for name, shape in shapes.items()
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("hgrn_bit")
    save_file(random_weights(), place / "model.safetensors", metadata={"format": "pt"})
    (place / "config.json").write_text(json.dumps(FIELDS), encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def model(folder):
    return loading.load(folder)[0]


def test_logits_are_those_of_the_equations(model):
    ours = jax.jit(model)(jnp.asarray(TOKENS))
    theirs = logits_of(random_weights(), torch.from_numpy(TOKENS))
    assert float(theirs.abs().max()) > 1
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_gradients_are_those_of_the_equations(model):
    from flax import nnx

    from workbench.model_files import keys

    weights = {name: w.requires_grad_() for name, w in random_weights().items()}
    after = torch.from_numpy(np.roll(TOKENS, -1, 1)).reshape(-1)
    F.cross_entropy(logits_of(weights, torch.from_numpy(TOKENS)).flatten(0, 1), after).backward()
    graph, state = nnx.split(model)

    @jax.jit
    @jax.grad
    def gradients(state):
        logits = nnx.merge(graph, state)(jnp.asarray(TOKENS)).reshape(-1, VOCAB)
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), jnp.asarray(after)[:, None], 1)
        return -jnp.mean(chosen)

    found = jax.tree_util.tree_flatten_with_path(gradients(state))[0]
    assert len(found) == len(weights)
    for path, ours in found:
        place = keys.names(path)
        theirs = keys.from_file(place, weights[keys.key(place)].grad.numpy())
        np.testing.assert_allclose(ours, theirs, atol=1e-4 * max(1, np.abs(theirs).max()))


def test_what_is_saved_is_what_torch_wrote(model, folder, tmp_path):
    loading.save(model, tmp_path)
    written, given = load_file(tmp_path / "model.safetensors"), random_weights()
    assert written.keys() == given.keys()
    for name, tensor in given.items():
        assert torch.equal(written[name], tensor), name
    fields = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    differ = {name for name, value in fields.items() if FIELDS.get(name, value) != value}
    assert not differ
