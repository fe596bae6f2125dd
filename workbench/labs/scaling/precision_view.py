"""Precision: which bits are best under a memory cap, and how much of training to quantise."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from workbench.figures import numbers
from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, lines
from workbench.labs.scaling.lab_view import RECORD, ScalingView
from workbench.labs.scaling.precision_form import (
    GROUPS,
    PRESETS,
    Precision,
    capped,
    quantising,
)
from workbench.panels.charted import EXPORTS, others
from workbench.panels.panel import Panel
from workbench.panels.picture import ChartContent, Content, Figure, FiguresContent, Picture
from workbench.panels.view import Slot, Values
from workbench.progress import Report
from workbench.scaling.laws.precision import PrecisionLaw, best_bits
from workbench.scaling.presets import PRESETS as PUBLISHED
from workbench.scaling.presets import UNCONFIRMED_WORDS, as_json
from workbench.scaling.presets import Preset as PublishedLaw
from workbench.scaling.solver import in_float64

QAT = PUBLISHED["qat-fraction"]
"""The published share of quantisation-aware training."""

PTQ = PUBLISHED["kumar-ptq"]
"""What quantising after training loses, as published."""

LARGEST_SIZE, LARGEST_DATA = 1.76e9, 26e9
"""Parameters and tokens of the largest runs behind the law."""

BITS = np.arange(1.0, 16.01, 0.25)
SLOTS = {"loss": 0, "share": 2, "all parts": 1, "weights alone": 3}

JOINED = "\u00a0"
"""A space at which no name is broken."""

MISS = 0.091
"""Mean absolute error of the published share, over its configurations."""


def precision(settings: Mapping[str, Mapping[str, Any]] | str | None = None) -> Panel:
    """The panel of bits, memory and quantisation-aware training, from published laws.

    Args:
        settings: what "Copy settings" gave.
    """
    return Panel(PrecisionView(), settings=settings)


class PrecisionView(ScalingView):
    """Loss against bits for weights that fill a memory; what memory buys; share of QAT."""

    title = "Precision and QAT"
    study_line = (
        f"Published laws: Kumar et al. 2024, appendix K; {QAT.source}{QAT.mark} · "
        f"{UNCONFIRMED_WORDS}"
    )
    opener = "precision"
    groups = GROUPS
    presets = PRESETS
    automatic = False
    verb = "Compute"
    exports = (
        *EXPORTS, RECORD,
        *others(memory="Loss by memory", kept="Parameters kept", share="Share of QAT"),
    )  # fmt: skip
    layout = (
        (Slot("bits", "chart", 1.1), Slot("memory", "chart", 1.0)),
        (Slot("figures", "figures", folds=False),),
        (Slot("kept", "chart", 1.0), Slot("share", "chart", 1.1)),
    )

    def predict(self, values: Values) -> Picture:
        """Everything is a formula."""
        knobs, training = capped(values), quantising(values)
        losses = under_cap(knobs.cap, knobs.tokens, knobs.parts)
        best = int(np.argmin(losses))
        law = _law()
        contents: dict[str, Content] = {
            "bits": ChartContent.of(_bits(knobs, losses)),
            "memory": ChartContent.of(_memory(knobs, best)),
            "figures": self._figures(values, losses, best),
            "kept": ChartContent.of(_kept(law)),
            "share": ChartContent.of(_share(training.size, training.tokens, training.bits)),
        }
        size = _size(knobs.cap, BITS[best])
        beyond = max(size / LARGEST_SIZE, knobs.tokens / LARGEST_DATA)
        far = f"{numbers.number(beyond, 2)} times beyond the law’s runs" if beyond > 1 else ""
        return Picture(contents, basis="predicted", details=("published laws", far))

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """The same picture: nothing here is measured."""
        report(0, 1, "Computing")
        yield self.predict(values)

    def records(self, values: Values) -> Mapping[str, Any]:
        """The published laws behind every figure."""
        return {"fit": as_json("kumar", "kumar-ptq", "qat-fraction")}

    def _figures(self, values: Values, losses: NDArray[np.float64], best: int) -> FiguresContent:
        knobs, training = capped(values), quantising(values)
        size = _size(knobs.cap, BITS[best])
        law = _law()
        part = _share_of(training.size, training.tokens, training.bits)
        full = losses[-1] - losses[best]
        near = BITS[losses <= losses[best] + 0.001]
        within = f"within 0.001: {near.min():g} – {near.max():g}"
        s = _tokens_per_byte(training.size, training.tokens, training.bits)
        figures = [
            Figure("Best bits", f"{BITS[best]:g}", "bits", within, "predicted"),
            Figure("Parameters that fit", numbers.count(size), "", "from formula", "predicted"),
            Figure("Loss", f"{losses[best]:.3f}", "nats",
                   f"{numbers.number(full, 2)} less than at 16 bits", "predicted"),
            Figure("Best bits by cost", f"{best_bits(law.params, _form(law)):.1f}", "bits",
                   "training cost as N D P", "predicted"),
            Figure(f"Share of QAT{QAT.mark}", numbers.percent(part), "",
                   f"± {100 * MISS:.0f} points, mean error", "predicted"),
            Figure("Tokens a byte", numbers.number(s), "", "S = D / (N bits / 8)", "predicted"),
            Figure(f"Lost by PTQ{PTQ.mark}", numbers.number(
                       lost(training.size, training.tokens, training.bits), 2),
                   "nats", f"to {training.bits} bits, after training", "predicted"),
        ]  # fmt: skip
        words = (
            f"{numbers.setting(knobs.cap)} GiB of weights, {numbers.count(knobs.tokens)} tokens: "
            f"{numbers.count(size)} parameters of {BITS[best]:g} bits, which this law says of any "
            "memory and data; a run of "
            f"{numbers.count(training.tokens)} tokens should spend {numbers.percent(part)} of them "
            f"quantised to {training.bits} bits{QAT.mark}."
        )
        return FiguresContent(figures, "What the published laws say", words)


def under_cap(cap: float, tokens: float, parts: str) -> NDArray[np.float64]:
    """The law's loss at each of `BITS`, with as many parameters as fit the memory.

    Args:
        cap: GiB of weights.
        tokens: of training.
        parts: `w` for weights alone, `all` for the same bits everywhere.
    """
    found: NDArray[np.float64] = under_caps(np.asarray([cap]), tokens, parts)[0]
    return found


def under_caps(caps: NDArray[np.float64], tokens: float, parts: str) -> NDArray[np.float64]:
    """`[caps, bits]` losses, as of `under_cap`."""
    bits = np.tile(BITS, len(caps))
    size = _size(np.repeat(caps, len(BITS)), bits)
    return _losses(size, np.full(len(bits), tokens), bits, parts).reshape(len(caps), -1)


def _size(cap: Any, bits: Any) -> Any:
    return cap * 2**30 * 8 / bits


def _law() -> PublishedLaw:
    return PUBLISHED["kumar"]


def _form(law: PublishedLaw) -> PrecisionLaw:
    assert isinstance(law.law, PrecisionLaw), "the preset's form"
    return law.law


@in_float64
def _losses(size: Any, tokens: Any, bits: Any, parts: str) -> NDArray[np.float64]:
    law = _law()
    other = bits if parts == "all" else np.full_like(bits, 16.0)
    columns = {"n_params": size, "n_tokens": tokens, "bits_w": bits, "bits_a": other,
               "bits_kv": other}  # fmt: skip
    runs = {name: jnp.asarray(value) for name, value in columns.items()}
    return np.asarray(_loss(_form(law), dict(law.params), runs))


@functools.partial(jax.jit, static_argnames=("form",))
def _loss(form: PrecisionLaw, params: dict[str, float], runs: dict[str, Any]) -> Any:
    return form.predict(params | form.derived(params), runs)


def _bits(knobs: Precision, losses: NDArray[np.float64]) -> Chart:
    best = int(np.argmin(losses))
    shown = losses < losses[best] * 1.6
    rows = [
        {"method": "loss", "bits": float(b), "loss": float(value), "predicted": True}
        for b, value in zip(BITS[shown], losses[shown], strict=True)
    ]
    return lines(
        rows, Axis("bits", "Bits of a weight"), Axis("loss", "Loss (nats a token)"),
        title="How many bits are best in this memory?",
        subtitle=f"{numbers.setting(knobs.cap)} GiB, {numbers.count(knobs.tokens)} tokens · by "
        "formula",
        slots=SLOTS, upright={f"least: {BITS[best]:g} bits": float(BITS[best])}, height=220,
    )  # fmt: skip


def _memory(knobs: Precision, best: int) -> Chart:
    caps = np.geomspace(knobs.cap / 30, knobs.cap * 30, 25)
    losses = under_caps(caps, knobs.tokens, knobs.parts)
    drawn = dict.fromkeys([float(BITS[best]), 4.0, 8.0, 16.0])
    rows = [
        {"method": f"{bits:g}{JOINED}bits", "cap": float(cap), "loss": float(row[bits == BITS][0]),
         "predicted": True}
        for bits in sorted(drawn) for cap, row in zip(caps, losses, strict=True)
        if row[bits == BITS][0] < 1.8 * losses.max(axis=0)[best]
    ]  # fmt: skip
    slots = {f"{bits:g}{JOINED}bits": place for place, bits in enumerate(drawn)}
    edge = LARGEST_SIZE * BITS[best] / 8 / 2**30
    beyond = edge if caps[0] < edge < caps[-1] else None
    return lines(
        rows, Axis("cap", "Memory for weights (GiB)", scale="log"),
        Axis("loss", "Loss (nats a token)"), title="What does memory buy at each width?",
        subtitle=f"{numbers.count(knobs.tokens)} tokens · hatched: larger than the law’s runs",
        slots=slots, upright={"this memory": knobs.cap}, extrapolated=beyond, height=220,
    )  # fmt: skip


def _kept(law: PublishedLaw) -> Chart:
    form, values = _form(law), law.params

    @in_float64
    def kept(parts: Sequence[str]) -> NDArray[np.float64]:
        bits = {part: jnp.asarray(BITS if part in parts else np.full_like(BITS, 16.0))
                for part in form.parts}  # fmt: skip
        return np.asarray(form.kept(values, bits))

    rows = [
        {"method": name, "bits": float(b), "kept": float(100 * share), "predicted": True}
        for name, parts in (("all parts", form.parts), ("weights alone", ("w",)))
        for b, share in zip(BITS, kept(parts), strict=True)
    ]
    return lines(
        rows, Axis("bits", "Bits"), Axis("kept", "Effective parameters", unit="%", domain=(0, 100)),
        title="How much of a parameter is left?", subtitle="N effective over N · by formula",
        slots=SLOTS,
    )  # fmt: skip


def _tokens_per_byte(size: float, tokens: float, bits: float) -> float:
    return tokens / (size * bits / 8)


@in_float64
def _shares(tokens_per_byte: NDArray[np.float64]) -> NDArray[np.float64]:
    found = QAT.law.predict(QAT.params, {"tokens_per_byte": jnp.asarray(tokens_per_byte)})
    return np.asarray(found)


@in_float64
def lost(size: float, tokens: float, bits: float) -> float:
    """Nats a token that quantising the weights after training costs, by the published law."""
    runs = {"n_params": size, "n_tokens": tokens, "bits_post": bits}
    columns = {name: jnp.asarray([value], float) for name, value in runs.items()}
    return float(PTQ.law.predict(PTQ.params, columns)[0])


def _share_of(size: float, tokens: float, bits: float) -> float:
    return float(_shares(np.asarray([_tokens_per_byte(size, tokens, bits)]))[0])


def _share(size: float, tokens: float, bits: int) -> Chart:
    data = np.geomspace(tokens / 100, tokens * 100, 41)
    shares = 100 * _shares(np.asarray([_tokens_per_byte(size, t, bits) for t in data]))
    rows = [
        {"method": "share", "tokens": float(t), "share": float(f), "predicted": True,
         "low": max(0.0, float(f) - 100 * MISS), "high": min(100.0, float(f) + 100 * MISS)}
        for t, f in zip(data, shares, strict=True)
    ]  # fmt: skip
    return lines(
        rows, Axis("tokens", "Tokens of training", scale="log", words="count"),
        Axis("share", "Tokens under QAT", unit="%"), title="How much of training to quantise?",
        subtitle=f"{numbers.count(size)} parameters, {bits} bits{QAT.mark} · band: the paper’s "
        f"mean error, 9 points · rule: the usual tenth · {UNCONFIRMED_WORDS}",
        slots=SLOTS, level=10.0, upright={numbers.count(tokens): tokens},
    )  # fmt: skip
