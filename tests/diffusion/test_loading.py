"""Whole checkpoints on disk: read back as they were, and one clear line for each fault."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

from tests.diffusion.text_models import TEXT_ENCODER, filled, text_config, text_pipeline
from tests.diffusion.vocabulary import LAST, vocabulary, write_tokenizer
from workbench.checkpoints import CheckpointError, read_tensors, write_tensors
from workbench.diffusion import load_pipeline, save_pipeline
from workbench.diffusion.checkpoint import save_text_encoder
from workbench.diffusion.pipeline import Pipeline
from workbench.diffusion.prompts import TextConditioning
from workbench.diffusion.schedulers import Euler, save_scheduler

UNET_WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pipeline, Path]:
    pipeline = text_pipeline(tmp_path_factory.mktemp("words"))
    return pipeline, save_pipeline(pipeline, tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pipeline, Path]:
    pipeline = text_pipeline(tmp_path_factory.mktemp("words"), encoders=2)
    return pipeline, save_pipeline(pipeline, tmp_path_factory.mktemp("models") / "small-xl")


@pytest.fixture
def folder(one: tuple[Pipeline, Path], tmp_path: Path) -> Path:
    return shutil.copytree(one[1], tmp_path / "small")


def _leaves(pipeline: Pipeline) -> list[Any]:
    assert isinstance(pipeline.conditioning, TextConditioning)
    models = [pipeline.vae, *pipeline.conditioning.encoders]
    return [*pipeline.weights, *(x for m in models for x in jax.tree.leaves(nnx.split(m)[1]))]


def _same(mine: Pipeline, theirs: Pipeline) -> None:
    for a, b in zip(_leaves(mine), _leaves(theirs), strict=True):
        np.testing.assert_array_equal(a, b)


def test_saved_and_read_back(two: tuple[Pipeline, Path], tmp_path: Path) -> None:
    made, folder = two
    found = load_pipeline(folder)
    _same(found, made)
    assert (found.name, found.config, found.scheduler) == ("small-xl", made.config, made.scheduler)
    assert (found.steps, found.guidance) == (50, 5.0)
    text = found.conditioning
    assert text.pools and text.zeros_for_empty and text.width == made.conditioning.width
    rows = [t(["a cat!"]) for t in text.tokenizers]
    for row, tokenizer in zip(rows, made.conditioning.tokenizers, strict=True):
        np.testing.assert_array_equal(row, tokenizer(["a cat!"]))
    assert found.home == str(folder) and load_pipeline(folder).fingerprint == found.fingerprint
    _same(load_pipeline(save_pipeline(made, tmp_path / "shards", shard_bytes=20_000)), made)


def test_settings_and_distilled_models(folder: Path) -> None:
    usual = load_pipeline(folder)
    found = load_pipeline(folder, steps=7, guidance=2.5, dtype="bfloat16")
    assert (usual.steps, usual.guidance, usual.precision.name) == (50, 7.5, "float32")
    assert (found.steps, found.plan.steps, found.guidance) == (7, 7, 2.5)
    assert found.precision.name == "bfloat16" and found.fingerprint != usual.fingerprint
    save_scheduler(Euler(timestep_spacing="trailing"), folder / "scheduler")
    _index(folder, lambda f: f.update({"scheduler": ["diffusers", "EulerDiscreteScheduler"]}))
    distilled = load_pipeline(folder)
    assert (distilled.steps, distilled.guidance) == (4, 1.0)


def test_a_sampler_read_as_another_class_is_no_fault_of_the_folder(folder: Path) -> None:
    file = folder / "scheduler" / "scheduler_config.json"
    fields = json.loads(file.read_text(encoding="utf-8")) | {"_class_name": "HeunDiscreteScheduler"}
    file.write_text(json.dumps(fields), encoding="utf-8")
    assert load_pipeline(folder, scheduler="DDIMScheduler").home == ""


def test_a_variant_is_read_where_a_part_has_it(one: tuple[Pipeline, Path], folder: Path) -> None:
    half = {k: v.astype(np.float16) for k, v in read_tensors(folder / UNET_WEIGHTS).items()}
    write_tensors(folder / "unet/diffusion_pytorch_model.fp16.safetensors", half)
    found = load_pipeline(folder, variant="fp16")
    assert found.fingerprint != load_pipeline(folder).fingerprint
    plain = one[0].weights
    rounded = [np.asarray(w).astype(np.float16).astype(np.float32) for w in plain]
    for mine, wanted in zip(found.weights, rounded, strict=True):
        np.testing.assert_array_equal(mine, wanted)


def test_a_hub_name_is_found_in_the_local_cache(
    one: tuple[Pipeline, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    store = tmp_path / "models--owner--small"
    shutil.copytree(one[1], store / "snapshots" / ("a" * 40))
    (store / "refs").mkdir()
    (store / "refs/main").write_text("a" * 40, encoding="utf-8")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    _same(load_pipeline("owner/small"), one[0])
    shutil.rmtree(store / "snapshots" / ("a" * 40) / "vae")
    with pytest.raises(CheckpointError, match="vae: missing; model_index"):
        load_pipeline("owner/small")
    with pytest.raises(CheckpointError, match="owner/other: not a path here, not in the hub cache"):
        load_pipeline("owner/other")
    with pytest.raises(CheckpointError, match="no such file or folder, and no hub name"):
        load_pipeline(tmp_path / "nowhere" / "at" / "all")


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
def test_a_missing_part_is_named(folder: Path, part: str) -> None:
    shutil.rmtree(folder / part)
    with pytest.raises(CheckpointError, match=f"{part}: missing; model_index.json names this"):
        load_pipeline(folder)


def _index(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    file = folder / "model_index.json"
    fields = json.loads(file.read_text(encoding="utf-8"))
    change(fields)
    file.write_text(json.dumps(fields), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"_class_name": "StableDiffusionPipelin"}, "the nearest is StableDiffusionPipeline "),
        ({"_class_name": "FluxPipeline"}, "pipeline class FluxPipeline is not supported"),
        ({"_class_name": "LatentConsistencyModelPipeline"}, "pass kind='StableDiffusionPipeline'"),
        ({"unet": ["diffusers", "UNet3DConditionModel"]}, "unet is of class UNet3DConditionModel"),
        ({"text_encoder": ["transformers", "T5EncoderModel"]}, "read with CLIPTextModel there"),
        ({"vae": [None, None]}, "names no vae; StableDiffusionPipeline needs one"),
        ({"prior": ["diffusers", "PriorTransformer"]}, "has no part 'prior' here"),
    ],
)
def test_a_wrong_class_is_named(folder: Path, change: dict[str, Any], message: str) -> None:
    _index(folder, lambda fields: fields.update(change))
    with pytest.raises(CheckpointError, match=message) as caught:
        load_pipeline(folder)
    assert "\n" not in str(caught.value)


def test_another_class_can_be_asked_for(folder: Path, one: tuple[Pipeline, Path]) -> None:
    _index(folder, lambda f: f.update({"_class_name": "LatentConsistencyModelPipeline"}))
    _same(load_pipeline(folder, kind="StableDiffusionPipeline"), one[0])


def test_an_unknown_sampler_can_be_read_as_another(folder: Path) -> None:
    file = folder / "scheduler/scheduler_config.json"
    fields = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(fields | {"_class_name": "HeunDiscreteScheduler"}))
    with pytest.raises(CheckpointError, match="pass scheduler='DPMSolverMultistepScheduler'"):
        load_pipeline(folder)
    found = load_pipeline(folder, scheduler="DDIMScheduler")
    assert type(found.scheduler).__name__ == "DDIM"


def test_a_half_written_file_is_named(folder: Path) -> None:
    file = folder / UNET_WEIGHTS
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="diffusion_pytorch_model.safetensors: truncated"):
        load_pipeline(folder)


def test_an_index_that_names_a_shard_that_is_not_there(
    one: tuple[Pipeline, Path], tmp_path: Path
) -> None:
    folder = save_pipeline(one[0], tmp_path, shard_bytes=20_000)
    next((folder / "unet").glob("*-of-*.safetensors")).unlink()
    with pytest.raises(CheckpointError, match=r"shard .* is missing; \d+ files are named"):
        load_pipeline(folder)


def test_pickles_are_refused(folder: Path, tmp_path: Path) -> None:
    (folder / UNET_WEIGHTS).rename(folder / "unet/diffusion_pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"only .*\.bin here: pickle files are not loaded"):
        load_pipeline(folder)
    (tmp_path / "v1-5.ckpt").write_bytes(b"PK")
    with pytest.raises(CheckpointError, match="convert to safetensors"):
        load_pipeline(tmp_path / "v1-5.ckpt")


@pytest.mark.parametrize(
    ("config", "length", "message"),
    [
        ({"vocab_size": 100}, 9, "largest id is .* vocab_size=100, ids 0 to 99"),
        ({}, 12, "rows of 12 tokens; its text encoder has max_position_embeddings=9"),
        ({"eos_token_id": 5}, 9, "ends texts with id .* its text encoder has eos_token_id=5"),
    ],
)
def test_a_tokenizer_that_does_not_fit_its_encoder(
    one: tuple[Pipeline, Path], folder: Path, config: dict[str, int], length: int, message: str
) -> None:
    shutil.rmtree(folder / "tokenizer")
    write_tokenizer(folder / "tokenizer", length=length)
    encoder = filled(TEXT_ENCODER.abstract(text_config(**config)), 0)
    save_text_encoder(encoder, folder / "text_encoder")
    with pytest.raises(CheckpointError, match=message):
        load_pipeline(folder)


def test_an_end_mark_that_is_not_the_largest_id(folder: Path) -> None:
    """Encoders with the old mistaken end id pool at the largest one."""
    file = folder / "text_encoder/config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"eos_token_id": 2}))
    load_pipeline(folder)
    words = vocabulary()
    words[LAST], words["a"] = words["a"], words[LAST]
    (folder / "tokenizer/tokenizer.json").unlink()
    (folder / "tokenizer/vocab.json").write_text(json.dumps(words), encoding="utf-8")
    with pytest.raises(CheckpointError, match="pools at the largest id"):
        load_pipeline(folder)


def test_parts_of_other_widths_are_told(one: tuple[Pipeline, Path], folder: Path) -> None:
    file = folder / "unet/config.json"
    fields = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(fields | {"sample_size": None}))
    with pytest.raises(CheckpointError, match="gives no sample_size"):
        load_pipeline(folder)
    wide = text_config(hidden_size=16)
    file.write_text(json.dumps(fields))
    save_text_encoder(filled(TEXT_ENCODER.abstract(wide), 0), folder / "text_encoder")
    with pytest.raises(
        CheckpointError, match="text is 16 wide; the UNet's cross_attention_dim is 8"
    ):
        load_pipeline(folder)


def test_a_file_that_is_no_whole_checkpoint(one: tuple[Pipeline, Path], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no whole checkpoint in the original layout"):
        load_pipeline(one[1] / UNET_WEIGHTS)
    name = "model.diffusion_model.input_blocks.0.0.weight"
    write_tensors(tmp_path / "m.safetensors", {name: np.zeros((8, 4, 3, 3), np.float32)})
    with pytest.raises(CheckpointError, match="no text encoder of a known family"):
        load_pipeline(tmp_path / "m.safetensors")
    with pytest.raises(CheckpointError, match="holds no sampler to read as DDIMScheduler"):
        load_pipeline(tmp_path / "m.safetensors", scheduler="DDIMScheduler")
    with pytest.raises(CheckpointError, match="variant='fp16' is for a folder"):
        load_pipeline(tmp_path / "m.safetensors", variant="fp16")
    with pytest.raises(CheckpointError, match="tokenizer='words' is for a single file"):
        load_pipeline(one[1], tokenizer="words")
    with pytest.raises(CheckpointError, match="holds its own sampler"):
        load_pipeline(one[1], scheduler=Euler())


def _lora(tensors: dict[str, Any], file: Path, **metadata: str) -> Path:
    arrays = {name: np.asarray(value, np.float32) for name, value in tensors.items()}
    write_tensors(file, arrays, metadata)
    return file


KEY = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
A, B = np.ones((2, 16)), np.ones((16, 2))


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"x.alpha": np.ones(())}, "fits no module"),
        ({f"{KEY}.lora_A.weight": A}, "has no up matrix beside it"),
        ({f"{KEY}.lora_A.weight": A, f"{KEY}.lora_B.weight": B[:8]}, "does not make"),
        ({f"{KEY}x.lora_A.weight": A, f"{KEY}x.lora_B.weight": B}, "fits no module.*nearest: mid"),
        ({"lora_unet_nowhere.lora_down.weight": A}, "lora_unet_nowhere.* fits no module"),
        ({"lora_unet_mid.hada_w1_a": A}, "is of LoHa; LoRA alone can be merged"),
        ({f"{KEY}.weight": A}, "is no LoRA tensor"),
        ({f"{KEY}.lora_A.weight": A * np.nan}, "not all numbers"),
    ],
)
def test_lora_files_that_do_not_fit(
    one: tuple[Pipeline, Path], tmp_path: Path, tensors: dict[str, Any], message: str
) -> None:
    file = _lora(tensors, tmp_path / "l.safetensors")
    with pytest.raises(CheckpointError, match=message):
        one[0].with_lora(file)


def test_alpha_in_the_header_and_no_lora_into_int8(
    one: tuple[Pipeline, Path], tmp_path: Path
) -> None:
    tensors = {f"{KEY}.lora_A.weight": A, f"{KEY}.lora_B.weight": B}
    noted = _lora(
        tensors, tmp_path / "a.safetensors", lora_adapter_metadata='{"unet.lora_alpha": 6}'
    )
    plain = _lora(tensors, tmp_path / "b.safetensors")
    mine, theirs = one[0].with_lora(noted), one[0].with_lora(plain, 3.0)
    _same(mine, theirs)
    moved = [not np.array_equal(a, b) for a, b in zip(mine.weights, one[0].weights, strict=True)]
    assert sum(moved) == 1
    _same(one[0].with_lora(plain, 0.0), one[0])
    small = load_pipeline(one[1], dtype="int8")
    with pytest.raises(ValueError, match="LoRA cannot be merged into int8"):
        small.with_lora(plain)
    rank_stabilised = '{"unet.use_rslora": true}'
    odd = _lora(tensors, tmp_path / "c.safetensors", lora_adapter_metadata=rank_stabilised)
    with pytest.raises(CheckpointError, match="rank-stabilised"):
        one[0].with_lora(odd)


@pytest.mark.slow
@pytest.mark.long
def test_int8_runs_beside_float32(one: tuple[Pipeline, Path]) -> None:
    from workbench.diffusion.driver import sample

    whole = replace(one[0], guidance=1.0, steps=1, plan=one[0].plan.full(1))
    small = load_pipeline(one[1], dtype="int8", steps=1, guidance=1.0)
    inputs = whole.inputs((0,), prompts="a cat")
    mine, theirs = sample(small, inputs), sample(whole, inputs)
    error = np.abs(mine["latents"] - theirs["latents"]).max() / np.abs(theirs["latents"]).max()
    assert 0 < error < 0.1


@pytest.fixture
def quickly_compiled() -> Iterator[None]:
    """What the programs compute does not depend on this."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.mark.slow
