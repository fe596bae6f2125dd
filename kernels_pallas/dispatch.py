"""Which form of an op runs where. Every op has the same names of forms, and one place chooses.

    reference    the definition, a few lines of jnp
    xla          plain XLA, for any device
    mosaic_tpu   Pallas for TPU
    mosaic_gpu   Pallas for NVIDIA GPUs of compute capability 9.x and 10.x (Hopper, B200)

An op may also have a form that calls a vendor's library, under that library's name ("cudnn"), and
forms in plain XLA that only a CPU gains by, under names of their own ("im2col").

`implementation="pallas"` stands for the Pallas form of the device; "auto" takes it where there is
one that fits the inputs, then the library's or the CPU's own, else "xla". A GPU older than Hopper,
or of a kind that the kernels were never compiled for, therefore runs "xla", or the library.
"""

from __future__ import annotations

import contextlib
import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import jax
from jax.experimental.xla_metadata import set_xla_metadata

from kernels_pallas import manual, tuning

IMPLEMENTATIONS = ("auto", "reference", "xla", "pallas")
PALLAS = {"tpu": "mosaic_tpu", "gpu": "mosaic_gpu"}
"""The Pallas form of each platform."""

LIBRARIES = {"cudnn": "gpu"}
"""The platform of each library."""

_LOWERED = {"mosaic_tpu": "tpu", "mosaic_gpu": "cuda", "cudnn": "cuda"}
_HOPPER = 9
_COMPILED = (_HOPPER, 10)
"""Majors of compute capability that the compile report has devices of."""

_CAPABILITIES = {
    "GB200": (10, 0), "B200": (10, 0), "GH200": (9, 0), "H100": (9, 0), "H200": (9, 0),
    "L40": (8, 9), "A100": (8, 0),
}  # fmt: skip
"""Of devices known by name alone, when code is compiled for one that is not here."""


@dataclass(frozen=True)
class Target:
    """What code is traced for.

    Args:
        platform: "cpu", "gpu" or "tpu".
        kind: the device's name ("TPU v5 lite", "NVIDIA H100 80GB HBM3").
        capability: of an NVIDIA GPU, (major, minor).
    """

    platform: str
    kind: str
    capability: tuple[int, int] | None = None

    def pallas(self, wgmma: bool = False) -> str:
        """The Pallas form this device can run; empty where there is none.

        Args:
            wgmma: whether the form uses Hopper's matrix instruction, which later GPUs do not have.
        """
        major = (self.capability or (0, 0))[0]
        if self.platform == "gpu" and major not in ((_HOPPER,) if wgmma else _COMPILED):
            return ""
        return PALLAS.get(self.platform, "")


@dataclass(frozen=True)
class Choice:
    """One decision, as `chosen` reports it.

    Args:
        op: name of the op.
        form: which form runs.
        target: the device it was chosen for.
        why: one clause, for people.
    """

    op: str
    form: str
    target: Target
    why: str


