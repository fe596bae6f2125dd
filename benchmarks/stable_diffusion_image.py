"""One whole picture of Stable Diffusion 1.5 on this CPU, beside diffusers on torch.

True configuration of every part (text encoder with 49408 tokens, UNet, VAE), random weights written
by diffusers, float32: a prompt and a negative one, 4 DDIM steps with guidance, 512 x 512 pixels.
Each side reads the same folder in a fresh process of its own and starts from the same noise; the
final latents are compared, and the seconds of each part.

python benchmarks/stable_diffusion_image.py [--tiny] [--folder DIR] [--threads one]

Needs torch, diffusers and transformers beside jax: `make test-parity` makes `.venv-parity`, which
runs this where this Python has no torch. The peer's UNet and VAE run channels last where that is
the faster of two calls. The full form needs 16 GiB of memory and 5 GB of disk.
"""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from record import FOLDER, ROOT, THREADS, Benchmark, Figure, elsewhere

NO_TORCH = "skipped: diffusers' side, for torch and diffusers are not here (make test-parity)"
PROMPT, NEGATIVE = "a red fox in the snow, at dawn", "blurred"
STEPS, GUIDANCE, SEED = 4, 7.5, 0
LARGEST_ERROR = 1e-3
MOST_MEMORY = 24 * 2**30
CROSS_DOWN, CROSS_UP = "CrossAttnDownBlock2D", "CrossAttnUpBlock2D"
FULL: dict[str, dict[str, Any]] = {
    "unet": {
        "sample_size": 64,
        "block_out_channels": [320, 640, 1280, 1280],
        "down_block_types": [CROSS_DOWN, CROSS_DOWN, CROSS_DOWN, "DownBlock2D"],
        "up_block_types": ["UpBlock2D", CROSS_UP, CROSS_UP, CROSS_UP],
        "layers_per_block": 2,
        "cross_attention_dim": 768,
        "attention_head_dim": 8,
    },
    "vae": {
        "sample_size": 512,
        "block_out_channels": [128, 256, 512, 512],
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "layers_per_block": 2,
        "latent_channels": 4,
        "scaling_factor": 0.18215,
    },
    "text": {
        "vocab_size": 49408,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "hidden_act": "quick_gelu",
    },
}
SMALL: dict[str, dict[str, Any]] = {
    "unet": {
        "sample_size": 8,
        "block_out_channels": [32, 64],
        "down_block_types": [CROSS_DOWN, "DownBlock2D"],
        "up_block_types": ["UpBlock2D", CROSS_UP],
        "layers_per_block": 1,
        "cross_attention_dim": 32,
        "attention_head_dim": 8,
    },
    "vae": {
        "sample_size": 16,
        "block_out_channels": [32, 64],
        "down_block_types": ["DownEncoderBlock2D"] * 2,
        "up_block_types": ["UpDecoderBlock2D"] * 2,
        "layers_per_block": 1,
        "latent_channels": 4,
        "scaling_factor": 0.18215,
    },
    "text": {
        "vocab_size": 600,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "hidden_act": "quick_gelu",
    },
}
FIRST, LAST = "<|startoftext|>", "<|endoftext|>"


def main() -> int:
    """Writes the model, draws once on each side in a fresh process, and compares."""
    if (status := elsewhere(__file__)) is not None:
        return status
    more = [
        ("--folder", {"type": Path, "help": "keep the model here, and use it if it is there"}),
        THREADS,
    ]
    bench, options = Benchmark.from_command(__file__, "SD 1.5 picture beside diffusers", more=more)
    if find_spec("torch") is None or find_spec("diffusers") is None:
        print(NO_TORCH)
        return 0
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        folder = options.folder or scratch / "model"
        if not (folder / "model_index.json").exists():
            alone("write", [str(folder), bench.tiny], [])
        mine = alone("ours", [str(folder), name], ["workbench.diffusion.driver", *OUR_IMPORTS])
        peer = alone("theirs", [str(folder), name], ["torch", *PEER_IMPORTS])
        compare(bench, scratch, mine, peer)
    bench.finish()
    return 0


OUR_IMPORTS = ("workbench.diffusion.loading.reading", "numpy")
PEER_IMPORTS = (
    "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion",
    "diffusers.models.unets.unet_2d_condition",
    "transformers.models.clip.modeling_clip",
)


def alone(function: str, arguments: list[Any], imports: list[str]) -> Any:
    """Runs a function of this file in a fresh process: its high-water mark above its imports."""
    from workbench.measure.memory import peak_in_fresh_process

    return peak_in_fresh_process(
        f"stable_diffusion_image:{function}",
        arguments,
        imports=imports,
        timeout=7200,
        paths=[FOLDER, ROOT],
    )


