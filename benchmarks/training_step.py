"""A training step of a 30M language model on CPU beside torch: same weights, rows and optimiser.

GLA and Transformer++ (512 wide, 8 layers, vocabulary 8192, tied), one row of 1024 tokens, float32:
loss, gradient and AdamW, which is fused in torch. torch runs eagerly; gated linear attention is
written for it in several chunked forms, of which the fastest counts, and softmax attention is its
own fused one. Both sides begin with the same weights, and their losses must agree along the way.

python benchmarks/training_step.py [--tiny] [--repeats N] [--threads one]

Needs torch beside jax: `make test-parity` makes `.venv-parity`, which runs this where this Python
has no torch.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from gated_linear_attention_cpu import all_chunks, loop
from record import THREADS, Benchmark, Figure, elsewhere

RATE, BETAS, EPS, DECAY = 1e-4, (0.9, 0.95), 1e-8, 0.1
LARGEST_ERROR = 1e-3
"""Relative, between the losses of both sides at any step."""

WORDS = {"gla-30m": "GLA", "transformer++-30m": "Transformer++"}


def main() -> int:
    """Each model by turns on both sides."""
    if (status := elsewhere(__file__)) is not None:
        return status
    bench, options = Benchmark.from_command(
        __file__,
        "A training step of 30M parameters on CPU",
        more=[("--repeats", {"type": int}), THREADS],
    )
    repeats = options.repeats or (2 if bench.tiny else 9)
    right = [measure(bench, name, repeats) for name in WORDS]
    bench.finish()
    return 0 if all(right) else 1


def measure(bench: Benchmark, name: str, repeats: int) -> bool:
    """Times both sides of one model; False where their losses part."""
    from workbench.language.published import parameters
    from workbench.measure.timing import interleaved

    config, length = shape(name, bench.tiny)
    rows = np.random.default_rng(0).integers(0, config.vocab_size, (8, 1, length + 1))
    ours, weights = jax_step(config, rows)
    sides = {"jax": ours}
    if find_spec("torch") is not None:
        form = fastest(bench, name, config, weights, rows)
        sides["torch"] = torch_step(config, weights, rows, form)
    else:
        print("skipped: torch's side, for torch is not here (make test-parity)")
    losses: dict[str, list[float]] = {side: [] for side in sides}
    thunks = {side: keeping(step, losses[side]) for side, step in sides.items()}
    timed = interleaved(thunks, repeats=repeats)
    bench.add_timings({f"{name}, {side}": timing for side, timing in timed.items()})
    bench.raw[f"{name}, losses"] = losses
    words = f"{WORDS[name]}, {parameters(config) / 1e6:.1f} M, {length} tokens"
    words = f"{words}{' (tiny)' if bench.tiny else ''}: a training step"
    bench.add(Figure(words, timed["jax"].median, "s"))
    if "torch" not in sides:
        return True
    ratios = [a / b for a, b in zip(timed["jax"].samples, timed["torch"].samples, strict=True)]
    low, middle, high = (float(q) for q in np.quantile(ratios, (0.25, 0.5, 0.75)))
    pairs = zip(losses["jax"], losses["torch"], strict=True)
    error = max(abs(a - b) / b for a, b in pairs)
    bench.add(
        Figure(f"{words} in torch, eager ({form})", timed["torch"].median, "s"),
        Figure(f"{words}, time over torch's", middle, "×", low, high, at_most=1.2),
        Figure(f"{words}, largest relative difference of losses", error, "", at_most=LARGEST_ERROR),
    )
    return error <= LARGEST_ERROR


def shape(name: str, tiny: bool) -> tuple[Any, int]:
    """A model's configuration and the tokens of its row."""
    from workbench.language.published import BENCHMARKED

    config = BENCHMARKED[name]
    if not tiny:
        return config, 1024
    small = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64}
    return config.model_copy(update=small), 128


def keeping(step: Callable[[], float], losses: list[float]) -> Callable[[], None]:
    """The step, with its loss noted."""
    return lambda: losses.append(step())


def jax_step(config: Any, rows: np.ndarray) -> tuple[Callable[[], float], dict[str, np.ndarray]]:
    """The step as `train` does it, and the weights it begins with by the names of a file."""
    import jax
    import jax.numpy as jnp

    from workbench.language.tasks import TokenTask
    from workbench.language.token_data import Rows
    from workbench.model_files.part import file_tensors
    from workbench.training import Recipe
    from workbench.training.state import initial_state, make_update

    class Task(TokenTask):
        fingerprint = "timed"

    class Data:
        length, vocab_size = rows.shape[-1] - 1, config.vocab_size

    task = Task(config, Data())
    recipe = Recipe(
        steps=10**6, batch_size=1, learning_rate=RATE, schedule="constant", betas=BETAS,
        epsilon=EPS, weight_decay=DECAY, clip_norm=None,
    )  # fmt: skip
    state = initial_state(task, recipe)
    tensors = file_tensors(task.model(state.params))
    weights = {name: np.array(tensor) for name, tensor in tensors.items()}
    update = jax.jit(make_update(task, recipe), donate_argnums=0)
    batches = [
        Rows(jnp.asarray(row[:, :-1], jnp.int32), jnp.asarray(row[:, 1:], jnp.int32))
        for row in rows
    ]
    held = {"state": state, "step": 0}

    def step() -> float:
        batch = batches[held["step"] % len(batches)]
        held["state"], said = update(held["state"], batch)
        held["step"] += 1
        jax.block_until_ready(held["state"])
        return float(said["loss"])

    return step, weights


