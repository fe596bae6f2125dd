"""Softmax attention on this CPU beside torch's, same inputs and threads, by turns in one process.

The peer is `scaled_dot_product_attention` in its fastest form here: heads first in memory or as a
view, with all threads or one, and `is_causal` or `enable_gqa` where they say what is asked.

python benchmarks/attention_cpu.py [--tiny] [--repeats N] [--only CASE]

Needs torch beside jax: `make test-parity` makes `.venv-parity`, which runs this where this Python
has no torch.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any

from rates import Watch
from record import THREADS, Benchmark, Figure, elsewhere

NO_TORCH = "skipped: torch's side, for torch is not here (make test-parity)"
LARGEST_ERROR = 1e-4
FORMS = ("view", "heads first", "view, one thread", "heads first, one thread")


@dataclass(frozen=True)
class Case:
    """A shape and what is computed of it.

    Args:
        name: for `--only`.
        words: for the table.
        q: [B, T, H, D].
        k: [B, S, K, D].
        options: of the op.
        backward: whether the gradients of q, k and v are taken too.
        at_most: the target for the ratio to torch's time.
        beside_all_keys: whether the op without its mask is timed too, which no mask may exceed.
    """

    name: str
    words: str
    q: tuple[int, int, int, int]
    k: tuple[int, int, int, int]
    options: dict[str, Any] = field(default_factory=dict)
    backward: bool = False
    at_most: float | None = None
    beside_all_keys: bool = False


UNET, LM = (2, 4096, 8, 40), (1, 2048, 16, 64)
CAUSAL = {"causal": True}
CASES = (
    Case("unet", "4096 tokens, 8 heads of 40, batch 2", UNET, UNET, at_most=1.35),
    Case(
        "unet-causal",
        "4096 tokens, 8 heads of 40, batch 2, causal",
        UNET,
        UNET,
        CAUSAL,
        beside_all_keys=True,
    ),
    Case("unet-1024", "1024 tokens, 8 heads of 80, batch 2", (2, 1024, 8, 80), (2, 1024, 8, 80)),
    Case("cross", "4096 tokens to 77, 8 heads of 40, batch 2", UNET, (2, 77, 8, 40)),
    Case("lab", "256 tokens, 4 heads of 32, batch 16", (16, 256, 4, 32), (16, 256, 4, 32)),
    Case("small", "64 tokens, 4 heads of 16, batch 16", (16, 64, 4, 16), (16, 64, 4, 16)),
    Case("lm", "2048 tokens, 16 heads of 64, causal", LM, LM, CAUSAL),
    Case("lm-train", "2048 tokens, 16 heads of 64, causal, with gradients", LM, LM, CAUSAL, True),
    Case("lm-grouped", "2048 tokens, 16 heads of 64 on 4, causal", LM, (1, 2048, 4, 64), CAUSAL),
    Case(
        "lm-window",
        "2048 tokens, 16 heads of 64, window 256",
        LM,
        LM,
        {"causal": True, "window": 256},
    ),
)


def main() -> int:
    """Every case."""
    if (status := elsewhere(__file__)) is not None:
        return status
    more = [
        ("--repeats", {"type": int, "default": 9}),
        ("--only", {"choices": [case.name for case in CASES]}),
        THREADS,
    ]
    bench, options = Benchmark.from_command(__file__, "Attention on a CPU beside torch", more=more)
    if find_spec("torch") is None:
        print(NO_TORCH)
    cases = [case for case in CASES if options.only in (None, case.name)]
    watch = Watch(bench)
    for case in [tiny(case) for case in cases] if bench.tiny else cases:
        watch()
        compare(bench, case, 2 if bench.tiny else options.repeats)
    return watch.finish()


def tiny(case: Case) -> Case:
    """The case with a sixteenth of its tokens and one sequence."""

    def less(shape: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        return (1, max(shape[1] // 16, 8), *shape[2:])

    return replace(case, q=less(case.q), k=less(case.k))


def compare(bench: Benchmark, case: Case, repeats: int) -> None:
    """Times a case by turns with torch's fastest form, and compares the results."""
    import numpy as np

    from kernels_pallas.attention.cost import cost
    from workbench.measure.timing import interleaved

    numbers = np.random.default_rng(0)
    arrays = [numbers.standard_normal(s, dtype=np.float32) for s in (case.q, case.k, case.k)]
    d_out = numbers.standard_normal(case.q, dtype=np.float32)
    thunks = {"ours": ours(case, arrays, d_out)}
    if case.beside_all_keys:
        thunks["all keys"] = ours(replace(case, options={}), arrays, d_out)
    about: dict[str, Any] = {"q": case.q, "k": case.k, **case.options, "backward": case.backward}
    if find_spec("torch") is not None:
        peers = {form: theirs(case, arrays, d_out, form) for form in FORMS}
        found = interleaved(peers, repeats=2 if bench.tiny else 3)
        about["forms of torch"] = {form: timing.median for form, timing in found.items()}
        about["form of torch"] = min(found, key=lambda form: found[form].low)
        thunks["torch"] = peers[about["form of torch"]]
    timed = interleaved(thunks, repeats=repeats, min_time=0.0 if bench.tiny else 0.05)
    bench.add_timings({f"{case.name}: {name}": timing for name, timing in timed.items()})
    bench.raw[case.name] = about
    options = {name: case.options.get(name) for name in ("causal", "window")}
    options["causal"] = bool(options["causal"])
    macs = cost(case.q, case.k, case.k, **options).macs
    if case.backward:
        macs += cost(case.q, case.k, case.k, **options, backward=True).macs
    about["macs"] = macs
    first, third = timed["ours"].quartiles
    title = f"attention, {case.words}"
    middle = timed["ours"].median
    bench.add(Figure(title, 1e3 * middle, "ms", 1e3 * first, 1e3 * third))
    about["flops per second"] = 2 * macs / middle
    targets = {"torch": case.at_most, "all keys": None if bench.tiny else 1.0}
    for name in [name for name in timed if name != "ours"]:
        pairs = zip(timed["ours"].samples, timed[name].samples, strict=True)
        ratios = np.quantile([a / b for a, b in pairs], (0.25, 0.5, 0.75))
        low, middle, high = (float(ratio) for ratio in ratios)
        words = f"{title}: time over that of {name}"
        bench.add(Figure(words, middle, "×", low, high, at_most=targets[name]))
    if "torch" not in timed:
        return
    about["processor time over torch's"] = timed["ours"].cpu_median / timed["torch"].cpu_median
    about["error"] = error = apart(thunks["ours"](), thunks["torch"]())
    if not error < LARGEST_ERROR:
        raise AssertionError(f"{case.name}: the two are {error} apart")


