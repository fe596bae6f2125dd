"""Model assembly as a method: a smaller UNet of the subject's own blocks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from workbench.diffusion.assembly.dropping import DropError
from workbench.diffusion.assembly.presets import A_SDM, Preset, dropped_by
from workbench.diffusion.assembly.transform import NetworkTransform, unet_form, with_unet
from workbench.progress import Report, silent
from workbench.study.knobs import Knobs as BaseKnobs
from workbench.study.knobs import knob
from workbench.study.method import Problem

if TYPE_CHECKING:
    from workbench.diffusion.assembly.assembling import Assembly
    from workbench.diffusion.assembly.trained import Checkpoint
    from workbench.diffusion.pipeline import Pipeline
    from workbench.diffusion.unet.model import UNet2DCondition

CHOICES = {"base": "Base", "small": "Small", "tiny": "Tiny", "custom": "My own"}


class StudentKnobs(BaseKnobs):
    """Which student: what is dropped, and whose weights it has."""

    preset: Literal["base", "small", "tiny", "custom"] = knob(
        "base",
        help="Base: fewer layers. Small: no middle block either. Tiny: no innermost stage either.",
        source="BK-SDM §3.1; where a block has one layer, which goes is ours",
        choices=CHOICES,
    )
    dropped: str = knob(
        "",
        label="Dropped",
        help="Layers (down.1.layer.1), transformers (up.1.transformers), mid, or the innermost "
        "stage (down.3), with commas between.",
        visible_when={"preset": "custom"},
    )
    weights: Literal["distilled", "teacher"] = knob(
        "distilled",
        label="Weights",
        help="Distilled: of a student that was trained. Teacher: the teacher's own, as cut.",
        choices={"distilled": "Distilled", "teacher": "The teacher's"},
    )
    experts: int = knob(
        1,
        ge=1,
        le=8,
        label="Experts",
        help="Kernels that each 3×3 convolution of a ResNet mixes for each picture; 1 is plain.",
        source="A-SDM, abstract; how many and where is ours",
    )


class Assembled(NetworkTransform):
    """The subject's UNet with blocks dropped, recovered by distillation where one was trained."""

    name = "Model assembly"
    version = "1"
    paper = A_SDM
    Knobs = StudentKnobs

    def __init__(
        self, preset: Preset | Literal["custom"] | StudentKnobs | None = None, **values: Any
    ):
        if isinstance(preset, str):
            values["preset"] = preset
            preset = None
        super().__init__(preset, **values)

    def dropped(self, subject: Pipeline) -> tuple[str, ...]:
        """The names dropped of a subject.

        Raises:
            ValueError: a set that cannot be dropped.
        """
        return dropped_names(self.knobs, subject)

    def assembly(self, subject: Pipeline) -> Assembly:
        """What the student is made of."""
        return student_assembly(self.knobs, subject)

    def check(self, subject: Pipeline) -> list[Problem]:
        return super().check(subject) or student_problems(self.knobs, subject)

    def outline(self, subject: Pipeline) -> Pipeline:
        return replace(subject, **student_outline(self.knobs, subject))

    def prepare(self, subject: Pipeline, seed: int = 0, report: Report = silent) -> Pipeline:
        self.require(subject)
        name = f"{subject.name} {self.knobs.preset}"
        return with_unet(subject, student_unet(self.knobs, subject), name)


def dropped_names(knobs: StudentKnobs, subject: Pipeline) -> tuple[str, ...]:
    """The names that a student's settings drop of a subject.

    Raises:
        ValueError: a preset that the subject is too small for.
    """
    if knobs.preset != "custom":
        return dropped_by(unet_form(subject), knobs.preset)
    return tuple(name for part in knobs.dropped.split(",") if (name := part.strip()))


def student_assembly(knobs: StudentKnobs, subject: Pipeline) -> Assembly:
    """What the student is made of."""
    from workbench.diffusion.assembly.assembling import assemble

    return assemble(unet_form(subject), dropped_names(knobs, subject))


def student_config(knobs: StudentKnobs, subject: Pipeline) -> Any:
    """The student's form."""
    config = student_assembly(knobs, subject).config
    return type(config)(**{**dict(config), "conv_experts": knobs.experts})


def student_outline(knobs: StudentKnobs, subject: Pipeline) -> dict[str, Any]:
    """Fields of the pipeline that the student makes, its weights aside."""
    fields: dict[str, Any] = {"config": student_config(knobs, subject), "folder": ""}
    if knobs.weights == "distilled" and (found := _checkpoint(knobs, subject)) is not None:
        fields["weights_hash"] = found.facts["weights"]
    return fields


def student_unet(knobs: StudentKnobs, subject: Pipeline) -> UNet2DCondition:
    """The student with its weights; `student_problems` says what may be wrong."""
    from workbench.diffusion.assembly.experts import with_experts
    from workbench.diffusion.assembly.initial import assembled
    from workbench.diffusion.loading.writing import unet_of

    if knobs.weights == "distilled":
        found = _checkpoint(knobs, subject)
        assert found is not None, "checked before"
        return found.load()
    cut = assembled(student_assembly(knobs, subject), unet_of(subject))
    return with_experts(cut, knobs.experts)


def student_problems(knobs: StudentKnobs, subject: Pipeline) -> list[Problem]:
    """What keeps a student from being made of a subject, said before anything runs."""
    field = "dropped" if knobs.preset == "custom" else "preset"
    try:
        student_config(knobs, subject)
    except (DropError, ValueError) as error:
        return [Problem("error", field, str(error))]
    if knobs.weights == "teacher":
        return []
    found = _checkpoint(knobs, subject)
    if found is None:
        return [Problem("error", "weights", _none_trained(subject))]
    if found.teacher_hash != subject.weights_hash:
        text = f"The student was distilled from other weights than those of {subject.name}"
        return [Problem("warn", "weights", text)]
    return []


def _checkpoint(knobs: StudentKnobs, subject: Pipeline) -> Checkpoint | None:
    from workbench.diffusion.assembly.trained import matching

    names = dropped_names(knobs, subject)
    return matching(unet_form(subject), names, experts=knobs.experts)


def _none_trained(subject: Pipeline) -> str:
    """Why no trained student fits, and what would do."""
    from workbench.diffusion.assembly.trained import checkpoints

    found = checkpoints()
    teacher = next((one.teacher for one in found), None)
    instead = 'weights="teacher" takes the teacher\'s own'
    if teacher is not None and teacher != subject.config:
        field = next(n for n, value in teacher if getattr(subject.config, n) != value)
        return (
            f"{subject.name} is of another form than the teacher of the trained students: {field} "
            f"is {getattr(subject.config, field)}, not {getattr(teacher, field)}; {instead}"
        )
    names = ", ".join(one.student.name for one in found)
    return f"No such student was trained; there are {names}; {instead}"
