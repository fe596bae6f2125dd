"""LLaMA and Mistral against transformers' own, both ways through the files, and decoded alike."""

import json
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.peers import peer

torch = peer("torch")
transformers = peer("transformers")

from workbench.language.generation import generate  # noqa: E402
from workbench.language.loading import load, save  # noqa: E402

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]

SMALL = {
    "vocab_size": 60,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.2,
    "eos_token_id": None,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
FORMS = {
    "llama_untied": ("Llama", {"rope_parameters": {"rope_type": "default", "rope_theta": 123.0}}),
    "llama_tied": (
        "Llama",
        {"tie_word_embeddings": True, "attention_bias": True, "rope_parameters": LLAMA3},
    ),
    "mistral": ("Mistral", {"sliding_window": 9, "head_dim": 12, "num_key_value_heads": 1}),
}
TOKENS = np.random.default_rng(0).integers(0, 60, (2, 40))


def _theirs(form: str):
    name, fields = FORMS[form]
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**(SMALL | fields))
    model = getattr(transformers, f"{name}ForCausalLM")(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def _logits(model) -> np.ndarray:
    with torch.no_grad():
        return model(torch.from_numpy(TOKENS)).logits.numpy()


def _close(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()


@pytest.fixture(scope="module", params=sorted(FORMS))
def pair(request, tmp_path_factory):
    """A model of theirs, and ours read from its shards."""
    folder = tmp_path_factory.mktemp(request.param)
    theirs = _theirs(request.param)
    theirs.save_pretrained(folder, max_shard_size="20KB")
    assert (folder / "model.safetensors.index.json").is_file()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has no tokenizer
        ours, tokenizer = load(folder)
    assert tokenizer is None
    return theirs, ours


def test_logits_are_theirs_both_ways_and_greedy_texts_the_same(pair, tmp_path):
    theirs, ours = pair
    graph, weights = nnx.split(ours)
    run = jax.jit(lambda weights, tokens: nnx.merge(graph, weights)(tokens))
    wanted = _logits(theirs)
    _close(np.asarray(run(weights, jnp.asarray(TOKENS, jnp.int32))), wanted)

    save(ours, tmp_path)
    fields = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert fields["model_type"] == theirs.config.model_type
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    np.testing.assert_array_equal(_logits(again), wanted)

    prompt = TOKENS[:1, :11]
    greedy = theirs.generate(torch.from_numpy(prompt), do_sample=False, max_new_tokens=24)
    assert list(generate(ours, prompt[0], steps=24)) == greedy[0, 11:].tolist()
