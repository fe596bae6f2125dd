"""Multiply-accumulates of a JAX function, counted on its jaxpr: exact, abstract, and free.

Nothing is computed and no memory is taken: arguments may be ``jax.ShapeDtypeStruct``, so a
full-size Stable Diffusion UNet is counted on a laptop in seconds.

What is counted: ``dot_general``, ``ragged_dot``, ``conv_general_dilated`` (groups, dilation,
transposed) and Pallas kernels (their declared ``cost_estimate``, flops / 2). ``scan`` counts its
body times its length; ``cond`` and ``switch`` count their most expensive branch, or, where the
platform decides, that of all others, which is what an op is by definition; a ``while`` needs its
trip count told. Elementwise arithmetic is not a multiply-accumulate and is left out.

Two conventions exist in papers, and differ by 16 % on Stable Diffusion 1.5: ``total`` counts all;
``no_bmm`` leaves out products of two activations (attention scores and values), see :func:`count`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.measure.products import HEAVY, PRODUCTS, size

ATTENTION_SCOPE = "attention_product"
WEIGHT_SCOPE = "weight_product"


class UncountableError(ValueError):
    """Something in the function has no number of multiply-accumulates that its jaxpr tells."""


@dataclass(frozen=True)
class MacCount:
    """Multiply-accumulates of one call.

    Attributes:
        total: all of them.
        no_bmm: without products of two activations.
        by_primitive: "dot_general", "attention_product", "conv_general_dilated", "ragged_dot",
            "pallas_call" → count. The parts sum to ``total``; all but "attention_product" sum to
            ``no_bmm``.
        by_scope: ``jax.named_scope`` path (of the innermost scope) → count; "" is outside of any.
        no_bmm_by_scope: the same without products of two activations.
        uncounted: primitives with heavy arithmetic that is no multiply-accumulate count of ours
            (FFT, factorisations, foreign calls), present in the function and left out.
    """

    total: int
    no_bmm: int
    by_primitive: dict[str, int] = field(default_factory=dict)
    by_scope: dict[str, int] = field(default_factory=dict)
    no_bmm_by_scope: dict[str, int] = field(default_factory=dict)
    uncounted: tuple[str, ...] = ()

    def scope(self, path: str) -> int:
        """Multiply-accumulates inside a named scope and the scopes below it."""
        return sum(n for p, n in self.by_scope.items() if p == path or p.startswith(path + "/"))


def count(
    fn: Callable[..., Any],
    *args: Any,
    weights: int | str | Sequence[int | str] | None = None,
    trip_counts: int | Mapping[str, int] | None = None,
    **kwargs: Any,
) -> MacCount:
    """Counts the multiply-accumulates of ``fn(*args, **kwargs)``.

    ``no_bmm`` leaves out a product when any of these holds:

    * it lies in ``jax.named_scope("attention_product")``, forward or in its gradient;
    * ``weights`` is given, and both operands depend on an argument that is not a weight (the flow
      of data is followed, so per-head loops and blocked attention need no marks);
    * ``weights`` is not given, the product has batch dimensions, and neither operand comes from
      constants alone.

    ``jax.named_scope("weight_product")`` overrules the last two. Prefer the scope or ``weights``:
    jnp and einsum drop batch axes of length 1, so one head at batch 1 looks like a linear layer.
    Count gradients without ``weights``: the gradient of a weight is a product of two activations.

    Args:
        fn: any traceable function.
        args: arrays or ``jax.ShapeDtypeStruct`` (or pytrees of them).
        weights: positions (or keyword names) of the arguments of ``fn`` that hold weights; ``()``
            where ``fn`` closes over all of its weights.
        trip_counts: iterations of each ``while``: one number for all, or named scope → number.
        kwargs: keyword arguments of ``fn``.

    Raises:
        UncountableError: for a ``while`` without trip count, a Pallas kernel without cost
            estimate, or an unknown primitive that hides products.
        ValueError: where ``weights`` names no argument.
    """
    import jax

    known = None if weights is None else _weight_names(weights, len(args), kwargs)
    jaxpr = _needed(jax.make_jaxpr(fn)(*args, **kwargs).jaxpr)
    data: list[bool] = []
    for name, value in [*enumerate(args), *sorted(kwargs.items())]:
        is_data = known is None or name not in known
        data += [is_data] * len(jax.tree.leaves(value))
    counter = _Counter(dataflow=known is not None, trip_counts=trip_counts)
    tally, _ = counter.jaxpr(jaxpr, data, ())
    return tally.finish()


class _Tally:
    """A sum in progress: (kind, scope) → count."""

    def __init__(self) -> None:
        self.parts: dict[tuple[str, str], int] = {}
        self.uncounted: set[str] = set()

    def add(self, kind: str, scope: str, macs: int) -> None:
        if macs:
            self.parts[kind, scope] = self.parts.get((kind, scope), 0) + macs

    def merge(self, other: _Tally, times: int = 1) -> None:
        for (kind, scope), macs in other.parts.items():
            self.add(kind, scope, macs * times)
        self.uncounted |= other.uncounted

    @property
    def total(self) -> int:
        return sum(self.parts.values())

    def finish(self) -> MacCount:
        by_kind: dict[str, int] = {}
        by_scope: dict[str, int] = {}
        no_bmm_by_scope: dict[str, int] = {}
        for (kind, scope), macs in self.parts.items():
            by_kind[kind] = by_kind.get(kind, 0) + macs
            by_scope[scope] = by_scope.get(scope, 0) + macs
            if kind != ATTENTION_SCOPE:
                no_bmm_by_scope[scope] = no_bmm_by_scope.get(scope, 0) + macs
        total = self.total
        return MacCount(
            total=total,
            no_bmm=total - by_kind.get(ATTENTION_SCOPE, 0),
            by_primitive=by_kind,
            by_scope=by_scope,
            no_bmm_by_scope=no_bmm_by_scope,
            uncounted=tuple(sorted(self.uncounted)),
        )


Scope = tuple[str, ...]
Flow = list[bool]  # of each value: does it depend on data (an argument that is no weight)?


class _Counter:
    def __init__(self, *, dataflow: bool, trip_counts: int | Mapping[str, int] | None) -> None:
        self.dataflow = dataflow
        self.trip_counts = trip_counts
        self.memo: dict[Any, tuple[Any, _Tally, Flow]] = {}

    def jaxpr(self, jaxpr: Any, data: Sequence[bool], scope: Scope) -> tuple[_Tally, Flow]:
        """Counts a jaxpr whose inputs depend on data as ``data`` says; also its outputs' flow."""
        key = (id(jaxpr), tuple(data), scope)
        if key not in self.memo:
            # The jaxpr is kept in the entry, so that its id cannot be taken by another one.
            self.memo[key] = (jaxpr, *self._walk(jaxpr, data, scope))
        return self.memo[key][1:]

    def _walk(self, jaxpr: Any, data: Sequence[bool], scope: Scope) -> tuple[_Tally, Flow]:
        flow: dict[Any, bool] = dict(zip(jaxpr.invars, data, strict=True))

        def depends(atom: Any) -> bool:
            return False if hasattr(atom, "val") else flow.get(atom, False)

        tally = _Tally()
        for eqn in jaxpr.eqns:
            inputs = [depends(atom) for atom in eqn.invars]
            inside = (*scope, *_scope_names(eqn))
            part, outputs = self._equation(eqn, inputs, inside)
            tally.merge(part)
            flow.update(zip(eqn.outvars, outputs, strict=True))
        return tally, [depends(atom) for atom in jaxpr.outvars]

    def _equation(self, eqn: Any, data: Flow, scope: Scope) -> tuple[_Tally, Flow]:
        name = eqn.primitive.name
        if name in PRODUCTS:
            return self._product(eqn, data, scope)
        if name == "pallas_call":
            return self._kernel(eqn, data, scope)
        if name == "scan":
            return self._scan(eqn, data, scope)
        if name == "while":
            return self._while(eqn, data, scope)
        if name == "cond":
            return self._cond(eqn, data, scope)
        if name == "shard_map":
            return self._shard_map(eqn, data, scope)
        tally, outputs = _Tally(), [any(data)] * len(eqn.outvars)
        if name in HEAVY:
            tally.uncounted.add(name)
        bodies = list(_bodies(eqn.params))
        if len(bodies) == 1 and _is_call(bodies[0], eqn):
            return self.jaxpr(bodies[0], data, scope)
        if any(_holds_products(body) for body in bodies):
            raise UncountableError(
                f"primitive {name!r}{_where(scope)} contains products, and how often it runs them "
                "is not known here; count its parts apart"
            )
        return tally, outputs

    def _product(self, eqn: Any, data: Flow, scope: Scope) -> tuple[_Tally, Flow]:
        name = eqn.primitive.name
        macs = PRODUCTS[name](eqn)
        batched = name == "dot_general" and bool(eqn.params["dimension_numbers"][1][0])
        both = data[0] and data[1] and name == "dot_general"
        looks_like_attention = both and (self.dataflow or batched) and WEIGHT_SCOPE not in scope
        left_out = ATTENTION_SCOPE in scope or looks_like_attention
        tally = _Tally()
        tally.add(ATTENTION_SCOPE if left_out else name, _path(scope), macs)
        return tally, [any(data)] * len(eqn.outvars)

    def _kernel(self, eqn: Any, data: Flow, scope: Scope) -> tuple[_Tally, Flow]:
        estimate = eqn.params.get("cost_estimate")
        if estimate is None:
            raise UncountableError(
                f"Pallas kernel {_kernel_name(eqn)!r}{_where(scope)} declares no cost; give its "
                "pallas_call a cost_estimate=pl.CostEstimate(flops=2 * macs, ...)"
            )
        arrays = [d for d, atom in zip(data, eqn.invars, strict=True) if _is_float_array(atom.aval)]
        activations = self.dataflow and len(arrays) >= 2 and all(arrays)
        left_out = ATTENTION_SCOPE in scope or (activations and WEIGHT_SCOPE not in scope)
        kind = ATTENTION_SCOPE if left_out else "pallas_call"
        tally = _Tally()
        tally.add(kind, _path(scope), int(estimate.flops) // 2)
        return tally, [any(data)] * len(eqn.outvars)

    def _scan(self, eqn: Any, data: Flow, scope: Scope) -> tuple[_Tally, Flow]:
        body = _open(eqn.params["jaxpr"])
        body_tally, outputs = self._loop(body, data, _carried(eqn, body), scope)
        tally = _Tally()
        tally.merge(body_tally, eqn.params["length"])
        return tally, outputs

    def _loop(self, body: Any, data: Flow, carry: slice, scope: Scope) -> tuple[_Tally, Flow]:
        """Counts a loop body once, with the flow its carry has after any number of rounds."""
        data = list(data)
        while True:
            tally, outputs = self.jaxpr(body, data, scope)
            carried = outputs[: carry.stop - carry.start]
            joined = [a or b for a, b in zip(data[carry], carried, strict=True)]
            if joined == data[carry]:
                return tally, [*joined, *outputs[len(joined) :]]
            data[carry] = joined

    def _while(self, eqn: Any, data: Flow, scope: Scope) -> tuple[_Tally, Flow]:
        test, body = _open(eqn.params["cond_jaxpr"]), _open(eqn.params["body_jaxpr"])
        test_consts, body_consts = eqn.params["cond_nconsts"], eqn.params["body_nconsts"]
        start = test_consts + body_consts
        inputs = data[test_consts:]
        body_tally, outputs = self._loop(body, inputs, slice(body_consts, len(inputs)), scope)
        test_tally, _ = self.jaxpr(test, [*data[:test_consts], *outputs], scope)
        tally = _Tally()
        if body_tally.total or test_tally.total:
            trips = self._trips(scope)
            tally.merge(body_tally, trips)
            tally.merge(test_tally, trips + 1)
        tally.uncounted |= body_tally.uncounted | test_tally.uncounted
        return tally, outputs if outputs else [any(data[start:])] * len(eqn.outvars)

    def _trips(self, scope: Scope) -> int:
        given = self.trip_counts
        if isinstance(given, int):
            return given
        for name in reversed(scope):
            if given is not None and name in given:
                return given[name]
        raise UncountableError(
            f"a while loop{_where(scope)} runs for a number of rounds known only when it runs; "
            "use lax.scan, or give trip_counts=N (or {named scope: N})"
        )

    def _cond(self, eqn: Any, data: Flow, scope: Scope) -> tuple[_Tally, Flow]:
        counted = [self.jaxpr(_open(b), data[1:], scope) for b in eqn.params["branches"]]
        flows = zip(*(outputs for _, outputs in counted), strict=True)
        platforms = eqn.params.get("branches_platforms") or ()
        if None in platforms:  # the definition; a device's own form may multiply with zeros
            found = counted[platforms.index(None)][0]
        else:
            found = max((tally for tally, _ in counted), key=lambda tally: tally.total)
        return found, [data[0] or any(flow) for flow in flows]

    def _shard_map(self, eqn: Any, data: Flow, scope: Scope) -> tuple[_Tally, Flow]:
        # The body has the shapes of one shard; every device of the manual axes runs it.
        sizes = eqn.params["mesh"].shape
        shards = size(sizes[axis] for axis in eqn.params["newly_manual_axes"])
        shard_tally, outputs = self.jaxpr(_open(eqn.params["jaxpr"]), data, scope)
        tally = _Tally()
        tally.merge(shard_tally, shards)
        return tally, outputs


def _weight_names(
    weights: int | str | Sequence[int | str], positional: int, kwargs: Mapping[str, Any]
) -> set[int | str]:
    names = {weights} if isinstance(weights, (int, str)) else set(weights)
    for name in names:
        exists = 0 <= name < positional if isinstance(name, int) else name in kwargs
        if not exists:
            raise ValueError(
                f"weights names argument {name!r}; there are {positional} positional arguments "
                f"(0 to {positional - 1}) and the keywords {sorted(kwargs)}"
            )
    return names


def _needed(jaxpr: Any) -> Any:
    """The jaxpr without what no result needs: the compiler removes that, so it costs nothing."""
    from jax.interpreters.partial_eval import dce_jaxpr

    return dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars), instantiate=True)[0]


