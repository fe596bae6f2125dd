"""Pictures from prompts: one call, with the seconds of each part, and previews on the way."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.progress import Report, silent

if TYPE_CHECKING:
    from workbench.diffusion.pipeline import Inputs, Pipeline
    from workbench.study.method import Method

PARTS = ("text", "sampling", "decoding")


@dataclass(frozen=True)
class Generated:
    """Pictures and what they took.

    Args:
        images: float [B, H, W, C] in [0, 1].
        seeds: of each picture.
        seconds: of reading the text, of sampling and of decoding, all pictures together; first
            calls hold the compilation.
        settings: what the pictures were asked for, as plain values.
    """

    images: np.ndarray
    seeds: tuple[int, ...]
    seconds: Mapping[str, float]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def pictures(self) -> np.ndarray:
        """uint8 [B, H, W, C]."""
        return np.rint(255 * np.clip(self.images, 0, 1)).astype(np.uint8)

    def save(self, folder: str | Path) -> list[Path]:
        """One PNG a picture, its settings inside; no file that is there is replaced.

        Returns:
            The files: "seed-0.png" and so on, where a name is taken "seed-0-2.png".
        """
        from workbench.atomic import replace_file
        from workbench.labs.diffusion.picture_files import png_with_settings

        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        written = []
        for seed, picture in zip(self.seeds, self.pictures, strict=True):
            file = _free(place, f"seed-{seed}")
            replace_file(file, [png_with_settings(picture, {**self.settings, "seed": seed})])
            written.append(file)
        return written

    def and_then(self, more: Generated) -> Generated:
        """These pictures, then those of another part of the same run."""
        return replace(
            self,
            images=np.concatenate([self.images, more.images]),
            seeds=self.seeds + more.seeds,
            seconds={part: self.seconds[part] + more.seconds[part] for part in PARTS},
        )


def _free(folder: Path, name: str) -> Path:
    """A PNG of this name that is not there yet."""
    numbered = (f"{name}-{n}.png" for n in itertools.count(2))
    names = itertools.chain([f"{name}.png"], numbered)
    return next(folder / one for one in names if not (folder / one).exists())


Preview = Callable[[np.ndarray], np.ndarray]
"""Samples [B, H, W, C] as small uint8 pictures."""


def generate(
    pipeline: Pipeline,
    prompt: str = "",
    *,
    negative: str = "",
    seeds: int | Sequence[int] = (0,),
    method: Method | None = None,
    at_once: int = 4,
    report: Report = silent,
) -> Generated:
    """Pictures of a prompt, or of a class, for seeds.

    Args:
        pipeline: with the sampler, steps, guidance and size it shall have.
        prompt: the text; empty means the pipeline's own prompts, where it has some, by seed. A
            model of classes reads class numbers here, "3" or "0, 1, 2", one for each seed in turn;
            empty means classes take turns by seed.
        negative: what guidance moves away from; empty means the pipeline's own.
        seeds: how many from 0 on, or which.
        method: how the steps run; in full when None.
        at_once: pictures sampled together.
        report: progress; shows previews where it is given them.

    Raises:
        ValueError: for what the pipeline cannot draw, naming it.
        Cancelled: from `report`.
    """
    for made in in_parts(
        pipeline, prompt, negative=negative, seeds=seeds, method=method, at_once=at_once,
        report=report,
    ):  # fmt: skip
        last = made
    return last


def in_parts(
    pipeline: Pipeline,
    prompt: str = "",
    *,
    negative: str = "",
    seeds: int | Sequence[int] = (0,),
    method: Method | None = None,
    at_once: int = 4,
    report: Report = silent,
    preview: Preview | None = None,
) -> Iterator[Generated]:
    """`generate`, giving all that is done after each group of pictures."""
    chosen = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    if not chosen:
        raise ValueError("seeds is empty; give at least one, such as (0,)")
    settings = {
        "model": pipeline.name,
        "weights": pipeline.weights_hash,
        "prompt": prompt,
        "negative": negative or pipeline.negative,
        "sampler": type(pipeline.scheduler).__name__,
        "steps": pipeline.steps,
        "guidance": pipeline.guidance,
        "size": list(pipeline.picture_size),
        "precision": pipeline.precision.name,
        "method": "full sampling" if method is None else method.code(),
    }
    if pipeline.prompts and not prompt:
        settings["prompts by seed"] = list(pipeline.prompts)
    planned = pipeline if method is None else prepared(method, pipeline, min(at_once, len(chosen)))
    groups = [chosen[i : i + at_once] for i in range(0, len(chosen), at_once)]
    made: Generated | None = None
    for index, group in enumerate(groups):
        of = _share(report, index, len(groups))
        part = _group(planned, prompt, negative, group, of, preview)
        made = replace(part, settings=settings) if made is None else made.and_then(part)
        yield made


def prepared(method: Method, pipeline: Pipeline, at_once: int) -> Any:
    """The pipeline under a method, checked for the memory of so many pictures at once.

    Raises:
        MethodError: a method that cannot run there.
    """
    from workbench.diffusion.planned import PlannedSampling

    fitting = method.for_batch(at_once) if isinstance(method, PlannedSampling) else method
    return fitting.prepare(pipeline)


def _group(
    pipeline: Pipeline,
    prompt: str,
    negative: str,
    seeds: tuple[int, ...],
    report: Report,
    preview: Preview | None,
) -> Generated:
    from workbench.diffusion.driver import sample

    clock = _Clock(report)
    inputs = inputs_of(pipeline, prompt, negative, seeds, clock)
    made = sample(pipeline, inputs, clock, preview)
    return Generated(np.asarray(made["image"]), seeds, clock.seconds())


def inputs_of(
    pipeline: Pipeline,
    prompt: str,
    negative: str,
    seeds: tuple[int, ...],
    report: Report = silent,
) -> Inputs:
    """What sampling starts from.

    Raises:
        ValueError: a text for a model of classes, or a class it does not have.
    """
    if pipeline.reads_text:
        own = None if pipeline.prompts else ""
        away = negative or None
        return pipeline.inputs(seeds, prompts=prompt or own, negative=away, report=report)
    if negative:
        raise ValueError(f"Negative prompt: {pipeline.name} reads classes, not text")
    return pipeline.inputs(seeds, labels_of(pipeline, prompt, seeds))


def labels_of(pipeline: Pipeline, prompt: str, seeds: tuple[int, ...]) -> tuple[int, ...] | None:
    """Class numbers written as a prompt, in turn; None where there are none."""
    words = [word for word in prompt.replace(",", " ").split() if word]
    if not words:
        return None
    last = int(getattr(pipeline.conditioning, "classes", 0)) - 1
    wrong = next((w for w in words if not (w.isdecimal() and int(w) <= last)), None)
    if wrong is not None:
        raise ValueError(
            f"Prompt: {pipeline.name} draws classes 0 to {last}, by number. You gave {wrong!r}"
        )
    return tuple(int(words[i % len(words)]) for i in range(len(seeds)))


class _Clock:
    """Passes reports on and keeps the time at which each part began.

    Reports of a run are, in order: the text's, those of the steps ("sampling"), and where there is
    a VAE those of "decoding".
    """

    def __init__(self, report: Report) -> None:
        self.report, self.began = report, {"text": time.perf_counter()}

    def __call__(self, done: int, total: int, note: str = "", preview: Any = None) -> None:
        if note in PARTS:
            self.began.setdefault(note, time.perf_counter())
        self.report(done, total, note, preview)

    def seconds(self) -> dict[str, float]:
        """Seconds of each part up to now."""
        end = time.perf_counter()
        decoding = self.began.get("decoding", end)
        sampling = self.began.get("sampling", decoding)
        return {
            "text": sampling - self.began["text"],
            "sampling": decoding - sampling,
            "decoding": end - decoding,
        }


def _share(report: Report, index: int, count: int) -> Report:
    """Reports of one group among several, with what the group is said."""

    def inner(done: int, total: int, note: str = "", preview: Any = None) -> None:
        where = f", group {index + 1} of {count}" if count > 1 else ""
        steps = f"{note[:1].upper()}{note[1:]} {done} of {total}{where}" if total > 1 else note
        if note == "sampling":  # the steps are the work; the rest counts as its ends
            report(index * total + done, count * total, steps, preview)
        else:
            report(index, count, steps, preview)

    return inner
