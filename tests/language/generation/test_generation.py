"""Writing texts: as by hand, alone or in a batch; what is refused before anything runs."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from workbench.language.config import DecoderConfig
from workbench.language.decoder import Decoder
from workbench.language.generation import Batcher, Sampling, generate, programs, with_cache
from workbench.language.mixers.attention import AttentionConfig
from workbench.language.mixers.gla import GLAConfig
from workbench.language.mixers.xquant import XQuant

VOCAB, LENGTH = 31, 64
MIXERS = {
    "attention": (
        AttentionConfig(num_heads=4, num_kv_heads=2),
        AttentionConfig(num_heads=2, window_size=9),
    ),
    "shared": (AttentionConfig(num_heads=4, num_kv_heads=2, head_dim=16),),
    "gla": (GLAConfig(num_heads=2),),
}
PROMPTS = [np.random.default_rng(seed).integers(0, VOCAB, n) for seed, n in enumerate((37, 1, 4))]


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled():
    """What the programs compute does not depend on this."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def made(kind: str, **more) -> Decoder:
    config = DecoderConfig(
        vocab_size=VOCAB,
        hidden_size=32,
        num_hidden_layers=len(MIXERS[kind]),
        mixers=MIXERS[kind],
        intermediate_size=48,
        initializer_range=0.3,
        **more,
    )
    return Decoder(config, rngs=nnx.Rngs(params=0))


@pytest.fixture(scope="module", params=[pytest.param("attention", marks=pytest.mark.slow), "gla"])
def model(request):
    return made(request.param)


@pytest.fixture(scope="module")
def plain():
    return made("gla", max_position_embeddings=LENGTH)


def by_hand(model, prompt, steps):
    """The likeliest token after the whole text so far, again and again."""
    run = nnx.jit(lambda model, tokens: model(tokens))
    text = np.zeros((1, LENGTH), np.int32)
    text[0, : len(prompt)] = prompt
    for place in range(len(prompt), len(prompt) + steps):
        text[0, place] = np.argmax(run(model, jnp.asarray(text))[0, place - 1])
    return text[0, len(prompt) : len(prompt) + steps].tolist()


def test_greedy_texts_are_those_by_hand_alone_and_in_a_batch(model):
    """Three texts in two rows: one joins while another is written, one when another has left."""
    steps = (6, 12, 9)
    wanted = [by_hand(model, prompt, n) for prompt, n in zip(PROMPTS, steps, strict=True)]
    assert list(generate(model, PROMPTS[0], steps=6, length=LENGTH)) == wanted[0]

    batcher = Batcher(model, slots=2, length=LENGTH)
    asked = [batcher.submit(PROMPTS[1], steps=12)]
    assert batcher.step() == [(asked[0], wanted[1][0])]
    asked += [batcher.submit(prompt, steps=n) for prompt, n in ((PROMPTS[0], 6), (PROMPTS[2], 9))]
    seen = {request: [wanted[1][0]] if request is asked[0] else [] for request in asked}
    for request, token in batcher:
        seen[request].append(token)
    order = (1, 0, 2)
    assert [seen[request] for request in asked] == [wanted[place] for place in order]
    assert [request.tokens for request in asked] == [wanted[place] for place in order]
    assert not batcher.busy

    report = asked[2].report()
    assert (report.prompt, report.tokens, report.ending) == (4, 9, "length")
    assert report.first_token > 0
    assert report.tokens_per_second > 0
    width = model.config.hidden_size
    layers = [model.config.mixer(i) for i in range(model.config.num_hidden_layers)]
    assert report.state_bytes == sum(mixer.state_bytes(width, LENGTH) for mixer in layers)


def test_drawn_texts_depend_on_their_seed_and_not_on_their_batch(plain):
    warm = Sampling(temperature=1.5, top_k=20, top_p=0.95)
    batcher = Batcher(plain, slots=2, length=LENGTH)
    asked = [batcher.submit(PROMPTS[2], steps=15, sampling=warm, seed=seed) for seed in (5, 6, 5)]
    asked.append(batcher.submit(PROMPTS[2], steps=15))
    for _ in batcher:
        pass
    alone = list(generate(plain, PROMPTS[2], steps=15, sampling=warm, seed=5, length=LENGTH))
    texts = [request.tokens for request in asked]
    assert texts[0] == texts[2] == alone
    assert len({tuple(text) for text in texts}) == 3


