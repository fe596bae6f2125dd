"""Test time: what answers cost by Kinetics' model, and what more trials are worth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from workbench.figures import numbers
from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, lines, pareto
from workbench.labs.scaling import served_models
from workbench.labs.scaling.lab_view import RECORD, ScalingView
from workbench.labs.scaling.served_models import (
    ATTENTION_SLOTS,
    ATTENTIONS,
    DENSE,
    OWN_SLOTS,
    SLOTS,
    SPARSE,
    STATE,
    recurrent,
)
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
from workbench.panels.view import KnobGroup, Preset, Problem, Slot, Values
from workbench.progress import Report
from workbench.scaling.test_time import (
    B200,
    Answer,
    Served,
    constant_state,
    coverage,
    dense,
    sparse,
)
from workbench.study.knobs import Knobs, knob

ANSWERS, OWN = "answers", "own"
TERA = 1e12
REFERENCE, FEW, RECURRENT = "8B", "8B, sparse", "Recurrent 8B"
OWN_NAME = "Yours"


class Answers(Knobs):
    """How models answer, and on what."""

    prompt: int = knob(
        256, ge=1, le=131072, scale="log", label="Prompt", unit="tok", help="Tokens of a question.",
    )  # fmt: skip
    output: int = knob(
        8192, ge=64, le=131072, scale="log", label="Answer", unit="tok",
        help="Most tokens of an answer: longer ones are cut there, cost as much, and are wrong.",
        source="Kinetics §3",
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
        help="Width of a square state in each head of each layer, in place of keys and values.",
    )  # fmt: skip


class OwnModel(Knobs):
    """A model that is none of Qwen3's."""

    shown: bool = knob(False, label="Show it", help="Beside the others, by its own shape.")
    size: float = knob(
        1.5e9, ge=1e6, le=1e13, scale="log", label="Parameters", help="Active for a token.",
        visible_when={"shown": True},
    )  # fmt: skip
    layers: int = knob(28, ge=1, le=512, label="Layers", visible_when={"shown": True})
    heads: int = knob(
        16, ge=1, le=512, label="Query heads", visible_when={"shown": True},
        help="At least as many as heads of keys.",
    )  # fmt: skip
    kv_heads: int = knob(
        8, ge=1, le=512, label="Key heads", visible_when={"shown": True},
        help="Of keys and values, which queries share.",
    )  # fmt: skip
    head_dim: int = knob(
        128, ge=8, le=1024, label="Head", visible_when={"shown": True}, help="Width of a head.",
    )  # fmt: skip


PRESETS = (
    Preset("One answer of 8 K tokens", {ANSWERS: {"output": 8192, "trials": 1}}),
    Preset("Best of 32", {ANSWERS: {"trials": 32}}),
    Preset("Computing alone", {ANSWERS: {"intensity": 1.0}}),
)


def test_time(
    trials: Any = None,
    models: Mapping[str, Served | Mapping[str, float]] | None = None,
    *,
    settings: Mapping[str, Mapping[str, Any]] | str | None = None,
) -> Panel:
    """The panel of what answers cost.

    Args:
        trials: a data frame, a row a question and model: `model`, `question`, `correct`, `trials`,
            `tokens`, and if wished `attention`; simulated ones without.
        models: shapes of models beside Qwen3's, by name: `n_params`, `layers`, `kv_heads`,
            `head_dim`, and if wished `heads`.
        settings: what "Copy settings" gave.

    Raises:
        ValueError: a column that is missing, a count that cannot be, or a model without a shape.
    """
    return Panel(AnswersView(trials, models), settings=settings)