@dataclass(frozen=True)
class Op:
    """An op's name and the forms it has beside "reference" and "xla", for choosing between them.

    Args:
        name: as in `kernels_pallas`.
        pallas: names of its Pallas forms.
        library: name of its form that calls a vendor's library, one of `LIBRARIES`.
        cpu: names of its forms for CPUs, which `tuned.json` in the op's folder has times of; they
            can run anywhere when asked for.
        wgmma: whether its form "mosaic_gpu" runs on Hopper alone.
    """

    name: str
    pallas: tuple[str, ...] = ()
    library: str = ""
    cpu: tuple[str, ...] = ()
    wgmma: bool = False

    def choose(
        self,
        implementation: str = "auto",
        *,
        interpret: bool = False,
        target: Target | None = None,
        unfit: Callable[[str], str] | None = None,
    ) -> str:
        """Returns the name of the form to run.

        Args:
            implementation: one of `IMPLEMENTATIONS`, or a form by its own name.
            interpret: whether a Pallas form runs in the interpreter, on any device.
            target: the device; what is traced for when None.
            unfit: why a form cannot take these inputs, empty where it can.

        Raises:
            ValueError: if there is no such implementation, or it cannot run here.
        """
        allowed = (*IMPLEMENTATIONS, *self.pallas, *filter(None, [self.library]), *self.cpu)
        if implementation not in allowed:
            raise ValueError(
                f"{self.name}: implementation={implementation!r} does not exist;"
                f" choose one of {list(allowed)}"
            )
        device = target or current_target()
        reason = unfit or (lambda form: "")
        if interpret and manual.checked():
            raise ValueError(
                f"{self.name}: interpret=True runs inside shard_map with check_vma=False alone"
            )
        if interpret and implementation == "auto":
            implementation = "pallas"
        if implementation == "auto":
            form, why = self._auto(device, reason)
        elif implementation in ("reference", "xla"):
            form, why = implementation, "asked for"
        else:
            form, why = self._named(implementation, device, interpret), "asked for"
            if reason(form):
                raise ValueError(f"{self.name}: implementation={implementation!r}: {reason(form)}")
        choice = Choice(self.name, form, device, why)
        for seen in _listeners.get():
            seen.append(choice)
        if _asked.get() is not None:
            raise _Answered(choice)
        return form

    def _auto(self, device: Target, reason: Callable[[str], str]) -> tuple[str, str]:
        kernel = device.pallas(self.wgmma)
        forms = [kernel] if kernel in self.pallas else []
        if LIBRARIES.get(self.library) == device.platform:
            forms.append(self.library)
        if device.platform == "cpu":
            forms += self.cpu
        reasons = [reason(form) for form in forms]
        for form, why in zip(forms, reasons, strict=True):
            if not why:
                fastest = form in self.cpu
                why = f"fastest, {tuning.basis(self.name)}" if fastest else f"runs on {device.kind}"
                return form, why
        if not reasons:
            reasons = [f"the op has no {kernel} form" if kernel else ""]
        return "xla", "; ".join(
            filter(None, dict.fromkeys(reasons))
        ) or f"no Pallas form runs on {device.kind}"

    def _named(self, implementation: str, device: Target, interpret: bool) -> str:
        if implementation in self.cpu:
            return implementation
        if implementation == self.library:
            if LIBRARIES[self.library] != device.platform:
                raise ValueError(
                    f"{self.name}: implementation={implementation!r} cannot run on {device.kind}"
                    f" ({device.platform}); use 'auto', 'xla' or 'reference' there"
                )
            return implementation
        here = device.pallas(self.wgmma)
        named = implementation if implementation != "pallas" else here
        if interpret:
            named = named or "mosaic_tpu"
        elif not named or named != here:
            raise ValueError(
                f"{self.name}: implementation={implementation!r} cannot run on {device.kind}"
                f" ({device.platform}); use 'auto', 'xla' or 'reference' there,"
                " or interpret=True to run a kernel step by step"
            )
        if named not in self.pallas:
            raise ValueError(
                f"{self.name}: there is no {named} form; it has {list(self.pallas) or 'none'}"
            )
        return named


def run(form: str, forms: Mapping[str, Callable], *arrays: Any, fixed: bool = False) -> Any:
    """Calls a form; where the program is lowered for another platform after all, the XLA one.

    Args:
        form: what `choose` returned.
        forms: a function of `arrays` for each form.
        fixed: whether the form was asked for by name, or interprets: then it is called as it is.
    """
    arrays = manual.alike(arrays)
    if fixed or form in ("reference", "xla"):
        return forms[form](*arrays)
    return jax.lax.platform_dependent(
        *arrays, default=forms["xla"], **{_LOWERED.get(form, "cpu"): forms[form]}
    )


