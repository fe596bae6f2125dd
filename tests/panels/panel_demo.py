"""A lab made of tables, for tests of the panel: the compute is fake."""

import io
import time
from collections.abc import Iterator
from functools import cache
from typing import Any, Literal

import numpy as np
from PIL import Image
from skimage import data

from tests.panels.panel_demo_charts import NAMES, cost, drift, pareto
from workbench.panels.picture import (
    ClaimCard,
    ClaimRow,
    Figure,
    FiguresContent,
    ImageRow,
    ImagesContent,
    Pair,
    PairsContent,
    Picture,
    SplitContent,
    Thumb,
)
from workbench.panels.view import (
    Export,
    Hints,
    KnobGroup,
    Preset,
    Problem,
    Slot,
    StepStrip,
    Values,
    View,
)
from workbench.study.knobs import Knobs, knob

PAPER_STEPS = (0, 1, 2, 3, 5, 10, 15, 25, 35)


class Sampling(Knobs):
    sampler: Literal["ddim", "ddpm", "dpm"] = knob(
        "ddim",
        choices={"ddim": "DDIM", "ddpm": "DDPM", "dpm": "DPM-Solver++ 2M"},
        help="How one step follows from the model's answer.",
        source="Song et al. §4",
    )
    steps: int = knob(50, ge=1, le=100, step=1, help="Calls of the model.", static=True)
    guidance: float = knob(
        2.0, ge=1, le=8, step=0.1, unit="×", paper=7.5, help="Weight of the asked class.",
        source="Faster Diffusion §4",
    )  # fmt: skip


class Encoder(Knobs):
    plan: Literal["paper", "every", "own"] = knob(
        "paper",
        label="Key steps",
        choices={"paper": "50ls (paper)", "every": "Every fifth", "own": "Your own"},
        help="Steps at which the encoder runs.",
    )
    key_steps: tuple[int, ...] = knob((), label="Key steps, chosen", help="Steps run in full.")
    group: int = knob(
        15, ge=1, le=32, unit="steps", label="Largest group", paper=16,
        help="Decoder steps computed as one batch.",
    )  # fmt: skip
    noise: float = knob(
        0.003, ge=0, le=0.01, step=0.001, label="Noise injection", paper=0.003,
        help="Adds this share of the first noise before each step of the last half.",
        source="Faster Diffusion §3.4",
    )  # fmt: skip


class Inherit(Knobs):
    branch: Literal["block", "layer", "unit"] = knob(
        "layer",
        choices={"block": "Block", "layer": "Layer", "unit": "Unit"},
        help="What is computed anew at a reused step.",
    )
    interval: int = knob(5, ge=1, le=20, unit="steps", paper=5, help="Steps between full runs.")
    mode: Literal["uniform", "centre"] = knob(
        "uniform",
        label="Step mode",
        choices={"uniform": "Uniform", "centre": "Centre-dense"},
        help="Where full steps lie.",
    )
    power: float = knob(
        1.4, ge=1.0, le=2.0, step=0.1, help="How dense the centre is.",
        visible_when={"mode": "centre"},
    )  # fmt: skip


class Automatic(Knobs):
    budget: int = knob(44, ge=10, le=100, unit="%", label="Time budget", help="Share of full time.")
    shown: bool = knob(True, label="Automatic plan", help="Whether the plan is searched.")