def compare(bench: Benchmark, scratch: Path, mine: Any, peer: Any) -> None:
    """Figures of both sides, part by part, and whether they agree."""
    import numpy as np

    seconds = {
        side: json.loads((scratch / f"{side}.json").read_text(encoding="utf-8"))
        for side in ("ours", "theirs")
    }
    bench.raw |= {"seconds": seconds, "memory": {"ours": mine.as_json(), "theirs": peer.as_json()}}
    for side, words in (("ours", "this pipeline"), ("theirs", "diffusers")):
        for part, value in seconds[side].items():
            if isinstance(value, float):
                bench.add(Figure(f"{words}: {part}", value, "s"))
        step = sorted(seconds[side]["steps"][1:])
        middle = step[len(step) // 2]
        bench.add(Figure(f"{words}: a step, the first left out", middle, "s", step[0], step[-1]))
        seconds[side]["step"] = middle
    for part, bound in (("step", 1.1), ("decoding, again", 1.1), ("text, again", None)):
        value = seconds["ours"][part] / seconds["theirs"][part]
        bench.add(Figure(f"{part}: time over diffusers'", value, "×", at_most=bound))
    for words, peak in (("this pipeline", mine), ("diffusers", peer)):
        bound = MOST_MEMORY / 1e9 if words == "this pipeline" else None
        title = f"{words}: peak memory above imports"
        bench.add(Figure(title, peak.above_imports / 1e9, "GB", at_most=bound))
    found = {
        side: (np.load(scratch / f"{side}_latents.npy"), np.load(scratch / f"{side}_image.npy"))
        for side in ("ours", "theirs")
    }
    latents, expected = found["ours"][0], found["theirs"][0].transpose(0, 2, 3, 1)
    error = float(np.abs(latents - expected).max() / np.abs(expected).max())
    pixels = float(np.abs(found["ours"][1] - found["theirs"][1]).max())
    bench.raw["largest latent"] = float(np.abs(expected).max())
    if not error < LARGEST_ERROR:
        raise AssertionError(f"the final latents are {error} of their largest value apart")
    title = "largest difference of the final latents, of their largest value"
    bench.add(Figure(title, error, "", at_most=LARGEST_ERROR))
    bench.add(Figure("largest difference of the pictures, in a range of 1", pixels, ""))


def ours(folder: str, scratch: str) -> None:
    """Loads and draws; seconds of each part, the first call with its compiling apart."""
    import os

    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", f"{scratch}/compiled")
    import jax
    import numpy as np

    from workbench.diffusion import load_pipeline
    from workbench.diffusion.driver import sample
    from workbench.diffusion.images import decode_images

    def texts(prompt: str = PROMPT, negative: str = NEGATIVE) -> Any:
        found = pipeline.inputs((SEED,), prompts=prompt, negative=negative)
        jax.block_until_ready(found.context)
        return found

    found: dict[str, Any] = {}
    pipeline = timed(
        found, "loading", lambda: load_pipeline(folder, steps=STEPS, guidance=GUIDANCE)
    )
    inputs = timed(found, "text, with compiling", texts)
    # Other texts: what was read once is kept.
    timed(found, "text, again", lambda: texts(f"{PROMPT}, again", f"{NEGATIVE}, again"))
    np.save(f"{scratch}/noise.npy", np.asarray(inputs.noise).transpose(0, 3, 1, 2))
    marks: list[float] = []

    def mark(done: int, _total: int, note: str, _preview: Any = None) -> None:
        # A preview waits for the step it shows; the last step is waited for before decoding.
        if (note == "sampling" and done < STEPS) or (note == "decoding" and done == 0):
            marks.append(time.perf_counter())

    drawn = timed(
        found,
        "picture, with compiling",
        lambda: sample(pipeline, inputs, mark, preview=np.mean),
    )
    found["steps"] = [b - a for a, b in itertools.pairwise(marks)]
    latents = drawn["latents"][:, -1]
    timed(found, "decoding, again", lambda: decode_images(pipeline.vae, latents))
    np.save(f"{scratch}/ours_latents.npy", latents)
    np.save(f"{scratch}/ours_image.npy", drawn["image"])
    write_json(Path(scratch) / "ours.json", found)


def theirs(folder: str, scratch: str) -> None:
    """The same with diffusers' own pipeline."""
    import numpy as np
    import torch
    from diffusers import StableDiffusionPipeline

    from workbench.measure.device import threads_available

    torch.set_num_threads(threads_available())
    found: dict[str, Any] = {}
    pipeline = timed(found, "loading", lambda: StableDiffusionPipeline.from_pretrained(folder))
    pipeline.set_progress_bar_config(disable=True)
    found["form"] = faster_form(pipeline)
    noise = torch.from_numpy(np.ascontiguousarray(np.load(f"{scratch}/noise.npy")))
    marks: list[float] = []

    def mark(_pipeline: Any, _step: int, _time: Any, kept: dict[str, Any]) -> dict[str, Any]:
        marks.append(time.perf_counter())
        return kept

    def draw() -> Any:
        marks.append(time.perf_counter())
        return pipeline(
            prompt_embeds=asked,
            negative_prompt_embeds=away,
            latents=noise,
            num_inference_steps=STEPS,
            guidance_scale=GUIDANCE,
            output_type="latent",
            callback_on_step_end=mark,
        ).images

    def decode() -> Any:
        image = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor).sample
        return (image / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy()

    def texts() -> Any:
        return pipeline.encode_prompt(PROMPT, "cpu", 1, True, NEGATIVE)

    with torch.inference_mode():
        asked, away = timed(found, "text", texts)
        timed(found, "text, again", texts)
        latents = timed(found, "latents", draw)
        image = timed(found, "decoding", decode)
        timed(found, "decoding, again", decode)
    found["steps"] = [b - a for a, b in itertools.pairwise(marks)]
    np.save(f"{scratch}/theirs_latents.npy", latents.numpy())
    np.save(f"{scratch}/theirs_image.npy", image)
    write_json(Path(scratch) / "theirs.json", found)


def faster_form(pipeline: Any) -> str:
    """Puts the peer's UNet and VAE channels last where that is faster: a call in each form."""
    import torch

    size, channels = pipeline.unet.config.sample_size, pipeline.unet.config.in_channels
    latent, both = torch.ones(1, channels, size, size), torch.ones(2, channels, size, size)
    words = torch.ones(2, 77, pipeline.unet.config.cross_attention_dim)
    calls = {
        "UNet": (pipeline.unet, lambda: pipeline.unet(both, 1, words)),
        "VAE": (pipeline.vae, lambda: pipeline.vae.decode(latent)),
    }
    chosen = []
    with torch.inference_mode():
        for name, (model, call) in calls.items():
            call()  # the first one sets memory up
            seconds: dict[str, Any] = {}
            timed(seconds, "plain", call)
            model.to(memory_format=torch.channels_last)
            timed(seconds, "channels last", call)
            if seconds["plain"] < seconds["channels last"]:
                model.to(memory_format=torch.contiguous_format)
            chosen.append(f"{name} {min(seconds, key=lambda form: seconds[form])}")
    return ", ".join(chosen)


def timed(found: dict[str, Any], name: str, work: Callable[[], Any]) -> Any:
    """What `work` gives; its seconds are noted."""
    start = time.perf_counter()
    result = work()
    found[name] = time.perf_counter() - start
    return result


def write(folder: str, tiny: bool) -> None:
    """Random weights of every part and a vocabulary of the true size, written by diffusers."""
    import torch
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    form = SMALL if tiny else FULL
    size = form["text"]["vocab_size"]
    vocabulary(Path(folder) / "tokenizer", size)
    torch.manual_seed(SEED)
    marks = {"bos_token_id": size - 2, "eos_token_id": size - 1, "pad_token_id": size - 1}
    pipeline = StableDiffusionPipeline(
        unet=UNet2DConditionModel(**form["unet"]),
        vae=AutoencoderKL(**form["vae"]),
        text_encoder=CLIPTextModel(CLIPTextConfig(**form["text"], **marks)),
        tokenizer=CLIPTokenizer.from_pretrained(Path(folder) / "tokenizer"),
        scheduler=DDIMScheduler(
            beta_schedule="scaled_linear",
            beta_start=0.00085,
            beta_end=0.012,
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)


def vocabulary(folder: Path, size: int) -> None:
    """Every byte, every byte at the end of a word, then pairs of them, and the two marks."""
    from tokenizers.pre_tokenizers import ByteLevel

    folder.mkdir(parents=True)
    # Letters first, so that the merges reach the words of the prompts.
    letters = sorted(ByteLevel.alphabet(), key=lambda c: (not c.islower(), c))
    ends = [f"{letter}</w>" for letter in letters]
    pairs = list(
        itertools.islice(itertools.product(letters, ends), size - 2 - len(letters) - len(ends))
    )
    words = [*letters, *ends, *("".join(pair) for pair in pairs), FIRST, LAST]
    write_json(folder / "vocab.json", {word: number for number, word in enumerate(words)})
    lines = ["#version: 0.2", *(" ".join(pair) for pair in pairs), ""]
    (folder / "merges.txt").write_text("\n".join(lines), encoding="utf-8")
    special = {"bos_token": FIRST, "eos_token": LAST, "unk_token": LAST, "pad_token": LAST}
    write_json(folder / "special_tokens_map.json", special)
    settings = {"model_max_length": 77, "tokenizer_class": "CLIPTokenizer", **special}
    write_json(folder / "tokenizer_config.json", settings)


def write_json(file: Path, content: Any) -> None:
    """As text."""
    file.write_text(json.dumps(content, indent=1), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