@pytest.mark.usefixtures("quickly_compiled")
def test_kernels_kept_transformed_draw_the_same(
    one: tuple[Pipeline, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kernels_pallas.conv2d import choice
    from workbench.diffusion.driver import sample

    asked: list[int] = []

    def pays(x_shape: Any, kernel_shape: Any, window: Any) -> bool:
        asked.append(x_shape[0])
        return bool(kernel_shape[2:] == (8, 16))

    monkeypatch.setattr(choice, "transformed_pays", pays)
    plain = load_pipeline(one[1], steps=1, guidance=1.0)
    kept = load_pipeline(one[1], steps=1, guidance=1.0, kept_transforms=True)
    assert set(asked) == {1}, "without guidance a picture is one pass"
    shapes = [(a.shape, b.shape) for a, b in zip(kept.weights, plain.weights, strict=True)]
    assert {pair for pair in shapes if pair[0] != pair[1]} == {((16, 8, 16), (3, 3, 8, 16))}
    assert kept.fingerprint != plain.fingerprint
    inputs = plain.inputs((0,), prompts="a cat")
    mine, theirs = (sample(p, inputs)["latents"] for p in (kept, plain))
    np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)
    assert not np.array_equal(mine, theirs), "nothing else was computed"
    with pytest.raises(CheckpointError, match="kept transformed for speed and cannot be written"):
        save_pipeline(kept, tmp_path / "kept")
    with pytest.raises(ValueError, match="LoRA cannot be merged into kernels.*kept_transforms"):
        kept.with_lora(tmp_path / "any.safetensors")


@pytest.mark.parametrize("dtype", ["int8", "bfloat16"])
def test_kernels_of_other_precisions_are_not_kept_transformed(dtype: str) -> None:
    with pytest.raises(CheckpointError, match=f"needs dtype='float32': kernels in {dtype} are"):
        load_pipeline("nowhere", dtype=dtype, kept_transforms=True)


def test_a_folder_of_class_tokens(tiny: Pipeline, tmp_path: Path) -> None:
    found = load_pipeline(save_pipeline(tiny, tmp_path), steps=3, dtype="bfloat16")
    assert (found.steps, found.guidance, found.precision.name) == (3, 1.5, "bfloat16")
    index = {"_class_name": "ClassConditionalPipeline"}  # as the shipped model's folder has it
    (tmp_path / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    assert load_pipeline(tmp_path, dtype="bfloat16").weights_hash == found.weights_hash
    with pytest.raises(CheckpointError, match="variant='fp16' is for text models"):
        load_pipeline(tmp_path, variant="fp16")
    with pytest.raises(CheckpointError, match="kept_transforms='True' is for text models"):
        load_pipeline(tmp_path, kept_transforms=True)
