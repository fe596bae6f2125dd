"""Our text encoder against transformers' own, both ways through the file."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.peers import peer

torch = peer("torch")
transformers = peer("transformers")

from workbench.checkpoints import read_tensors, write_tensors  # noqa: E402
from workbench.diffusion.checkpoint import load_text_encoder, save_text_encoder  # noqa: E402

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]

SMALL = {
    "vocab_size": 60,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 16,
    "projection_dim": 10,
    "bos_token_id": 58,
    "eos_token_id": 59,
    "pad_token_id": 59,
}
FORMS = {
    "clip_l": ("CLIPTextModel", {"eos_token_id": 2, "bos_token_id": 0, "pad_token_id": 1}),
    "open_clip_h": ("CLIPTextModel", {"hidden_act": "gelu"}),
    "open_clip_g": ("CLIPTextModelWithProjection", {"hidden_act": "gelu"}),
    "projected_quick": ("CLIPTextModelWithProjection", {"eos_token_id": 41}),
}


def _theirs(form: str):
    name, fields = FORMS[form]
    torch.manual_seed(0)
    model = getattr(transformers, name)(transformers.CLIPTextConfig(**(SMALL | fields)))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def _tokens(eos: int) -> np.ndarray:
    """Texts of different lengths; the first end token counts, whatever follows it."""
    tokens = np.random.default_rng(0).integers(0, 40, (3, 16))
    end = 59 if eos == 2 else eos
    for row, length in enumerate((3, 9, 15)):
        tokens[row, length:] = end
    tokens[0, 6] = 7
    return tokens


def _answers(model, tokens: np.ndarray) -> list[np.ndarray]:
    with torch.no_grad():
        out = model(torch.from_numpy(tokens), output_hidden_states=True)
    pooled = out.text_embeds if hasattr(out, "text_embeds") else out.pooler_output
    return [v.numpy() for v in (out.last_hidden_state, out.hidden_states[-2], pooled)]


def _ours(encoder, tokens: np.ndarray) -> list[np.ndarray]:
    graph, weights = nnx.split(encoder)
    encode = jax.jit(
        lambda weights, tokens: nnx.merge(graph, weights)(tokens),
        compiler_options={"xla_backend_optimization_level": 0},
    )
    return [np.asarray(v) for v in encode(weights, jnp.asarray(tokens, jnp.int32))]


def _same(ours: list[np.ndarray], theirs: list[np.ndarray]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        assert np.abs(a - b).max() <= 1e-4 * np.abs(b).max()


@pytest.mark.parametrize("form", FORMS)
def test_both_ways(form: str, tmp_path: Path) -> None:
    model = _theirs(form)
    model.save_pretrained(tmp_path / "theirs")
    encoder = load_text_encoder(tmp_path / "theirs")
    tokens = _tokens(encoder.config.eos_token_id)
    ours = _ours(encoder, tokens)
    _same(ours, _answers(model, tokens))
    save_text_encoder(encoder, tmp_path / "ours")
    again, report = type(model).from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    _same(ours, _answers(again.eval(), tokens))


def test_names_of_published_files(tmp_path: Path) -> None:
    """With the prefix, with the numbers of the places, and without the prefix."""
    model = _theirs("clip_l")
    model.save_pretrained(tmp_path)
    tokens = _tokens(2)
    theirs = _answers(model, tokens)
    file = tmp_path / "model.safetensors"
    bare = {n.removeprefix("text_model."): t for n, t in read_tensors(file).items()}
    write_tensors(file, bare)
    _same(_ours(load_text_encoder(tmp_path), tokens), theirs)
    published = {f"text_model.{name}": tensor for name, tensor in bare.items()}
    published["text_model.embeddings.position_ids"] = np.arange(16)[None]
    write_tensors(file, published)
    _same(_ours(load_text_encoder(tmp_path), tokens), theirs)
