"""The gated delta rule on CPU beside torch: same inputs, threads and float type, by turns.

The peer is the chunked delta rule written for torch in two forms (a loop over chunks for all of it,
and one for the states alone), each with several chunk lengths, on all threads and on one, plain and
compiled, its triangular systems solved by torch's own solver, differentiated by autograd. The
fastest counts, chosen for each direction apart. Beside them the recurrence step by step, as
reference codes have it, and gated linear attention with one gate a head: what is left of the work
without the systems.

python benchmarks/gated_delta_rule_cpu.py [--tiny] [--repeats N] [--threads one]

A plain matrix product runs in the same rounds, as in `gated_linear_attention_cpu.py`: where it is
slow, the run is invalid and not recorded.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
from gated_linear_attention_cpu import (
    FULL,
    NO_TORCH,
    TINY,
    Case,
    Thunks,
    compare,
    fastest_form,
    heads_lead,
    over,
)
from rates import Watch, product
from record import THREADS, Benchmark, Figure, elsewhere


def main() -> int:
    """Chooses the peer's forms, times both directions, compares what they give."""
    if (status := elsewhere(__file__)) is not None:
        return status
    bench, options = Benchmark.from_command(
        __file__, "Gated delta rule on CPU", more=[("--repeats", {"type": int}), THREADS]
    )
    case = TINY if bench.tiny else FULL
    repeats = options.repeats or (2 if bench.tiny else 25)
    arrays = inputs(case)
    peers = find_spec("torch") is not None
    if not peers:
        print(NO_TORCH)
    watch = Watch(bench)
    for direction in ("forward", "forward and backward"):
        thunks, form = ours(arrays, direction), ""
        if peers:
            forms = theirs(arrays, direction)
            form = fastest_form(bench, forms, direction)
            thunks["torch"] = forms[form]
            if direction == "forward":
                thunks["torch's recurrence"] = recurrence(arrays)
        thunks["product"] = product(watch.edge)
        timed = measure(bench, case, thunks, direction, repeats, form)
        watch.add(timed["product"].samples)
    return watch.finish()


def inputs(case: Case) -> dict[str, np.ndarray]:
    """Random q, v, keys of length 1, strengths, mild gates, and a gradient of the output."""
    rng = np.random.default_rng(0)

    def normal(*width: int) -> np.ndarray:
        return rng.standard_normal((case.batch, case.time, case.heads, *width), np.float32)

    q, k, v, d_out = (normal(n) for n in (case.key, case.key, case.value, case.value))
    k = k / np.linalg.norm(k, axis=-1, keepdims=True)
    beta, gates = 1 / (1 + np.exp(-normal())), -np.logaddexp(0, -normal()) / np.float32(16)
    return {"q": q, "k": k, "v": v, "beta": beta, "g": gates, "d_out": d_out}


def ours(arrays: Mapping[str, np.ndarray], direction: str) -> Thunks:
    """This library's delta rule, and its linear attention of the same shape."""
    import jax
    import jax.numpy as jnp

    from kernels_pallas import gated_delta_rule, gated_linear_attention

    q, k, v, beta, g, d_out = (jnp.asarray(array) for array in arrays.values())

    def thunk(op: Callable[..., Any], *given: jax.Array) -> Callable[[], Any]:
        def call(*given: jax.Array) -> jax.Array:
            out, _ = op(*given)
            return out

        def both(d_out: jax.Array, *given: jax.Array) -> Any:
            out, pull = jax.vjp(call, *given)
            return out, pull(d_out)

        if direction == "forward":
            run = jax.jit(call)
            return lambda: run(*given)
        run_both = jax.jit(both)
        return lambda: run_both(d_out, *given)

    return {
        "auto": thunk(gated_delta_rule, q, k, v, beta, g),
        "linear attention": thunk(gated_linear_attention, q, k, v, g),
    }


def theirs(arrays: Mapping[str, np.ndarray], direction: str) -> Thunks:
    """Every form of the peer; heads lead, which is the layout that suits them."""
    import torch

    from workbench.measure.device import threads_available

    given = [heads_lead(array) for array in arrays.values()]
    d_out = given.pop()
    plain: dict[str, Callable[..., Any]] = {}
    for chunk in (32, 64, 128):
        plain |= {
            f"all chunks of {chunk}": all_chunks(chunk),
            f"loop over chunks of {chunk}": loop(chunk),
        }
    compiled = {
        f"{name}, compiled": torch.compile(plain[name], dynamic=False)
        for name in ("all chunks of 64", "all chunks of 128")
    }

    def thunk(form: Callable[..., Any], threads: int) -> Callable[[], Any]:
        def forward() -> Any:
            torch.set_num_threads(threads)
            with torch.inference_mode():
                return form(*given)

        leaves = [one.clone().requires_grad_() for one in given]

        def both() -> Any:
            torch.set_num_threads(threads)
            out = form(*leaves)
            return out, torch.autograd.grad(out, leaves, d_out)

        return forward if direction == "forward" else both

    every = threads_available()
    thunks = {name: thunk(form, every) for name, form in (plain | compiled).items()}
    if every > 1:
        thunks |= {f"{name}, one thread": thunk(form, 1) for name, form in plain.items()}
    return thunks


