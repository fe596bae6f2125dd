"""CLIP against transformers' on one random small model, and CLIPScore by its definition."""

import numpy as np
import pytest

from workbench.diffusion.quality.clip import CLIP, CLIP_PART, MEAN, SPREAD, clip_score

pytestmark = pytest.mark.parity

WORDS = ["<|startoftext|>", "<|endoftext|>", *(f"{c}</w>" for c in "abcdefgh"), *"abcdefgh"]


@pytest.fixture(scope="module")
def peer():
    import torch
    from transformers import CLIPConfig, CLIPModel

    sizes = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    config = CLIPConfig(
        text_config={
            **sizes,
            "vocab_size": len(WORDS),
            "max_position_embeddings": 9,
            "bos_token_id": 0,
            "eos_token_id": 1,
            "pad_token_id": 1,
        },
        vision_config={**sizes, "hidden_act": "gelu", "image_size": 24, "patch_size": 8},
        projection_dim=16,
    )
    torch.manual_seed(0)
    model = CLIPModel(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn_like(weight) * (0.2 if weight.ndim > 1 else 0.5))
    return model


@pytest.fixture(scope="module")
def folder(peer, tmp_path_factory):
    from workbench.diffusion.text.tokens import Tokenizer, byte_pairs

    place = tmp_path_factory.mktemp("clip")
    peer.save_pretrained(place)
    vocabulary = {word: index for index, word in enumerate(WORDS)}
    encoder = byte_pairs(vocabulary, [], WORDS[1])
    encoder.add_special_tokens(WORDS[:2])
    Tokenizer(encoder, first=0, last=1, pad=1, length=9).save(place)
    return place


def _unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def _peer_vectors(peer, pixels, tokens):
    import torch

    with torch.no_grad():
        found = peer(
            input_ids=torch.from_numpy(tokens).long(),
            pixel_values=torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))),
        )
    return _unit(found.image_embeds.numpy()), _unit(found.text_embeds.numpy())


def test_vectors_and_score(peer, folder):
    clip = CLIP.load(folder)
    images = np.random.default_rng(0).uniform(size=(3, 24, 24, 3)).astype(np.float32)
    texts = ["a b c", "h g", "f"]
    tokens = clip.tokenizer(texts)
    pixels = ((images - np.array(MEAN)) / np.array(SPREAD)).astype(np.float32)
    wanted_images, wanted_texts = _peer_vectors(peer, pixels, tokens)
    np.testing.assert_allclose(clip.images(images), wanted_images, rtol=0, atol=2e-5)
    np.testing.assert_allclose(clip.texts(texts), wanted_texts, rtol=0, atol=2e-5)
    cosines = (wanted_images * wanted_texts).sum(-1)
    assert np.ptp(cosines) > 0.05
    wanted = 2.5 * np.maximum(cosines, 0)
    found = clip_score(clip.images(images), clip.texts(texts))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(clip_score(-clip.images(images), clip.texts(texts)), 0)


def test_pictures_are_cut_and_resized_as_the_peer_does(peer, folder):
    from PIL import Image
    from skimage import data

    clip = CLIP.load(folder)
    photograph = data.astronaut()[:400, :300]
    left = 0
    top = (400 - 300) // 2
    square = Image.fromarray(photograph[top : top + 300, left : left + 300])
    small = np.asarray(square.resize((24, 24), Image.Resampling.BICUBIC), np.float32) / 255
    ours = clip.images((photograph / 255).astype(np.float32)[None])
    assert float((ours * clip.images(small[None])).sum()) > 0.9995


def test_what_we_save_the_peer_reads(peer, folder, tmp_path):
    from transformers import CLIPModel

    CLIP_PART.save(CLIP_PART.load(folder, dtype="float32"), tmp_path)
    again = CLIPModel.from_pretrained(tmp_path).eval()
    rng = np.random.default_rng(1)
    pixels = rng.standard_normal((1, 24, 24, 3)).astype(np.float32)
    tokens = np.array([[0, 4, 7, 1, 1, 1, 1, 1, 1]], np.int32)
    for ours, theirs in zip(
        _peer_vectors(again, pixels, tokens), _peer_vectors(peer, pixels, tokens), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


def test_another_class_of_model_is_named(folder, tmp_path):
    text = (folder / "config.json").read_text(encoding="utf-8")
    (tmp_path / "config.json").write_text(text.replace("CLIPModel", "CLIPTextModel"), "utf-8")
    with pytest.raises(ValueError, match="CLIPTextModel.*needed a whole CLIP"):
        CLIP_PART.load(tmp_path, dtype="float32")