def _carried(eqn: Any, body: Any) -> slice:
    """Which inputs of a scan's body one round hands to the next.

    Told by the shapes, since versions of JAX name it differently: what a round takes one slice of,
    or gives one of, has an axis less in the body.
    """

    def sliced(outer: Sequence[Any], inner: Sequence[Any]) -> int:
        return sum(a.aval.shape != b.aval.shape for a, b in zip(outer, inner, strict=True))

    carry = len(body.outvars) - sliced(eqn.outvars, body.outvars)
    start = len(body.invars) - sliced(eqn.invars, body.invars) - carry
    return slice(start, start + carry)


def _open(jaxpr: Any) -> Any:
    """The jaxpr without its constants, which are weights as far as the flow of data goes."""
    return jaxpr.jaxpr if hasattr(jaxpr, "consts") and hasattr(jaxpr, "jaxpr") else jaxpr


def _bodies(params: Mapping[str, Any]) -> list[Any]:
    found = []
    for value in params.values():
        for entry in value if isinstance(value, (tuple, list)) else (value,):
            entry = _open(entry)
            if hasattr(entry, "eqns"):
                found.append(entry)
    return found


def _is_call(body: Any, eqn: Any) -> bool:
    """Whether a primitive just runs its one body on its operands (jit, remat, custom_vjp, ...)."""
    if len(body.invars) != len(eqn.invars) or len(body.outvars) != len(eqn.outvars):
        return False
    inputs = zip(body.invars, eqn.invars, strict=True)
    return all(getattr(a.aval, "shape", None) == getattr(b.aval, "shape", None) for a, b in inputs)


def _holds_products(jaxpr: Any) -> bool:
    for eqn in jaxpr.eqns:
        if eqn.primitive.name in PRODUCTS or eqn.primitive.name == "pallas_call":
            return True
        if any(_holds_products(body) for body in _bodies(eqn.params)):
            return True
    return False


def _scope_names(eqn: Any) -> list[str]:
    """Names of the scopes around an equation, without the wrappers that transformations add."""
    stack = getattr(eqn.source_info.name_stack, "stack", ())
    names = [entry.name for entry in stack if type(entry).__name__ == "Scope"]
    return [name for name in names if "->" not in name]  # einsum names itself after its formula


def _kernel_name(eqn: Any) -> str:
    body = getattr(eqn.params.get("jaxpr"), "debug_info", None)
    return str(eqn.params.get("name") or getattr(body, "func_name", None) or "unnamed")


def _path(scope: Scope) -> str:
    return "/".join(scope)


def _where(scope: Scope) -> str:
    return f" in scope {_path(scope)!r}" if scope else ""


def _is_float_array(aval: Any) -> bool:
    dtype = getattr(aval, "dtype", None)
    return bool(getattr(aval, "shape", ())) and getattr(dtype, "kind", "") in ("f", "V")
