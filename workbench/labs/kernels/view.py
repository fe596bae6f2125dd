"""The live panel of the kernel lab."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from pprint import pformat
from typing import Any, get_args

from workbench import shipped
from workbench.labs.kernels import charts, tables
from workbench.labs.kernels.devices import HERE, places
from workbench.labs.kernels.exactness import accuracy
from workbench.labs.kernels.forms import runnable
from workbench.labs.kernels.knobs import (
    GROUP,
    GROUPED,
    GROUPS,
    PRESETS,
    SIZED_BY,
    Kernel,
    kernel,
)
from workbench.labs.kernels.pictures import group_of as nearest
from workbench.labs.kernels.work import work
from workbench.measure import device, roofline, timing
from workbench.measure.memory import available_bytes
from workbench.measure.timing import Timing
from workbench.panels.charted import ChartedView
from workbench.panels.panel import Panel
from workbench.panels.picture import (
    ChartContent,
    Content,
    EmptyContent,
    Picture,
)
from workbench.panels.view import Hints, Problem, Slot, Values
from workbench.progress import Report

FOLDER = "data/kernels"
ROUNDS = 7

COPIES = 4
"""Memory that timing takes, in times of the arrays that a call reads and writes."""

LOSS, SLOWEST = 5.0, 50e9
"""Time of a call over its bound by arithmetic, and a rate where none was measured [flop/s]."""

LONGEST = 180.0
"""Seconds beyond which a shape is not timed."""

EXACT = {
    "ternary_matmul": "Codes and activations are whole numbers and are summed in int32: the "
    "product is exact at every depth up to 16 million.",
    "gated_recurrence": "One multiply-add a step in float32, in the order of the definition: "
    "there is one scheme and nothing to choose.",
    "attention": "Softmax subtracts each row’s largest score first, so that no scores overflow: "
    "there is one scheme and nothing to choose.",
    "rms_norm_quantize": "Every row is rounded to whole numbers from −128 to 127 by a scale of its "
    "own, halves to even: there is one scheme and nothing to choose.",
    "bit_linear": "Weights and activations are rounded on purpose; the product of what is left is "
    "exact, and gradients pass the rounding unchanged.",
    "block_sparse_matmul": "Kept blocks are multiplied and summed; the others are exactly zero.",
    "conv2d": "Minimal filtering adds before it multiplies, which costs some units in the last "
    "place; “auto” takes its small tiles alone, whose errors stay near those of XLA’s.",
    "grouped_conv2d": "Every form adds up the products of the definition.",
    "convfirst_block": "One op adds up what its three layers do.",
    "mbconv_block": "One op adds up what its three layers do.",
    "gated_delta_rule": "Sums of gates are never taken from each other, and the system of a chunk "
    "is inverted by doubling blocks in float32: there is one scheme and nothing to choose.",
}


def open(settings: Mapping[str, Mapping[str, Any]] | str | None = None) -> Panel:
    """The live panel of the lab; the first one on a machine starts by measuring its rates.

    Args:
        settings: what "Copy settings" gave.
    """
    panel = Panel(KernelView(), settings=settings)
    if roofline.kept("float32") is None:
        panel.run()
    return panel


class KernelView(ChartedView):
    """One op at one shape: every device's bound, and what its forms take on this machine."""

    title = "Kernels"
    study_line = "Bounds by formula for devices that are not here; times measured on this machine"
    groups = GROUPS
    presets = PRESETS
    layout = (
        (Slot("roof", "chart", 1.45), Slot("accuracy", "chart", 1.0)),
        (Slot("times", "table", folds=False),),
        (Slot("compiled", "table"),),
    )

    def __init__(self) -> None:
        self.timed: dict[Kernel, dict[str, Timing]] = {}
        self.errors: dict[str, list[dict[str, Any]]] = {}

    # -- settings ---------------------------------------------------------------------------

    def check(self, values: Values) -> list[Problem]:
        """What this machine cannot time; every device is foreseen all the same."""
        knobs = kernel(values)
        if knobs.op in GROUPED and knobs.channels % knobs.group:
            text = f"Channels of a group: {knobs.group} does not divide {knobs.channels} channels"
            return [Problem("error", "group", f"{text}; {nearest(knobs)} does", GROUP)]
        reason = _too_much(knobs)
        return [Problem("warn", SIZED_BY[knobs.op], reason, GROUP)] if reason else []

    def hints(self, values: Values) -> Hints:
        """The one group is always in use."""
        return Hints(active=(GROUP,))

    # -- pictures ---------------------------------------------------------------------------

    def predict(self, values: Values) -> Picture:
        """Every bound, from the formulas; times where these settings ran before."""
        known = bool(self.timed.get(_timing_key(kernel(values))))
        return self._picture(kernel(values), measured=known)

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """This machine's rates once, then the forms in turns, then the errors."""
        import jax

        knobs = kernel(values)
        if roofline.kept("float32") is None:
            roofline.measured("float32", report=report)
            yield self._picture(knobs, measured=False)
        if _too_much(knobs):
            yield self._picture(knobs, measured=False)
            return
        asked = work(knobs)
        arrays = asked.draw()
        thunks = {
            form: functools.partial(jax.jit(asked.call(form)), *arrays) for form in runnable(asked)
        }
        self.timed[_timing_key(knobs)] = timing.interleaved(thunks, repeats=ROUNDS, report=report)
        yield self._picture(knobs, measured=True)
        if knobs.op == "gated_linear_attention" and knobs.dtype not in self.errors:
            self.errors[knobs.dtype] = accuracy(dtype=knobs.dtype, report=report)
            yield self._picture(knobs, measured=True)

    def _picture(self, knobs: Kernel, measured: bool) -> Picture:
        asked = work(knobs)
        found = places(asked, roofline.kept("float32"), self.timed.get(_timing_key(knobs), {}))
        contents: dict[str, Content] = {
            "roof": ChartContent.of(charts.roof(asked, found, knobs.device)),
            "accuracy": self._accuracy(knobs),
            "times": tables.times(asked, found),
            "compiled": tables.compiled(_report(), asked.op, knobs.device),
        }
        return Picture(
            contents,
            basis="measured" if measured else "predicted",
            details=(asked.setting,),
            device=device.label() if measured else "",
        )

    def _accuracy(self, knobs: Kernel) -> Content:
        if knobs.op != "gated_linear_attention":
            return EmptyContent("How exact is it?", EXACT[knobs.op])
        here = self.errors.get(knobs.dtype)
        recorded = _recorded()
        where = "measured here" if here else f"recorded {recorded['date']}"
        return ChartContent.of(charts.errors(here or recorded["rows"], knobs.dtype, where))

    @property
    def file_name(self) -> str:
        """That of the first chart."""
        return "kernel-roofline"

    # -- choices ----------------------------------------------------------------------------

    def load(self, key: str) -> Mapping[str, Mapping[str, Any]] | None:
        """A clicked device becomes the one looked at."""
        known = Kernel.model_fields["device"].annotation
        return {GROUP: {"device": key}} if key in get_args(known) else None

    def code(self, values: Values) -> str:
        """Lines that draw the same roofline and time the same forms."""
        given = kernel(values).model_dump(exclude_defaults=True)
        settings = pformat({GROUP: given}, width=90)
        return "\n".join([
            "from workbench.labs import kernels",
            "",
            f"panel = kernels.open(settings={settings})",
            "panel.run()",
            "panel.wait()",
            "panel",
            "",
        ])  # fmt: skip


def _too_much(knobs: Kernel) -> str:
    """Why a shape is not timed on this machine; empty where it is."""
    cost = work(knobs).cost("xla")
    free, needed = available_bytes(), COPIES * cost.bytes_moved
    if free is not None and needed > free:
        return (
            f"Not timed here: it needs about {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are "
            "free. Choose a smaller shape to time it"
        )
    here = roofline.kept("float32")
    rate = here.flops("float32") if here else SLOWEST
    seconds = LOSS * 2 * cost.macs / rate * (ROUNDS + 2)
    if seconds > LONGEST:
        return f"Not timed here: it would take about {seconds / 60:.0f} minutes"
    return ""


def _timing_key(knobs: Kernel) -> Kernel:
    """What a timing depends on: not the roof that is drawn stronger."""
    return knobs.model_copy(update={"device": HERE})


@functools.cache
def _recorded() -> dict[str, Any]:
    return json.loads((shipped.path(FOLDER) / "accuracy.json").read_text(encoding="utf-8"))


@functools.cache
def _report() -> dict[str, Any]:
    return json.loads((shipped.path(FOLDER) / "compile_report.json").read_text(encoding="utf-8"))


__all__ = ["KernelView", "open"]