def current_target() -> Target:
    """The device that code is traced for, or that `first_choice` asks about.

    An abstract mesh's, where there is one, else the default device, else the first.
    """
    asked = _asked.get()
    if asked is not None:
        return asked
    abstract = getattr(jax.sharding.get_abstract_mesh(), "abstract_device", None)
    if abstract is not None:
        return target_named(abstract.platform or "cpu", abstract.device_kind)
    default = getattr(jax.config, "jax_default_device", None)
    return target_of(default or jax.devices()[0])


def target_of(device: Any) -> Target:
    """The target of a device, or of a platform's first device by its name ("cpu")."""
    if isinstance(device, str):
        device = jax.devices(device)[0]
    found = target_named(device.platform, device.device_kind)
    capability = getattr(device, "compute_capability", None)
    if capability is None:
        return found
    major, _, minor = str(capability).partition(".")
    return Target(found.platform, found.kind, (int(major), int(minor or 0)))


def target_named(platform: str, kind: str) -> Target:
    """The target of a device that need not be here, by its platform and name as jax gives them."""
    known = next((pair for name, pair in _CAPABILITIES.items() if name in kind), None)
    return Target("gpu" if platform in ("cuda", "rocm") else platform, kind, known)


_asked: ContextVar[Target | None] = ContextVar("asked", default=None)
_listeners: ContextVar[tuple[list[Choice], ...]] = ContextVar("listeners", default=())


@contextlib.contextmanager
def choices() -> Iterator[list[Choice]]:
    """Collects what is chosen while the block runs; a function already traced chooses no more."""
    found: list[Choice] = []
    token = _listeners.set((*_listeners.get(), found))
    try:
        yield found
    finally:
        _listeners.reset(token)


def chosen(function: Callable, *args: Any, device: Any = None, **kwargs: Any) -> tuple[Choice, ...]:
    """The forms that the ops inside a function take, without running it.

    Args:
        function: anything that calls ops of this library, an op itself included.
        args, kwargs: arrays or `jax.ShapeDtypeStruct`; everything else is passed as it is.
        device: a device, or its platform's name; what is traced for when None.

    Raises:
        ValueError: if the function calls no op.
    """
    arrays = [leaf for leaf in jax.tree.leaves((args, kwargs)) if hasattr(leaf, "dtype")]
    # What `jax.jit` wraps takes anything; what `shard_map` wraps is another function.
    untraced = inspect.unwrap(function, stop=lambda layer: not hasattr(layer, "lower"))

    def traced(given: list[Any]) -> Any:
        filled = iter(given)
        put = jax.tree.map(
            lambda leaf: next(filled) if hasattr(leaf, "dtype") else leaf, (args, kwargs)
        )
        return untraced(*put[0], **put[1])

    place = jax.default_device(device) if device is not None else contextlib.nullcontext()
    with place, choices() as found, _anew():
        jax.eval_shape(traced, arrays)
    if not found:
        raise ValueError(_NO_OP)
    return tuple(found)


def first_choice(function: Callable, *arrays: Any, target: Target) -> Choice:
    """The form of the first op that a function calls, on a device that need not be here.

    Nothing of the form is traced, so that no compiler of the device is needed.

    Args:
        function: of `arrays`, arrays or `jax.ShapeDtypeStruct`, that calls an op of this library.
        target: the device.

    Raises:
        ValueError: if the function calls no op.
    """
    token = _asked.set(target)
    try:
        with _anew():
            jax.eval_shape(function, *arrays)
    except _Answered as answer:
        return answer.choice
    finally:
        _asked.reset(token)
    raise ValueError(_NO_OP)


_NO_OP = "the function calls no op of kernels_pallas, so there is nothing to choose"
_questions = itertools.count()


def _anew() -> contextlib.AbstractContextManager[Any]:
    """Has functions traced again that were traced before: metadata is part of a trace's key."""
    return set_xla_metadata(kernels_pallas_question=str(next(_questions)))


class _Answered(Exception):
    """Ends the tracing of a function whose first choice is known."""

    def __init__(self, choice: Choice) -> None:
        super().__init__(choice)
        self.choice = choice
