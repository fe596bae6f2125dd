"""GLA of 340M parameters on an NVIDIA GPU: a training step and decoding, beside its authors' code.

Random weights, written by us and read by both; weights and moments in float32 and products in
bfloat16 in training, all in bfloat16 in decoding. A training step is loss, gradients, clipping and
AdamW on 8 texts of 2048 tokens; decoding reads a prompt of 128 tokens and writes 128 more, the
likeliest each time, for 1 text and for 32. Ours is one program each; theirs is
flash-linear-attention under autocast with torch's fused AdamW, and its `generate`. All take turns
in one process.

python benchmarks/gla_gpu.py [--tiny] [--repeats N] [--folder DIR]

Without a GPU it says so and writes nothing; `--tiny` runs its short form on any device. The peer
needs torch with CUDA and flash-linear-attention beside jax.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Torch allocates on the same device; read when jax starts it.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

from record import Benchmark, Figure

if TYPE_CHECKING:
    import numpy as np

    from workbench.language import Decoder, DecoderConfig

NO_GPU = "jax finds no NVIDIA GPU here: nothing is measured"
NO_PEER = "skipped: its authors' side, for torch with CUDA and flash-linear-attention are not here"
OURS, THEIRS = "this library", "flash-linear-attention"
RATE, CLIP, DECAY = 3e-4, 1.0, 0.01
LARGEST_GAP = 2e-2
"""Between the two sides' first losses, over the loss; bfloat16 on both."""


@dataclass(frozen=True)
class Sizes:
    """What is run.

    Args:
        texts, length: rows and tokens of a training step.
        prompt, written: tokens read and written in decoding.
        batches: texts decoded at once.
        repeats: rounds of timing.
    """

    texts: int = 8
    length: int = 2048
    prompt: int = 128
    written: int = 128
    batches: tuple[int, ...] = (1, 32)
    repeats: int = 7


TINY = Sizes(texts=2, length=32, prompt=8, written=4, batches=(2,), repeats=2)


@dataclass(frozen=True)
class RandomText:
    """Rows of tokens that mean nothing, the same in every update."""

    vocab_size: int
    length: int
    fingerprint: str = "random"

    def tokens(self, rows: int) -> np.ndarray:
        """Tokens of a batch."""
        import numpy as np

        draw = np.random.default_rng(0)
        return draw.integers(0, self.vocab_size, (rows, self.length)).astype(np.int32)

    def batch(self, step: int, rows: int, seed: int) -> Any:
        """Tokens, and the next after each: none after the last."""
        import numpy as np

        from workbench.language.token_data import IGNORED, Rows

        tokens = self.tokens(rows)
        nothing = np.full((rows, 1), IGNORED, np.int32)
        return Rows(tokens, np.concatenate([tokens[:, 1:], nothing], 1))


def main() -> int:
    """Training, then decoding, both sides by turns."""
    more = [
        ("--repeats", {"type": int, "default": Sizes.repeats}),
        ("--folder", {"type": Path, "help": "keep the model here, and use it if it is there"}),
    ]
    title = "GLA of 340M parameters on an NVIDIA GPU"
    bench, options = Benchmark.from_command(__file__, title, more=more)
    import jax

    if jax.default_backend() != "gpu" and not bench.tiny:
        print(NO_GPU)
        return 0
    peer = jax.default_backend() == "gpu" and peer_is_here()
    if not peer:
        print(NO_PEER)
    sizes = TINY if bench.tiny else Sizes(repeats=options.repeats)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        if not (folder / "config.json").exists():
            write(folder, bench.tiny)
        training(bench, folder, sizes, peer)
        for batch in sizes.batches:
            decoding(bench, folder, sizes, batch, peer)
    bench.finish()
    return 0


def peer_is_here() -> bool:
    """Whether the authors' models and a torch that reaches the GPU are installed."""
    if find_spec("torch") is None or find_spec("fla") is None:
        return False
    if find_spec("fla.models") is None:
        return False
    import torch

    return torch.cuda.is_available()