def prepared(chunk: int, q: Any, k: Any, v: Any, beta: Any, g: Any) -> tuple[Any, ...]:
    """By chunks [n, N, ...]: queries and keys decayed, scores, solved values and keys, decay.

    Both right-hand sides, b v and b e^G k, go through one solve.
    """
    import torch

    q, k, v, beta, g = (one.unflatten(1, (-1, chunk)) for one in (q, k, v, beta, g))
    total = g.cumsum(2)
    between = (total[..., :, None] - total[..., None, :]).tril().exp().tril()
    read, last = total.exp()[..., None], total[..., -1:, None]
    system = beta[..., None] * (between * (k @ k.mT)).tril(-1)
    sides = beta[..., None] * torch.cat([v, read * k], -1)
    solved = torch.linalg.solve_triangular(system, sides, upper=False, unitriangular=True)
    values, keys = solved.split([v.shape[-1], k.shape[-1]], -1)
    q = q * q.shape[-1] ** -0.5
    scores = between * (q @ k.mT)
    return q * read, k * (last - total[..., None]).exp(), scores, values, keys, last.exp()


def all_chunks(chunk: int) -> Callable[..., Any]:
    """Every chunk in one batched product; a loop for the states and what is written alone."""
    import torch

    def form(q, k, v, beta, g):
        q, k, scores, values, keys, last = prepared(chunk, q, k, v, beta, g)
        state = torch.zeros_like(k[:, 0].mT @ values[:, 0])
        states, changes = [], []
        for at in range(q.shape[1]):
            change = torch.baddbmm(values[:, at], keys[:, at], state, alpha=-1)
            states.append(state)
            changes.append(change)
            state = torch.baddbmm(state * last[:, at], k[:, at].mT, change)
        return (q @ torch.stack(states, 1) + scores @ torch.stack(changes, 1)).flatten(1, 2)

    return form


def loop(chunk: int) -> Callable[..., Any]:
    """The systems of all chunks at once; then a chunk at a time, so that it stays in cache."""
    import torch

    def form(q, k, v, beta, g):
        q, k, scores, values, keys, last = prepared(chunk, q, k, v, beta, g)
        state, out = torch.zeros_like(k[:, 0].mT @ values[:, 0]), []
        for at in range(q.shape[1]):
            change = torch.baddbmm(values[:, at], keys[:, at], state, alpha=-1)
            out.append(torch.baddbmm(scores[:, at] @ change, q[:, at], state))
            state = torch.baddbmm(state * last[:, at], k[:, at].mT, change)
        return torch.cat(out, 1)

    return form


def recurrence(arrays: Mapping[str, np.ndarray]) -> Callable[[], Any]:
    """The state token by token, as reference codes have it."""
    import torch

    from workbench.measure.device import threads_available

    q, k, v, beta, g, _ = (heads_lead(array) for array in arrays.values())
    q, decay = q * q.shape[-1] ** -0.5, g.exp()

    def run() -> Any:
        torch.set_num_threads(threads_available())
        state = torch.zeros(q.shape[0], q.shape[2], v.shape[2])
        out = torch.empty_like(v)
        with torch.inference_mode():
            for t in range(q.shape[1]):
                state = state * decay[:, t, None, None]
                read = (k[:, t, :, None] * state).sum(1)
                change = beta[:, t, None] * (v[:, t] - read)
                state = state + k[:, t, :, None] * change[:, None]
                out[:, t] = (q[:, t, :, None] * state).sum(1)
        return out

    return run


def measure(
    bench: Benchmark, case: Case, thunks: Thunks, direction: str, repeats: int, form: str
) -> dict[str, Any]:
    """Times by turns, and the figures that follow."""
    from workbench.measure.timing import interleaved

    timed = interleaved(thunks, repeats=repeats)
    bench.add_timings({f"{direction}: {name}": timing for name, timing in timed.items()})
    title = f"gated delta rule, {case.words}, {direction}"
    for name, words in (("auto", "this library"), ("torch", f"torch ({form})")):
        if name in timed:
            first, third = (1e3 * q for q in timed[name].quartiles)
            bench.add(Figure(f"{title}: {words}", 1e3 * timed[name].median, "ms", first, third))
    against = {"linear attention": "gated linear attention's, one gate a head"}
    if "torch" in thunks:
        compare(bench, case, thunks, direction)
        against |= {"torch": "torch's", "torch's recurrence": "the recurrence's"}
    for name, words in against.items():
        if name in timed:
            bench.add(over(timed, "auto", name, f"{title}: time over {words}", None))
    return timed


if __name__ == "__main__":
    sys.exit(main())
