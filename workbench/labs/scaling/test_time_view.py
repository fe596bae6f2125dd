"""Test time: what answers cost by Kinetics' model, and what more trials are worth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from workbench.figures import numbers
from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, lines, pareto
from workbench.labs.scaling import served_models
from workbench.labs.scaling.lab_view import ScalingView
from workbench.labs.scaling.served_models import SLOTS
from workbench.panels.charted import EXPORTS, others
from workbench.panels.panel import Panel
from workbench.panels.picture import (
    Cell,
    ChartContent,
    Column,
    Content,
    Figure,
    FiguresContent,
    Picture,
    TableContent,
)
from workbench.panels.view import KnobGroup, Preset, Slot, Values
from workbench.progress import Report
from workbench.scaling.test_time import (
    B200,
    QWEN3,
    Answer,
    Served,
    constant_state,
    coverage,
    dense,
    sparse,
)
from workbench.study.knobs import Knobs, knob

ANSWERS = "answers"
TERA = 1e12
RECURRENT = "Recurrent 8B"


class Answers(Knobs):
    """How models answer, and on what."""

    prompt: int = knob(
        256, ge=1, le=131072, scale="log", label="Prompt", unit="tok", help="Tokens of a question.",
    )  # fmt: skip
    output: int = knob(
        8192, ge=64, le=131072, scale="log", label="Answer", unit="tok",
        help="Tokens of each answer in the curves; the Pareto chart takes the trials’ own lengths.",
    )  # fmt: skip
    trials: int = knob(
        1, ge=1, le=1024, scale="log", label="Trials",
        help="Answers to each question, of which the best counts.", source="Kinetics §3",
    )  # fmt: skip
    intensity: float = knob(
        B200, ge=1, le=5000, scale="log", label="FLOP an element", paper=B200,
        help="What the device computes while it reads one element; 562.5 is a B200’s, derived by "
        "us. Near 0 counts computing alone.",
    )  # fmt: skip
    budget: int = knob(
        1024, ge=16, le=131072, scale="log", label="Keys a token sees", unit="tok",
        help="Of sparse attention.", source="Kinetics §5",
    )  # fmt: skip
    state: int = knob(
        128, ge=16, le=512, label="State a head", step=16,
        help="Width of a square state in each of 32 heads and 36 layers of the recurrent model.",
    )  # fmt: skip


PRESETS = (
    Preset("One answer of 8 K tokens", {ANSWERS: {"output": 8192, "trials": 1}}),
    Preset("Best of 32", {ANSWERS: {"trials": 32}}),
    Preset("Computing alone", {ANSWERS: {"intensity": 1.0}}),
)


def test_time(
    trials: Any = None, *, settings: Mapping[str, Mapping[str, Any]] | str | None = None
) -> Panel:
    """The panel of what answers cost.

    Args:
        trials: a data frame, a row a question and model: `model`, `question`, `correct`, `trials`,
            `tokens`; simulated ones without.
        settings: what "Copy settings" gave.

    Raises:
        ValueError: a column that is missing, or a count that cannot be.
    """
    return Panel(AnswersView(trials), settings=settings)


class AnswersView(ScalingView):
    """Coverage against cost, cost against length, and its parts.

    Args:
        trials: see `test_time`.
    """

    title = "Test time"
    opener = "test_time"
    presets = PRESETS
    groups = (KnobGroup(ANSWERS, "Answers", Answers),)
    automatic = False
    verb = "Compute"
    exports = (*EXPORTS, *others(lengths="Cost by length"))
    layout = (
        (Slot("pareto", "chart", 1.1), Slot("lengths", "chart", 1.0)),
        (Slot("figures", "figures", folds=False),),
        (Slot("parts", "table"),),
    )

    def __init__(self, trials: Any = None) -> None:
        self.given = trials is not None
        self.trials = served_models.simulated() if trials is None else served_models.checked(trials)
        source = "your trials" if self.given else "simulated trials, no model’s measured ability"
        self.study_line = f"Costs by formula (Kinetics, arXiv 2506.05333) · {source}"

    def arguments(self) -> list[str]:
        """Trials of the user's have no code."""
        return ["trials"] if self.given else []

    def predict(self, values: Values) -> Picture:
        """Everything is a formula, or counted from the stored trials."""
        knobs = answers(values)
        contents: dict[str, Content] = {
            "pareto": ChartContent.of(self._pareto(knobs)),
            "lengths": ChartContent.of(lengths(knobs)),
            "figures": figures(knobs),
            "parts": parts(knobs),
        }
        details = ("costs by formula", "" if self.given else "simulated trials")
        return Picture(contents, basis="predicted", details=details)

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """The same picture: nothing here is measured."""
        report(0, 1, "Computing")
        yield self.predict(values)

    def tables(self, values: Values, picture: Picture) -> Mapping[str, Any]:
        """The stored trials."""
        return {"trials": self.trials}

    def _pareto(self, knobs: Answers) -> Chart:
        rows = covered(self.trials, knobs)
        source = "your trials" if self.given else "simulated trials"
        return pareto(
            rows, Axis("cost", "TeFLOP a question", scale="log"),
            Axis("coverage", "Answered by one of n", unit="%", domain=(0, 100)),
            title="Larger model, or more trials?",
            subtitle=f"n from 1 to {int(self.trials['trials'].max())} · {source} · joined: none "
            "beats them in both",
            slots=SLOTS, height=230,
        )  # fmt: skip


