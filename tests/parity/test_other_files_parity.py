"""Single files of the original layout and LoRA files, against diffusers' own conversions."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

from tests.peers import peer

torch = peer("torch")
diffusers = peer("diffusers")

from diffusers.loaders import single_file_utils  # noqa: E402
from diffusers.loaders.lora_conversion_utils import (  # noqa: E402
    _convert_non_diffusers_lora_to_diffusers as from_trainers,
)
from safetensors.torch import save_file  # noqa: E402

from tests.parity import original_layout, small_pipelines  # noqa: E402
from workbench.diffusion import load_pipeline  # noqa: E402

pytestmark = pytest.mark.parity

FORMS = ("1", "2", "XL")


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Path]]:
    found = {}
    for form in FORMS:
        root = tmp_path_factory.mktemp(f"sd{form}")
        peer = small_pipelines.pipeline(form, root / "tokens")
        peer.save_pretrained(root / "model")
        found[form] = (peer, root / "model")
    return found


def _same(ours: Any, theirs: Any, tolerance: float = 0.0) -> None:
    """The same weights in UNet, VAE and text encoders."""
    pairs = list(zip(ours.weights, theirs.weights, strict=True))
    encoders = zip(ours.conditioning.encoders, theirs.conditioning.encoders, strict=True)
    for mine, other in [(ours.vae, theirs.vae), *encoders]:
        leaves = (jax.tree.leaves(nnx.split(model)[1]) for model in (mine, other))
        pairs += zip(*leaves, strict=True)
    for mine, other in pairs:
        np.testing.assert_allclose(np.asarray(mine), np.asarray(other), rtol=0, atol=tolerance)


@pytest.mark.parametrize("form", FORMS)
def test_a_single_file_is_the_same_pipeline(
    peers: dict[str, tuple[Any, Path]], form: str, tmp_path: Path
) -> None:
    peer, folder = peers[form]
    state = original_layout.write(peer, form, tmp_path / "model.safetensors")
    back = single_file_utils.convert_ldm_unet_checkpoint(dict(state), dict(peer.unet.config))
    _equal_states(back, peer.unet.state_dict())
    back = single_file_utils.convert_ldm_vae_checkpoint(dict(state), dict(peer.vae.config))
    _equal_states(back, peer.vae.state_dict())

    whole = load_pipeline(folder)
    ours = load_pipeline(tmp_path / "model.safetensors", tokenizer=folder / "tokenizer")
    _same(ours, whole)
    assert ours.conditioning.zeros_for_empty == whole.conditioning.zeros_for_empty
    assert ours.config.heads == whole.config.heads
    texts = ["a red cat!", ""]
    tokens = zip(ours.conditioning.tokenizers, whole.conditioning.tokenizers, strict=True)
    for mine, other in tokens:
        np.testing.assert_array_equal(mine(texts), other(texts))


def _equal_states(found: Any, wanted: Any) -> None:
    assert sorted(found) == sorted(wanted)
    for name, tensor in wanted.items():
        assert torch.equal(found[name].reshape(tensor.shape), tensor), name


@pytest.mark.parametrize("names", ["trainers", "peft", "original"])
def test_a_merged_lora_is_the_peers_sum(
    peers: dict[str, tuple[Any, Path]], names: str, tmp_path: Path
) -> None:
    """W + scale (alpha / rank) B A, summed in torch under the peer's own module names."""
    form = "XL" if names == "original" else "1"
    _, folder = peers[form]
    peer = diffusers.DiffusionPipeline.from_pretrained(folder)
    torch.manual_seed(1)
    file, scale = tmp_path / "lora.safetensors", 0.7
    state: dict[str, Any] = {}
    for part, prefix in (("unet", "lora_unet"), ("text_encoder", "lora_te")):
        for name, module in getattr(peer, part).named_modules():
            if not _changed(name, module, original=names == "original"):
                continue
            rank, weight = 2, module.weight
            down = torch.randn(rank, *weight.shape[1:]) / 8
            up = torch.randn(weight.shape[0], rank, *([1] * (weight.ndim - 2))) / 8
            alpha = 3.0 if names != "peft" else float(rank)
            change = torch.einsum("or,r...->o...", up.reshape(-1, rank), down)
            weight.data += scale * alpha / rank * change
            state |= _named(names, part, prefix, name, down, up, alpha)
    assert len(state) >= 12
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, file)
    peer.save_pretrained(tmp_path / "merged")
    plain = load_pipeline(folder)
    ours = plain.with_lora(file, scale)
    _same(ours, load_pipeline(tmp_path / "merged"), tolerance=1e-6)
    assert ours.fingerprint != plain.fingerprint
    if names == "trainers":
        converted, alphas = from_trainers(dict(state))
        save_file(converted, tmp_path / "converted.safetensors")
        again = plain.with_lora(tmp_path / "converted.safetensors", scale * 3.0 / 2)
        _same(again, ours, tolerance=1e-6)
        assert set(alphas.values()) == {3.0}


def _changed(name: str, module: Any, *, original: bool) -> bool:
    if original:  # SDXL's trainers name the original blocks
        return "attn1.to_" in name and isinstance(module, torch.nn.Linear) and "blocks" in name
    attention = name.endswith(("to_q", "to_v", "to_out.0", "q_proj", "out_proj"))
    return attention or name.endswith("resnets.0.conv1")


def _named(
    names: str, part: str, prefix: str, name: str, down: Any, up: Any, alpha: float
) -> dict[str, Any]:
    if names == "peft":
        return {f"{part}.{name}.lora_A.weight": down, f"{part}.{name}.lora_B.weight": up}
    if names == "original":
        from workbench.diffusion.loading.original_names import UNET, unet_origin

        origin = unet_origin(f"{name}.weight", 1, (True, False)).name
        name = origin.removeprefix(UNET).removesuffix(".weight")
    elif part == "text_encoder":
        name = name if name.startswith("text_model") else f"text_model.{name}"
    flat = f"{prefix}_{name.replace('.', '_')}"
    return {
        f"{flat}.lora_down.weight": down,
        f"{flat}.lora_up.weight": up,
        f"{flat}.alpha": torch.tensor(alpha),
    }
