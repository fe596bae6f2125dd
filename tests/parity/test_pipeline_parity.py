"""Whole pipelines against diffusers: tokens, final latents and pictures, both ways."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers import peer

torch = peer("torch")
diffusers = peer("diffusers")

from tests.parity import small_pipelines  # noqa: E402
from workbench.diffusion import load_pipeline, sample, save_pipeline  # noqa: E402
from workbench.diffusion.steps import drawn_noise, run_rows  # noqa: E402

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # torch's own
]

PROMPTS = ["a red CAT sings!", "the dog, 42 times"]
NEGATIVE = "and the cat"
FORMS = ("1", "2", "turbo", "XL", "XL turbo")


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Path]]:
    found = {}
    for form in FORMS:
        root = tmp_path_factory.mktemp(f"sd{form}")
        peer = small_pipelines.pipeline(form, root / "tokens")
        peer.set_progress_bar_config(disable=True)
        peer.save_pretrained(root / "model")
        found[form] = (peer, root / "model")
    return found


def _theirs(
    peer: Any, noise: np.ndarray, negative: str | None, steps: int = 4, guidance: float = 3.0
) -> Any:
    latents = torch.from_numpy(np.ascontiguousarray(noise.transpose(0, 3, 1, 2)))
    away = None if negative is None else [negative] * len(PROMPTS)
    seen = []

    def keep(_peer: Any, _step: int, _time: Any, kept: dict[str, Any]) -> dict[str, Any]:
        seen.append(kept["latents"])
        return kept

    with torch.inference_mode():
        image = peer(
            PROMPTS,
            latents=latents,
            output_type="np",
            num_inference_steps=steps,
            guidance_scale=guidance,
            negative_prompt=away,
            callback_on_step_end=keep,
        ).images
    return seen[-1].numpy().transpose(0, 2, 3, 1), image


def _error(ours: Any, theirs: Any) -> float:
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def _same_pictures(ours: Any, peer: Any, negative: str = NEGATIVE) -> None:
    inputs = ours.inputs((3, 5), prompts=PROMPTS, negative=negative)
    found = sample(ours, inputs)
    away = negative or None
    latents, image = _theirs(peer, np.asarray(inputs.noise), away, ours.steps, ours.guidance)
    assert _error(found["latents"][:, -1], latents) <= 1e-4
    assert _error(found["image"], image) <= 1e-4


@pytest.mark.parametrize("form", FORMS)
def test_the_same_tokens(peers: dict[str, tuple[Any, Path]], form: str) -> None:
    peer, folder = peers[form]
    ours = load_pipeline(folder)
    texts = [*PROMPTS, "", "I'll  RUN\n\tÉté – naïve 7×9 !!! <|endoftext|> a", "cat " * 99]
    pairs = zip(
        ours.conditioning.tokenizers, [peer.tokenizer, getattr(peer, "tokenizer_2", None)],
        strict=False,
    )  # fmt: skip
    for mine, theirs in pairs:
        wanted = theirs(texts, padding="max_length", max_length=77, truncation=True)["input_ids"]
        np.testing.assert_array_equal(mine(texts), np.array(wanted))


@pytest.mark.parametrize("form", FORMS)
def test_the_same_latents_and_picture(peers: dict[str, tuple[Any, Path]], form: str) -> None:
    peer, folder = peers[form]
    if form == "XL turbo":  # distilled: one step without guidance, the last of which draws no noise
        _same_pictures(load_pipeline(folder, steps=1), peer)
    else:
        _same_pictures(load_pipeline(folder, steps=4, guidance=3.0), peer)


def test_noise_on_the_way_of_xl_turbo(
    peers: dict[str, tuple[Any, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four steps, in which both take the noise that is drawn here."""
    peer, folder = peers["XL turbo"]
    ours = load_pipeline(folder)
    assert (ours.steps, ours.guidance) == (4, 1.0)
    inputs = ours.inputs((3, 5), prompts=PROMPTS, negative=NEGATIVE)
    draws = run_rows(ours, ours.scheduler.plan(4)).draw
    noises = iter(
        [
            np.array(drawn_noise(inputs.keys, jnp.int32(draw), inputs.noise), np.float32)
            for draw in draws
        ]
    )

    def fixed(*_: Any, **__: Any) -> Any:
        return torch.from_numpy(next(noises).transpose(0, 3, 1, 2).copy())

    place = "diffusers.schedulers.scheduling_euler_ancestral_discrete.randn_tensor"
    monkeypatch.setattr(place, fixed)
    _same_pictures(ours, peer)
    assert next(noises, None) is None, "one draw a step"


def test_an_empty_negative_prompt_is_zeros_in_xl(peers: dict[str, tuple[Any, Path]]) -> None:
    peer, folder = peers["XL"]
    ours = load_pipeline(folder, steps=4, guidance=3.0)
    assert not np.asarray(ours.inputs((0,), prompts="a cat").blank).any()
    _same_pictures(ours, peer, negative="")


def test_what_we_write_diffusers_reads(peers: dict[str, tuple[Any, Path]], tmp_path: Path) -> None:
    _, folder = peers["XL"]
    ours = load_pipeline(folder, steps=4, guidance=3.0)
    save_pipeline(ours, tmp_path)
    peer = diffusers.DiffusionPipeline.from_pretrained(tmp_path)
    peer.set_progress_bar_config(disable=True)
    _same_pictures(ours, peer)


def test_sharded_and_half_precision_files(
    peers: dict[str, tuple[Any, Path]], tmp_path: Path
) -> None:
    peer, folder = peers["1"]
    peer.save_pretrained(tmp_path / "shards", max_shard_size="200KB")
    assert (tmp_path / "shards/unet/diffusion_pytorch_model.safetensors.index.json").exists()
    whole, shards = load_pipeline(folder), load_pipeline(tmp_path / "shards")
    for mine, theirs in zip(whole.weights, shards.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    peer.save_pretrained(tmp_path / "half", variant="fp16")
    half = load_pipeline(tmp_path / "half", variant="fp16")
    assert half.weights[0].dtype == jnp.float32
