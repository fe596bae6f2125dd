"""FID and CLIPScore in a study: real networks with random weights on a small text model."""

import numpy as np
import pytest
from safetensors.numpy import save_file
from skimage import data
from skimage.io import imsave

import workbench
from tests.diffusion.text_models import filled
from tests.labs import small_text_model
from workbench.diffusion import load_pipeline
from workbench.diffusion.encoder_propagation import EncoderPropagation
from workbench.diffusion.full_sampling import FullSampling
from workbench.labs import diffusion
from workbench.labs.diffusion.own_networks import OwnNetworks


def _inception(folder):
    from workbench.diffusion.quality.inception import file_shapes

    rng = np.random.default_rng(0)
    tensors = {"fc.weight": np.zeros((1008, 2048), np.float32)}
    for name, shape in file_shapes("fid").items():
        tensors[name] = np.full(shape, float(name.endswith(("weight", "var"))), np.float32)
        if name.endswith("conv.weight"):
            spread = np.sqrt(2 / np.prod(shape[1:])).astype(np.float32)
            tensors[name] = rng.standard_normal(shape, np.float32) * spread
    save_file(tensors, folder / "inception.safetensors")
    return folder / "inception.safetensors"


def _clip(folder, tokenizer):
    from workbench.diffusion.quality.clip import CLIP_PART
    from workbench.diffusion.quality.clip_config import CLIPConfig, CLIPVisionConfig
    from workbench.diffusion.text.config import CLIPTextConfig

    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    sizes["num_attention_heads"] = 2
    text = CLIPTextConfig(
        **sizes,
        vocab_size=tokenizer.largest + 1,
        eos_token_id=tokenizer.last,
        bos_token_id=tokenizer.first,
    )
    vision = CLIPVisionConfig(**sizes, image_size=16, patch_size=8)
    config = CLIPConfig(text=text, vision=vision, projection_dim=8)
    net = filled(CLIP_PART.abstract(config), 3)
    CLIP_PART.save(net, folder / "clip")
    tokenizer.save(folder / "clip")
    return folder / "clip"


@pytest.mark.slow
@pytest.mark.long
def test_a_study_has_fid_and_clip_score(tmp_path):
    pipeline = load_pipeline(small_text_model.write(tmp_path / "model"))
    pipeline = pipeline.with_prompts(["a cat", "a red house"])
    tokenizer = pipeline.conditioning.tokenizers[0]
    real = tmp_path / "real"
    real.mkdir()
    for name in ("astronaut", "coffee", "rocket"):
        imsave(real / f"{name}.png", getattr(data, name)()[:128, :128])
    networks = OwnNetworks.load(
        inception=_inception(tmp_path), reference=real, clip=_clip(tmp_path, tokenizer)
    )
    assert networks.reference.shape == (3, 2048)
    study = diffusion.study(pipeline, steps=6, seeds=3, networks=networks)
    assert [p.name for p in study.probes[-2:]] == ["clip_score", "fid"]
    found = workbench.compare(
        [FullSampling(), EncoderPropagation(key_steps="uniform", interval=3)], study
    )
    trials = found.tables.trials
    assert len(trials) == 6
    assert np.isfinite(trials["quality.fid"]).all() and (trials["quality.fid"] > 0).all()
    scores = trials["quality.clip_score"]
    assert ((scores >= 0) & (scores <= 2.5)).all() and scores.nunique() > 1


def test_fid_needs_a_network_and_real_pictures(tmp_path):
    with pytest.raises(ValueError, match="FID needs both: inception"):
        OwnNetworks.load(reference=tmp_path)
    with pytest.raises(ValueError, match="FID needs both: inception"):
        OwnNetworks.load(inception=tmp_path / "inception.safetensors")


def test_clip_score_needs_prompts():
    study = diffusion.study(steps=6, seeds=2)
    networks = OwnNetworks(clip=object())
    (probe,) = networks.probes

    class Seen:
        subject, seeds = study.subject, (0, 1)

    with pytest.raises(ValueError, match="reads no prompts"):
        probe.measure(Seen())