def png(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


def photographs(size: int = 32) -> list[np.ndarray]:
    sources = [
        data.astronaut()[0:220, 110:330], data.chelsea()[50:250, 110:310],
        data.coffee()[20:380, 120:480], data.rocket()[40:340, 170:470],
        data.immunohistochemistry()[100:420, 100:420], data.astronaut()[300:512, 120:332],
        data.retina()[400:1000, 400:1000], data.coffee()[100:300, 300:500],
    ]  # fmt: skip
    return [np.asarray(Image.fromarray(s).resize((size, size), Image.LANCZOS)) for s in sources]


PHOTOS = photographs()


@cache
def worn(photo: int, amount: float = 0.0) -> bytes:
    """A photograph with noise, as PNG."""
    image = PHOTOS[photo]
    noise = np.random.default_rng(0).normal(0, 255 * amount, image.shape)
    return png(np.clip(image + noise, 0, 255).astype(np.uint8))


class DemoView(View):
    title = "Diffusion acceleration"
    study_line = "Demonstration pictures 32 × 32 · 50 DDIM steps · 8 seeds"
    groups = (
        KnobGroup("sampling", "Sampling", Sampling),
        KnobGroup("encoder", NAMES[1], Encoder, method=1),
        KnobGroup("inherit", NAMES[2], Inherit, method=2),
        KnobGroup("automatic", NAMES[3], Automatic, method=3, marks={"shown": 3}),
    )
    presets = (
        Preset("The paper’s nine key steps", {}),
        Preset("Every fifth step", {"encoder": {"plan": "every"}}),
        Preset("Half the time, best picture", {"automatic": {"budget": 50}}),
    )
    layout = (
        (Slot("pareto", "chart", 1.58), Slot("split", "split", 1.0)),
        (Slot("images", "images"),),
        (Slot("figures", "figures"),),
        (Slot("drift", "chart", 1.58), Slot("cost", "chart", 1.0)),
        (Slot("blind", "pairs"),),
    )
    exports = (
        Export("zip", "Figure and data", ".zip"),
        Export("svg", "Picture", "SVG · PNG · PDF"),
        Export("html", "Web page, works offline", ".html"),
        Export("csv", "Table", ".csv", behind=True),
        Export("json", "Settings and versions", ".json", behind=True),
    )

    def __init__(self, chunk: float = 0.01, chunks: int = 4, recorded: bool = True):
        self.chunk, self.chunks, self.recorded = chunk, chunks, recorded
        self.runs: list[Any] = []

    def check(self, values: Values) -> list[Problem]:
        encoder: Any = values["encoder"]
        if encoder.plan == "own" and 0 not in encoder.key_steps:
            message = "Step 0 must run in full: there is nothing to reuse yet"
            return [Problem("error", "key_steps", message, "encoder")]
        if encoder.group > 24:
            message = "Group of 25 needs about 5.1 GB; 3.7 GB are free. Groups are cut to 24"
            return [Problem("warn", "encoder.group", message)]
        return []

    def hints(self, values: Values) -> Hints:
        sampling: Any = values["sampling"]
        filled = self._key_steps(values)
        strip = StepStrip(
            sampling.steps,
            filled,
            f"{len(filled)} of {sampling.steps} steps run the encoder. Click a step to change it.",
            edit_sets={"plan": "own"},
        )
        return Hints(
            active=("encoder",),
            strips={"encoder.key_steps": strip},
            counts={"automatic.shown": "12 plans"},
            prices={"sampling.steps": 8},
        )

    def _key_steps(self, values: Values) -> list[int]:
        sampling, encoder = values["sampling"], values["encoder"]
        steps = sampling.steps
        if encoder.plan == "own":
            return [s for s in encoder.key_steps if s < steps]
        if encoder.plan == "every":
            return list(range(0, steps, 5))
        return [s for s in PAPER_STEPS if s < steps]

    def predict(self, values: Values) -> Picture:
        default = values == {g.id: g.knobs() for g in self.groups}
        if default and self.recorded:
            return self._picture(values, 1.0, "recorded")
        contents = self._picture(values, 0.0, "predicted").contents
        return Picture(
            {name: contents[name] for name in ("pareto", "cost", "drift", "figures")},
            claim(),
            basis="predicted",
            details=("about 1.6 s per picture",),
            device="CPU, 2 cores · float32",
        )

    def run(self, values: Values, report: Any) -> Iterator[Picture]:
        self.runs.append(values)
        for index in range(self.chunks):
            report(index, self.chunks, "Compiling for 50 steps" if index == 0 else "")
            time.sleep(self.chunk)
            if values["encoder"].group == 13:
                raise ValueError("Loss is not a number at step 372. <b>Try</b> a lower rate")
            if index == self.chunks // 2:
                yield self._picture(values, 0.5, "measured")
        yield self._picture(values, 1.0, "measured")

    def choose(self, key: str, values: Values, picture: Picture) -> Picture:
        row, seed = key.split("/")
        contents = dict(picture.contents)
        contents["split"] = self._split(int(row), int(seed))
        images: Any = contents["images"]
        contents["images"] = ImagesContent(
            images.title, images.subtitle, images.columns, images.rows, key
        )
        return Picture(
            contents, picture.claim, picture.basis, picture.details, device=picture.device
        )

    def load(self, key: str) -> dict[str, dict[str, Any]] | None:
        return {"encoder": {"group": 8}} if key.startswith("1/") else None

    def code(self, values: Values) -> str:
        return "from workbench.labs import diffusion\n"

    def export(self, kind: str, values: Values, picture: Picture) -> tuple[str, bytes]:
        return f"figure.{kind}", b"content of " + kind.encode()

    def svg(self, picture: Picture) -> str:
        return '<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"></svg>'

    # -- made-up numbers ------------------------------------------------------------------

    def _split(self, row: int, seed: int) -> SplitContent:
        return SplitContent(
            f"Seed {seed + 1}, full against accelerated",
            (worn(seed), worn(seed, 0.05 * row)),
            ("Full", NAMES[row]),
            (("PSNR", "31.2 dB"), ("SSIM", "0.971"), ("asked class", "agrees")),
        )

    def _picture(self, values: Values, share: float, basis: Any) -> Picture:
        seconds = ("2.10", "1.58", "0.78", "0.92")
        rows = [
            ImageRow(
                slot,
                name,
                f"{seconds[slot]} s · " + ("reference" if slot == 0 else f"SSIM 0.9{slot}8"),
                [
                    Thumb(worn(i, 0.04 * slot), f"seed {i + 1}, {name}", f"{slot}/{i}", slot == 1)
                    for i in range(8)
                ],
            )
            for slot, name in enumerate(NAMES)
        ]
        contents = {
            "pareto": pareto(values, basis, share),
            "split": self._split(1, 2),
            "images": ImagesContent(
                "Same seeds, four plans",
                "Columns are seeds. Click a picture to compare it above.",
                [str(i + 1) for i in range(8)],
                rows,
                "1/2",
            ),
            "figures": FiguresContent(
                [
                    Figure("Time per picture", "1.58", "s", "1.55–1.62", basis),
                    Figure("Operations", "73", "%", "from formula", "predicted"),
                    Figure("Peak memory", "412", "MiB", "409–418", basis),
                    Figure("SSIM", "0.968", "", "0.961–0.974", basis),
                    Figure("PSNR", "31.2", "dB", "30.1–32.4", basis),
                    Figure("Class agreement", "97", "%", "94–99", basis),
                ],
                "For 32 pictures with these settings",
            ),
            "drift": drift(self._key_steps(values)),
            "cost": cost(),
            "blind": PairsContent(
                "Which one would you keep?",
                "Twenty pairs, names hidden. Arrow keys choose",
                [Pair(worn(i % 8), worn(i % 8, 0.06)) for i in range(20)],
                (NAMES[0], NAMES[1]),
            ),
        }
        details = ("32 images, 1.58 s each (1.55–1.62)", "compiled in 6.4 s, kept")
        device = "CPU, 2 cores · float32 · jax 0.10.2"
        return Picture(contents, claim(), basis, details, "3 June", device)


def claim() -> ClaimCard:
    return ClaimCard(
        "Faster Diffusion, Table 1",
        "https://arxiv.org/abs/2312.09608",
        "Propagating the encoder over 50 steps leaves quality unchanged and cuts time by 41 %.",
        (
            ClaimRow("Operations", "−27 %", "−26.7 %", "reproduced", "predicted"),
            ClaimRow("Time", "−41 %", "−24.8 %", "part"),
            ClaimRow("FID change", "−0.67"),
        ),
        "part",
        "The operations agree. This CPU is already full, so grouping steps gains nothing more.",
        "Demonstration, 32 × 32, 8 seeds. Paper: SD 1.5, one GPU.",
        "Reproduced: within 1 point of the paper. In part: same sign, interval excludes 0.",
        "@article{li2023faster,\n  title = {Faster Diffusion}\n}",
    )