def fastest(
    bench: Benchmark, name: str, config: Any, weights: dict[str, np.ndarray], rows: np.ndarray
) -> str:
    """torch's fastest form of the token mixer, by the time of whole steps."""
    from workbench.measure.timing import interleaved

    if config.mixers[0].kind == "attention":
        return ATTENTION
    thunks = {form: torch_step(config, weights, rows, form) for form in FORMS}
    timed = interleaved(thunks, repeats=2)
    bench.raw[f"{name}, forms of torch"] = {form: found.median for form, found in timed.items()}
    return min(timed, key=lambda form: timed[form].median)


ATTENTION = "scaled_dot_product_attention"
FORMS: dict[str, tuple[Callable[[int], Callable[..., Any]], int]] = {
    "all chunks of 64": (all_chunks, 64),
    "all chunks of 128": (all_chunks, 128),
    "loop over chunks of 64": (loop, 64),
    "loop over chunks of 128": (loop, 128),
}


def torch_step(
    config: Any, weights: dict[str, np.ndarray], rows: np.ndarray, form: str
) -> Callable[[], float]:
    """The step in eager torch."""
    import torch
    from torch.nn import functional

    from workbench.measure.device import threads_available

    model = torch_decoder(config, form, rows.shape[-1] - 1)
    model.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
    decayed = [weight for weight in model.parameters() if weight.ndim >= 2]
    others = [weight for weight in model.parameters() if weight.ndim < 2]
    groups = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(
        groups, lr=RATE, betas=BETAS, eps=EPS, weight_decay=DECAY, fused=True
    )
    batches = [torch.from_numpy(row) for row in rows]
    held = {"step": 0}

    def step() -> float:
        torch.set_num_threads(threads_available())
        row = batches[held["step"] % len(batches)]
        held["step"] += 1
        logits = model(row[:, :-1])
        loss = functional.cross_entropy(logits.flatten(0, 1), row[:, 1:].flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def torch_decoder(config: Any, form: str, length: int) -> Any:
    """The decoder in torch, its parameters under the names of our files."""
    import torch
    from torch import nn
    from torch.nn import functional

    width, eps, mixer = config.hidden_size, config.norm_eps, config.mixers[0]

    def linear(features_in: int, features_out: int, bias: bool = False) -> Any:
        return nn.Linear(features_in, features_out, bias=bias)

    class GLA(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            key, value = mixer.head_sizes(width)
            heads = mixer.num_heads
            self.heads, self.tau = heads, mixer.gate_logit_normalizer
            written, chunk = FORMS[form]
            self.mixed = written(chunk)
            self.q_proj, self.k_proj = linear(width, heads * key), linear(width, heads * key)
            self.v_proj, self.g_proj = linear(width, heads * value), linear(width, heads * value)
            rank = mixer.gate_low_rank_dim
            self.gk_proj = nn.Sequential(linear(width, rank), linear(rank, heads * key, True))
            self.g_norm_swish_gate = nn.RMSNorm(value, eps=eps)
            self.o_proj = linear(heads * value, width)

        def forward(self, x: Any) -> Any:
            def lead(y: Any) -> Any:
                return y.unflatten(-1, (self.heads, -1)).transpose(1, 2).flatten(0, 1)

            gates = functional.logsigmoid(self.gk_proj(x)) / self.tau
            parts = (self.q_proj(x), self.k_proj(x), self.v_proj(x), gates)
            out = self.mixed(*(lead(part) for part in parts))
            out = out.unflatten(0, (-1, self.heads)).transpose(1, 2)
            out = self.g_norm_swish_gate(out).flatten(2)
            return self.o_proj(out * functional.silu(self.g_proj(x)))

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            heads, kv_heads, self.head = mixer.sizes(width)
            self.q_proj = linear(width, heads * self.head)
            self.k_proj = linear(width, kv_heads * self.head)
            self.v_proj = linear(width, kv_heads * self.head)
            self.o_proj = linear(heads * self.head, width)
            turns = mixer.rope_theta ** (-torch.arange(0, self.head, 2).double() / self.head)
            angles = torch.arange(length).double()[:, None] * turns
            self.cosine, self.sine = angles.cos().float(), angles.sin().float()

        def turned(self, y: Any) -> Any:
            first, second = y.chunk(2, -1)
            cosine, sine = self.cosine, self.sine
            turned = (first * cosine - second * sine, second * cosine + first * sine)
            return torch.cat(turned, -1)

        def forward(self, x: Any) -> Any:
            def lead(y: Any) -> Any:
                return y.unflatten(-1, (-1, self.head)).transpose(1, 2)

            q, k, v = (lead(part(x)) for part in (self.q_proj, self.k_proj, self.v_proj))
            q, k = self.turned(q), self.turned(k)
            out = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            return self.o_proj(out.transpose(1, 2).flatten(2))

    class SwiGLU(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate_proj, self.up_proj = linear(width, config.inner), linear(width, config.inner)
            self.down_proj = linear(config.inner, width)

        def forward(self, x: Any) -> Any:
            return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attn_norm, self.mlp_norm = nn.RMSNorm(width, eps=eps), nn.RMSNorm(width, eps=eps)
            self.attn = Attention() if form == ATTENTION else GLA()
            self.mlp = SwiGLU()

        def forward(self, x: Any) -> Any:
            x = x + self.attn(self.attn_norm(x))
            return x + self.mlp(self.mlp_norm(x))

    class Stack(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embeddings = nn.Embedding(config.vocab_size, width)
            self.layers = nn.ModuleList(Layer() for _ in range(config.num_hidden_layers))
            self.norm = nn.RMSNorm(width, eps=eps)

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = Stack()

        def forward(self, tokens: Any) -> Any:
            x = self.model.embeddings(tokens)
            for layer in self.model.layers:
                x = layer(x)
            return functional.linear(self.model.norm(x), self.model.embeddings.weight)

    return Model()


if __name__ == "__main__":
    sys.exit(main())
