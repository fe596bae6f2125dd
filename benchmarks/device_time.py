"""Time of short kernels on a device: calls back to back in one program, past the cache.

A kernel may take less time than its dispatch, and finds its arguments in the cache when it is
called again: neither is what its user sees. So a program calls it on many sets of arrays in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

CACHE = 64 << 20
"""Bytes above the last cache of the GPUs in question: 50 MB on H100 and H200, 40 MB on A100."""
MOST_SETS = 64
AT_ONCE = 5e-3
"""Seconds of work in one dispatch, by the roofline, so that the host's time does not count."""


def rotated(
    make: Callable[[int], list[Any]], shared: int = 0, streamed: int | None = None
) -> list[list[Any]]:
    """Arrays for as many calls as it takes to pass the cache between two uses of one.

    Args:
        make: the arrays of one call, from a seed.
        shared: the leading arrays that all calls share.
        streamed: bytes of the others that the leanest form reads; all of them when None.
    """
    import jax

    base = make(0)
    size = streamed or sum(array.nbytes for array in jax.tree.leaves(base[shared:]))
    count = min(MOST_SETS, -(-2 * CACHE // size))
    more = [make(seed)[shared:] for seed in range(1, count)]
    return [base, *([*base[:shared], *rest] for rest in more)]


def rounds_for(seconds: float, sets: int) -> int:
    """Rounds over all sets in one dispatch: `AT_ONCE` seconds at the roofline's pace."""
    return max(1, min(200, round(AT_ONCE / (sets * max(seconds, 2e-6)))))


def chained(
    function: Callable[..., Any], sets: Sequence[Sequence[Any]], rounds: int
) -> Callable[[], Any]:
    """Calls on one set after the other, `rounds` times, compiled; the result is the last one's."""
    given = [list(arrays) for arrays in sets]
    compiled = program(function, given, rounds)
    return lambda: compiled(given)[-1]


def program(function: Callable[..., Any], sets: list[list[Any]], rounds: int) -> Any:
    """What `chained` compiles: the results of all sets.

    Each call waits for the one before, and none is merged with another or left out: a barrier that
    moves nothing ties its arguments to the last result. On a CPU, XLA drops barriers early and
    may call in another order.
    """
    import jax
    import jax.numpy as jnp

    def all_rounds(sets: Any) -> Any:
        shapes = jax.eval_shape(function, *sets[0])
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

        def one_round(_: Any, results: list[Any]) -> list[Any]:
            last, found = results[-1], []
            for arrays in sets:
                arrays, last = jax.lax.optimization_barrier((arrays, last))
                found.append(last)  # of the barrier, which is dead where this is not used
                last = function(*arrays)
            return [*found[1:], last]

        return jax.lax.fori_loop(0, rounds, one_round, [zeros] * len(sets))

    return jax.jit(all_rounds).lower(sets).compile()


def queued(
    function: Callable[..., Any], sets: Sequence[Sequence[Any]], rounds: int
) -> Callable[[], Any]:
    """The same for torch, on tensors that share the arrays' memory: a round as one CUDA graph.

    As XLA does with ours, the graph launches without Python; without CUDA, calls are queued.
    """
    import torch

    tensors = [[torch.from_dlpack(array) for array in arrays] for arrays in sets]

    def one_round() -> Any:
        for arrays in tensors[:-1]:
            function(*arrays)
        return function(*tensors[-1])

    if not torch.cuda.is_available():
        return lambda: [one_round() for _ in range(rounds)][-1]
    aside = torch.cuda.Stream()
    with torch.cuda.stream(aside):  # compiles and tunes, which a capture must not
        one_round()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        last = one_round()

    def thunk() -> Any:
        for _ in range(rounds):
            graph.replay()
        torch.cuda.synchronize()
        return last

    return thunk


def gradients(function: Callable[..., Any], count: int) -> Callable[..., Any]:
    """Of a function's first result: the result and its gradients, given that of the result last."""
    import jax

    def both(*arrays: Any) -> Any:
        out, back = jax.vjp(function, *arrays[:count])
        return [out, *back(arrays[count])]

    return both


def torch_gradients(function: Callable[..., Any], count: int) -> Callable[..., Any]:
    """The same in torch."""

    def both(*tensors: Any) -> Any:
        import torch

        given = [tensor.detach().requires_grad_() for tensor in tensors[:count]]
        out = function(*given)
        return [out, *torch.autograd.grad(out, given, tensors[count])]

    return both


def on_host(result: Any) -> list[Any]:
    """The arrays of a result of jax or torch, in float32."""
    import numpy as np

    found = result if isinstance(result, (tuple, list)) else [result]
    return [
        array.detach().float().cpu().numpy()
        if hasattr(array, "detach")
        else np.asarray(array).astype(np.float32)
        for array in found
    ]


def apart(ours: Sequence[Any], others: Sequence[Any]) -> float:
    """The largest difference in what both give, relative to the largest value of its array."""
    import numpy as np

    return max(
        float(np.abs(one - other).max() / max(float(np.abs(one).max()), 1e-30))
        for one, other in zip(ours, others, strict=False)
    )