class AnswersView(ScalingView):
    """Coverage against cost, cost against length, and its parts.

    Args:
        trials, models: see `test_time`.
    """

    title = "Test time"
    opener = "test_time"
    presets = PRESETS
    groups = (
        KnobGroup(ANSWERS, "Answers", Answers),
        KnobGroup(OWN, "A model of yours", OwnModel),
    )
    automatic = False
    verb = "Compute"
    exports = (*EXPORTS, RECORD, *others(lengths="Cost by length"))
    layout = (
        (Slot("pareto", "chart", 1.1), Slot("lengths", "chart", 1.0)),
        (Slot("figures", "figures", folds=False),),
        (Slot("parts", "table"),),
    )

    def __init__(
        self,
        trials: Any = None,
        models: Mapping[str, Served | Mapping[str, float]] | None = None,
    ) -> None:
        self.given, self.own = trials is not None, bool(models)
        self.models = served_models.served(models)
        self.trials = (
            served_models.checked(trials, self.models) if self.given else served_models.simulated()
        )
        source = "your trials" if self.given else "simulated trials, no model’s measured ability"
        self.study_line = f"Costs by formula (Kinetics, arXiv 2506.05333) · {source}"

    def arguments(self) -> list[str]:
        """Trials and models of the user's, by their names."""
        own = ["trials"] if self.given else []
        return [*own, "models=models"] if self.own else own

    def check(self, values: Values) -> list[Problem]:
        """A model of the form's that cannot be."""
        knobs = own_model(values)
        if not knobs.shown or knobs.heads >= knobs.kv_heads:
            return []
        words = f"Query heads are {knobs.heads}, fewer than the {knobs.kv_heads} heads of keys"
        return [Problem("error", "heads", words, OWN)]

    def served(self, values: Values) -> dict[str, Served]:
        """Every model, with that of the form."""
        knobs = own_model(values)
        if not knobs.shown:
            return self.models
        shape = Served(knobs.size, knobs.layers, knobs.heads, knobs.kv_heads, knobs.head_dim)
        return {**self.models, OWN_NAME: shape}

    def predict(self, values: Values) -> Picture:
        """Everything is a formula, or counted from the stored trials."""
        knobs, models = answers(values), self.served(values)
        contents: dict[str, Content] = {
            "pareto": ChartContent.of(self._pareto(knobs)),
            "lengths": ChartContent.of(lengths(knobs, models)),
            "figures": figures(knobs, models),
            "parts": parts(knobs, models),
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

    def records(self, values: Values) -> Mapping[str, Any]:
        """The cost model with every number that it was given."""
        return {
            "fit": {
                "kind": "test-time cost model",
                "source": "Kinetics, arXiv 2506.05333",
                "models": {name: asdict(model) for name, model in self.served(values).items()},
                "settings": answers(values).model_dump(mode="json"),
                "trials": "given" if self.given else f"simulated, seed {served_models.SEED}",
            }
        }

    def _pareto(self, knobs: Answers) -> Chart:
        rows = covered(self.trials, self.models, knobs)
        source = "your trials" if self.given else "simulated trials"
        alike = "" if "attention" in self.trials.columns else " · as if all three answered alike"
        return pareto(
            rows, Axis("cost", "TeFLOP a question", scale="log"),
            Axis("coverage", "Answered by one of n", unit="%", domain=(0, 100)),
            title="Larger model, or more trials?",
            subtitle=f"n to {int(self.trials['trials'].max())} of each model · {source}, cut at "
            f"{numbers.count(knobs.output)} tokens{alike}",
            slots=ATTENTION_SLOTS, height=230,
        )  # fmt: skip


def own_model(values: Values) -> OwnModel:
    """The model of the form."""
    knobs = values[OWN]
    assert isinstance(knobs, OwnModel), "the form's second group"
    return knobs


def answers(values: Values) -> Answers:
    """How models answer."""
    knobs = values[ANSWERS]
    assert isinstance(knobs, Answers), "the form's only group"
    return knobs


def covered(
    trials: Any, models: Mapping[str, Served], knobs: Answers
) -> list[dict[str, Any]]:  # fmt: skip
    """Coverage and cost for 1, 2, 4 … trials of each model with each attention.

    An answer longer than what is allowed is cut: it costs as much, and is wrong. Without a column
    `attention` the same trials stand for all three.
    """
    stored = "attention" in trials.columns
    rows = []
    for kind, title in ATTENTIONS.items():
        of_kind = trials[trials["attention"] == kind] if stored else trials
        for name, group in of_kind.groupby("model", sort=False):
            tokens = group["tokens"].to_numpy(float)
            right = np.where(tokens <= knobs.output, group["correct"].to_numpy(), 0)
            most = int(group["trials"].iloc[0])
            counts = [2**k for k in range(most.bit_length()) if 2**k <= most]
            shares = coverage(most, right, counts).mean(axis=0)
            spent, of_each = np.unique(np.minimum(tokens, knobs.output), return_counts=True)
            for n, share in zip(counts, shares, strict=True):
                costs = [answered(models[name], kind, knobs, length, n).total for length in spent]
                rows.append({
                    "method": title, "trial_id": f"{name} {kind} {n}", "label": f"{name}, n = {n}",
                    "cost": float(np.average(costs, weights=of_each)) / TERA,
                    "coverage": 100 * float(share), "predicted": True,
                })  # fmt: skip
    return rows


def answered(model: Served, kind: str, knobs: Answers, output: float, trials: float) -> Answer:
    """Cost of a question with answers of so many tokens, by the attention."""
    if kind == SPARSE:
        return sparse(model, knobs.prompt, output, knobs.budget, trials, knobs.intensity)
    if kind == STATE:
        return constant_state(recurrent(model, knobs.state), output, trials, knobs.intensity)
    return dense(model, knobs.prompt, output, trials, knobs.intensity)


def priced(
    knobs: Answers, models: Mapping[str, Served], output: float
) -> dict[str, tuple[Answer, int]]:
    """Cost of an answer of so many tokens, and the colour, by model and attention."""

    def cost(name: str, kind: str) -> Answer:
        return answered(models[name], kind, knobs, output, knobs.trials)

    found = {name: (cost(name, DENSE), slot) for name, slot in SLOTS.items()}
    found[FEW] = (cost(REFERENCE, SPARSE), ATTENTION_SLOTS[ATTENTIONS[SPARSE]])
    found[RECURRENT] = (cost(REFERENCE, STATE), ATTENTION_SLOTS[ATTENTIONS[STATE]])
    own = [(name, kind) for name in models if name not in SLOTS for kind in ATTENTIONS]
    for place, (name, kind) in enumerate(own):
        label = name if kind == DENSE else f"{name}, {ATTENTIONS[kind].lower()}"
        found[label] = (cost(name, kind), OWN_SLOTS[place % len(OWN_SLOTS)])
    return found


def lengths(knobs: Answers, models: Mapping[str, Served]) -> Chart:
    """Cost against the answer's length."""
    grid = np.geomspace(64, 131072, 34)
    rows = []
    slots: dict[str, int] = {}
    for output in grid:
        for name, (answer, slot) in priced(knobs, models, float(output)).items():
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


def figures(knobs: Answers, models: Mapping[str, Served]) -> FiguresContent:
    """What one question costs, and what sparse attention and a state save."""
    found = {name: answer for name, (answer, _) in priced(knobs, models, knobs.output).items()}
    model = found[REFERENCE]
    flat = Answer(model.linear, model.attention, model.traffic, 0.0)
    items = [
        *(Figure(f"{name}, dense", numbers.number(found[name].total / TERA), "TeFLOP",
                 f"{numbers.percent(found[name].traffic_share)} for reading", "predicted")
          for name in models),
        Figure("8B, sparse saves", numbers.number(model.total / found[FEW].total), "×",
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


def parts(knobs: Answers, models: Mapping[str, Served]) -> TableContent:
    """Weights, attention and memory of each."""
    rows: list[Sequence[Cell | str]] = []
    for name, (answer, slot) in priced(knobs, models, knobs.output).items():
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
        "constant states are ours."
    )
    return TableContent(columns, rows, "What takes the cost?", about)