def test_one_program_serves_all_texts_of_like_lengths(plain):
    list(generate(plain, PROMPTS[0], steps=3))
    before = programs.write._cache_size(), programs.read._cache_size()
    other = made("gla", max_position_embeddings=LENGTH)
    warm = Sampling(temperature=1.0)
    list(generate(other, PROMPTS[0][:35], steps=5, sampling=warm, seed=3))
    assert (programs.write._cache_size(), programs.read._cache_size()) == before


def test_a_text_ends_at_a_stop_token_which_is_not_given(plain):
    whole = list(generate(plain, PROMPTS[2], steps=12))
    stop = whole[5]
    until = whole[: whole.index(stop)]
    writer = generate(plain, PROMPTS[2], steps=12, stop=[stop])
    assert list(writer) == until
    assert writer.report().ending == "stop"
    plain.special_tokens = (("bos_token_id", 1), ("eos_token_id", (stop, 0)))
    assert list(generate(plain, PROMPTS[2], steps=12)) == whole[: len(until)]
    plain.special_tokens = (("eos_token_id", stop),)
    assert list(generate(plain, PROMPTS[2], steps=12)) == until
    del plain.special_tokens


def test_texts_can_be_ended_wherever_they_are(plain):
    batcher = Batcher(plain, slots=1, length=LENGTH)
    first, second, third = (batcher.submit(PROMPTS[2], steps=5) for _ in range(3))
    while not first.tokens:
        batcher.step()
    batcher.cancel(first)
    batcher.cancel(third)
    written = [request for request, _ in batcher]
    assert written == [second] * 5
    assert [r.ending for r in (first, second, third)] == ["cancelled", "length", "cancelled"]
    batcher.cancel(second)
    assert second.ending == "length"


def test_tokens_come_one_by_one(plain):
    writer = generate(plain, PROMPTS[2], steps=40)
    assert len(list(itertools.islice(writer, 3))) == 3
    assert writer.report().tokens == 3
    assert writer.report().ending == ""


@pytest.mark.parametrize(
    ("prompt", "more", "message"),
    [
        ([1] * 60, {"steps": 5}, "60 tokens of prompt and steps=5 are 65; this model has max_posi"),
        ([1] * 8, {"steps": 5, "length": 12}, "are 13; there is room for length=12"),
        ([1], {"steps": 5, "length": 65}, "65 tokens; this model has max_position_embeddings=64"),
        ([], {"steps": 5}, "prompt has shape \\[0\\] of float64; needed one row"),
        ([1, 31], {"steps": 5}, "prompt: 31 is no token of this model; they are 0..30"),
        ([1], {"steps": 0}, "steps=0; needed at least one token"),
        ([1], {"steps": 1, "seed": -1}, "seed=-1; needed a whole number from 0"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_runs(
    plain, monkeypatch, prompt, more, message
):
    monkeypatch.setattr(programs, "write", None)
    monkeypatch.setattr(programs, "read", None)
    with pytest.raises(ValueError, match=message):
        generate(plain, prompt, **more)


@pytest.mark.slow
def test_a_model_with_another_cache_shares_its_weights_and_writes_alike():
    model = made("shared")
    wanted = list(generate(model, PROMPTS[2], steps=40, length=LENGTH))
    for cache in ("bfloat16", XQuant(bits=16, group=32, latent=True)):
        other = with_cache(model, cache)
        assert other.config.mixers[0].cache == cache
        assert model.config.mixers[0].cache == "float32"
        for one, two in zip(*(jax.tree.leaves(nnx.state(m, nnx.Param)) for m in (model, other)),
                            strict=True):  # fmt: skip
            assert one is two
        found = list(generate(other, PROMPTS[2], steps=40, length=LENGTH))
        # Rounding may turn the first token on which two were all but equal.
        assert found[:20] == wanted[:20]


def test_a_cache_is_refused_where_there_is_none(plain):
    with pytest.raises(ValueError, match="this model of gla keeps no keys and values"):
        with_cache(plain, "bfloat16")