def ours(case: Case, arrays: list[Any], d_out: Any) -> Callable[[], Any]:
    """The op, compiled, on arrays that are already jax's."""
    import jax
    import jax.numpy as jnp

    from kernels_pallas import attention

    op = functools.partial(attention, **case.options)
    given = [jnp.asarray(array) for array in arrays]
    if not case.backward:
        run = jax.jit(op)
        return lambda: [run(*given)]
    d_out = jnp.asarray(d_out)

    @jax.jit
    def both(arrays: Any, d_out: Any) -> Any:
        out, back = jax.vjp(op, *arrays)
        return [out, *back(d_out)]

    return lambda: both(given, d_out)


def theirs(case: Case, arrays: list[Any], d_out: Any, form: str) -> Callable[[], Any]:
    """Torch in one of FORMS; its results [B, T, H, D]."""
    import torch

    from workbench.measure.device import threads_available

    threads = 1 if "one thread" in form else threads_available()
    given = [torch.from_numpy(array).transpose(1, 2) for array in arrays]
    out_grad = torch.from_numpy(d_out).transpose(1, 2)
    if "heads first" in form:
        given, out_grad = [array.contiguous() for array in given], out_grad.contiguous()
    options: dict[str, Any] = {"enable_gqa": True} if case.q[2] != case.k[2] else {}
    window = case.options.get("window")
    if window:
        back = torch.arange(case.q[1])[:, None] - torch.arange(case.k[1])[None]
        options["attn_mask"] = (back >= 0) & (back < window)
    else:
        options["is_causal"] = bool(case.options.get("causal"))
    attend = functools.partial(torch.nn.functional.scaled_dot_product_attention, **options)

    def forward() -> Any:
        torch.set_num_threads(threads)  # other forms ran since
        with torch.inference_mode():
            return [attend(*given).transpose(1, 2)]

    def both() -> Any:
        torch.set_num_threads(threads)
        leaves = [array.detach().requires_grad_() for array in given]
        out = attend(*leaves)
        out.backward(out_grad)
        found = [out.detach(), *(leaf.grad for leaf in leaves)]
        return [array.transpose(1, 2) for array in found]

    return both if case.backward else forward


def apart(here: list[Any], there: list[Any]) -> float:
    """The largest difference, relative to the largest value of each array."""
    import numpy as np

    found = [
        np.abs(np.asarray(a) - b.numpy()).max() / np.abs(b.numpy()).max()
        for a, b in zip(here, there, strict=True)
    ]
    return float(max(found))


if __name__ == "__main__":
    sys.exit(main())