def configuration(tiny: bool) -> DecoderConfig:
    """The published shape, or a small one of the same kind."""
    from workbench.language import DecoderConfig
    from workbench.language.mixers.gla import GLAConfig
    from workbench.language.published import PUBLISHED

    if not tiny:
        return PUBLISHED["gla-340m"]
    return DecoderConfig(
        vocab_size=256,
        hidden_size=128,
        num_hidden_layers=1,
        mixers=(GLAConfig(num_heads=2),),
    )


def write(folder: Path, tiny: bool) -> None:
    """The first weights of a run, for both sides."""
    from flax import nnx

    from workbench.language import Decoder, save

    save(Decoder(configuration(tiny), rngs=nnx.Rngs(params=0)), folder)


def read(folder: Path, dtype: str) -> Decoder:
    """Our side's model."""
    import warnings

    from workbench.language import load

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*no tokenizer.json")
        return load(folder, dtype=dtype)[0]


def training(bench: Benchmark, folder: Path, sizes: Sizes, peer: bool) -> None:
    """Tokens a second of training steps, and whether both sides start from one loss."""
    from workbench.measure.timing import interleaved

    text = RandomText(configuration(bench.tiny).vocab_size, sizes.length)
    steps, losses = {}, {}
    steps[OURS], losses[OURS] = our_training(folder, text, sizes)
    if peer:
        steps[THEIRS], losses[THEIRS] = their_training(folder, text, sizes)
    timed = interleaved(steps, repeats=sizes.repeats)
    words = f"training, {sizes.texts} texts of {sizes.length} tokens"
    tokens_per_second(bench, words, timed, sizes.texts * sizes.length)
    if peer:
        gap = abs(losses[OURS] - losses[THEIRS]) / losses[THEIRS]
        bench.add(Figure(f"{words}: gap of the first losses", gap, "", at_most=LARGEST_GAP))


def our_training(folder: Path, text: RandomText, sizes: Sizes) -> tuple[Callable[[], Any], float]:
    """An update in one program, and the loss before the first."""
    import jax
    from flax import nnx

    from workbench.language import NextToken
    from workbench.training import Recipe
    from workbench.training.state import initial_state, make_update

    model = read(folder, "float32")
    task: Any = NextToken(model.config, text, dtype="bfloat16")
    recipe = Recipe(
        steps=10_000,
        batch_size=sizes.texts,
        learning_rate=RATE,
        schedule="constant",
        weight_decay=DECAY,
        clip_norm=CLIP,
    )
    batch = jax.device_put(text.batch(0, sizes.texts, 0))
    state = initial_state(_From(task, nnx.split(model)[1]), recipe)
    loss = float(
        jax.jit(lambda params: task.loss(params, batch, jax.random.key(0))[0])(state.params)
    )
    update = jax.jit(make_update(task, recipe), donate_argnums=0)
    held = [state]

    def step() -> Any:
        held[0], scalars = update(held[0], batch)
        return scalars["loss"]

    return step, loss


class _From:
    """A task whose first weights are given."""

    def __init__(self, task: Any, params: Any) -> None:
        self._task, self._params = task, params

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def init(self, key: Any) -> Any:
        """The given weights."""
        return self._params


def their_training(folder: Path, text: RandomText, sizes: Sizes) -> tuple[Callable[[], Any], float]:
    """The same with torch: autocast, its fused AdamW, one step in eager mode."""
    import torch

    model = their_model(folder, torch.float32).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=RATE, weight_decay=DECAY, betas=(0.9, 0.999), fused=True
    )
    tokens = torch.from_numpy(text.tokens(sizes.texts)).long().cuda()

    def loss_of() -> Any:
        with torch.autocast("cuda", torch.bfloat16):
            return model(input_ids=tokens, labels=tokens).loss

    def step() -> float:
        loss = loss_of()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss)  # waits for the device

    with torch.no_grad():
        first = float(loss_of())
    return step, first