def answers(values: Values) -> Answers:
    """How models answer."""
    knobs = values[ANSWERS]
    assert isinstance(knobs, Answers), "the form's only group"
    return knobs


def covered(trials: Any, knobs: Answers) -> list[dict[str, Any]]:
    """Each model's coverage and cost for 1, 2, 4 … trials."""
    rows = []
    for name, group in trials.groupby("model", sort=False):
        most = int(group["trials"].iloc[0])
        counts = [2**k for k in range(most.bit_length()) if 2**k <= most]
        shares = coverage(most, group["correct"].to_numpy(), counts).mean(axis=0)
        length = float(group["tokens"].mean())
        for n, share in zip(counts, shares, strict=True):
            cost = dense(QWEN3[name], knobs.prompt, length, n, knobs.intensity)
            rows.append({
                "method": name, "trial_id": f"{name} {n}", "label": f"n = {n}",
                "cost": cost.total / TERA, "coverage": 100 * float(share), "predicted": True,
            })  # fmt: skip
    return rows


def recurrent(knobs: Answers) -> Served:
    """The 8B model with constant states in place of keys and values."""
    model = QWEN3["8B"]
    elements = float(model.layers * model.heads * knobs.state**2)
    return replace(model, kv_heads=0, state=elements)


def priced(knobs: Answers, output: float) -> dict[str, tuple[Answer, int]]:
    """Cost of an answer of so many tokens, and the colour, by model and attention."""
    given = knobs.prompt, output
    found = {
        name: (dense(model, *given, knobs.trials, knobs.intensity), SLOTS[name])
        for name, model in QWEN3.items()
    }
    few = sparse(QWEN3["8B"], *given, knobs.budget, knobs.trials, knobs.intensity)
    found["8B, sparse"] = (few, 4)
    flat = constant_state(recurrent(knobs), output, knobs.trials, knobs.intensity)
    found[RECURRENT] = (flat, SLOTS[RECURRENT])
    return found


def lengths(knobs: Answers) -> Chart:
    """Cost against the answer's length."""
    grid = np.geomspace(64, 131072, 34)
    rows = []
    slots: dict[str, int] = {}
    for output in grid:
        for name, (answer, slot) in priced(knobs, float(output)).items():
            slots[name] = slot
            rows.append({"method": name, "output": float(output), "cost": answer.total / TERA,
                         "predicted": True})  # fmt: skip
    rows.sort(key=lambda row: str(row["method"]))
    return lines(
        rows, Axis("output", "Tokens of an answer", scale="log", words="count"),
        Axis("cost", "TeFLOP a question", scale="log"), title="What does a long answer cost?",
        subtitle=f"{knobs.trials} trial{'s' if knobs.trials > 1 else ''}, prompt of {knobs.prompt} "
        f"tokens · sparse: {knobs.budget} keys · by formula",
        slots=slots, dashed=True, upright={numbers.count(knobs.output): float(knobs.output)},
        height=230,
    )  # fmt: skip


def figures(knobs: Answers) -> FiguresContent:
    """What one question costs, and what sparse attention and a state save."""
    found = {name: answer for name, (answer, _) in priced(knobs, knobs.output).items()}
    model = found["8B"]
    flat = Answer(model.linear, model.attention, model.traffic, 0.0)
    items = [
        *(Figure(f"{name}, dense", numbers.number(found[name].total / TERA), "TeFLOP",
                 f"{numbers.percent(found[name].traffic_share)} for reading", "predicted")
          for name in QWEN3),
        Figure("8B, sparse saves", numbers.number(model.total / found["8B, sparse"].total), "×",
               f"{knobs.budget} keys a token", "predicted"),
        Figure("A state saves", numbers.number(model.total / found[RECURRENT].total), "×",
               f"{knobs.state} × {knobs.state} a head", "predicted"),
        Figure("Memory’s part", numbers.number(model.total / flat.total), "×",
               "over computing alone", "predicted"),
    ]  # fmt: skip
    words = (
        f"A question with {knobs.trials} answer{'s' if knobs.trials > 1 else ''} of "
        f"{numbers.count(knobs.output)} tokens: on the 8B model reading keys and values makes it "
        f"{numbers.number(model.total / flat.total)} times as dear as its arithmetic."
    )
    return FiguresContent(items, "What a question costs", words)


def parts(knobs: Answers) -> TableContent:
    """Weights, attention and memory of each."""
    rows: list[Sequence[Cell | str]] = []
    for name, (answer, slot) in priced(knobs, knobs.output).items():
        cells = (answer.linear, answer.attention, answer.intensity * answer.traffic, answer.total)
        rows.append([
            Cell(name, method=slot),
            *(Cell(numbers.number(value / TERA), basis="predicted") for value in cells),
            Cell(numbers.percent(answer.traffic_share), share=answer.traffic_share, method=slot),
        ])  # fmt: skip
    heads = ("Weights", "Attention", "Reading", "Together", "Reading’s part")
    columns = [Column("Model"), *(Column(head, number=True) for head in heads)]
    about = (
        "TeFLOP a question; head counts from public configurations, unconfirmed against the paper; "
        "the recurrent model and its state are ours."
    )
    return TableContent(columns, rows, "What takes the cost?", about)