def decoding(bench: Benchmark, folder: Path, sizes: Sizes, batch: int, peer: bool) -> None:
    """Tokens a second written after a prompt, and how many both sides agree on."""
    import numpy as np

    from workbench.measure.timing import interleaved

    text = RandomText(configuration(bench.tiny).vocab_size, sizes.prompt)
    prompts = text.tokens(batch)
    sides = {OURS: our_decoding(folder, prompts, sizes.written)}
    if peer:
        sides[THEIRS] = their_decoding(folder, prompts, sizes.written)
    timed = interleaved(sides, repeats=sizes.repeats)
    words = f"decoding {batch} × {sizes.written} tokens after {sizes.prompt}"
    tokens_per_second(bench, words, timed, batch * sizes.written)
    if peer:
        ours, theirs = (np.asarray(sides[name]())[:, 0] for name in (OURS, THEIRS))
        same = float((ours == theirs).mean())
        bench.add(Figure(f"{words}: share of first tokens that agree", same, ""))


def our_decoding(folder: Path, prompts: np.ndarray, written: int) -> Callable[[], Any]:
    """The prompt at once, then token by token, in one program."""
    import jax
    import jax.numpy as jnp
    from flax import nnx

    model = read(folder, "bfloat16")
    graph, weights = nnx.split(model)
    batch, length = prompts.shape

    @jax.jit
    def write(weights: Any, tokens: Any) -> Any:
        model = nnx.merge(graph, weights)
        logits, states = model.prefill(tokens, model.initial_state(batch, length + written))
        first = jnp.argmax(logits[:, -1], -1)

        def one(carried: Any, _: None) -> Any:
            token, states = carried
            logits, states = model.step(token, states)
            return (jnp.argmax(logits, -1), states), token

        _, found = jax.lax.scan(one, (first, states), None, length=written)
        return found.T

    return partial(write, weights, jnp.asarray(prompts))


def their_decoding(folder: Path, prompts: np.ndarray, written: int) -> Callable[[], Any]:
    """`generate` of transformers, with the authors' cache."""
    import torch

    model = their_model(folder, torch.bfloat16).eval()
    tokens = torch.from_numpy(prompts).long().cuda()

    def write() -> Any:
        with torch.inference_mode():
            found = model.generate(
                tokens,
                attention_mask=torch.ones_like(tokens),
                max_new_tokens=written,
                min_new_tokens=written,
                do_sample=False,
                use_cache=True,
                pad_token_id=0,
            )
        return found[:, tokens.shape[1] :].cpu().numpy()  # waits for the device

    return write


def their_model(folder: Path, dtype: Any) -> Any:
    """The authors' model with the folder's weights."""
    from fla.models import GLAForCausalLM

    return GLAForCausalLM.from_pretrained(folder, dtype=dtype).cuda()


def tokens_per_second(bench: Benchmark, words: str, timed: dict[str, Any], tokens: int) -> None:
    """Each side's pace, and ours over theirs, round by round."""
    import numpy as np

    bench.add_timings({f"{words}: {name}": timing for name, timing in timed.items()})
    for name, timing in timed.items():
        fast, slow = timing.quartiles
        bench.add(
            Figure(
                f"{words}: {name}", tokens / timing.median, "tokens/s", tokens / slow, tokens / fast
            )
        )
    if THEIRS in timed:
        pairs = zip(timed[THEIRS].samples, timed[OURS].samples, strict=True)
        ratios = [theirs / ours for theirs, ours in pairs]
        low, middle, high = (float(q) for q in np.quantile(ratios, (0.25, 0.5, 0.75)))
        bench.add(Figure(f"{words}: {OURS}, times as fast as {THEIRS}", middle, "×", low, high))


if __name__ == "__main__":
    sys.exit(main())
