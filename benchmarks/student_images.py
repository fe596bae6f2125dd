"""Does a student that encodes once draw as many pictures a second as its arithmetic promises?

A one-pass student of the shipped form and its teacher's 50 guided DDIM steps draw the same batch by
turns. It has the teacher's weights, on which no time depends.

python benchmarks/student_images.py [--tiny] [--repeats N]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from record import Benchmark, Figure

if TYPE_CHECKING:
    from workbench.diffusion.pipeline import Pipeline
    from workbench.diffusion.students.student import Student

STEPS, GUIDANCE, TARGET = 50, 1.5, 0.85
BATCH, REPEATS, PASSES = 8, 7, 4
TEACHER, AGAIN = "teacher", "teacher again"


def main() -> None:
    """Teacher and student by turns."""
    more = [("--repeats", {"type": int, "default": REPEATS})]
    bench, options = Benchmark.from_command(
        __file__, "Pictures a second of a one-pass student beside its teacher's", more=more
    )
    from workbench.measure.timing import interleaved, relative_noise

    teacher, student = tiny() if bench.tiny else shipped()
    batch, repeats = (2, 2) if bench.tiny else (BATCH, options.repeats)
    timed = interleaved(runs(teacher, student, batch), repeats=repeats)
    bench.add_timings(timed)
    bench.add(*figures(bench, teacher, student, timed, batch))
    bench.raw |= {
        "batch": batch,
        "steps": teacher.steps,
        "guidance": teacher.guidance,
        "passes": student.passes,
        "noise_floor": relative_noise(timed[TEACHER].samples, timed[AGAIN].samples),
    }
    bench.finish()


def runs(teacher: Pipeline, student: Student, batch: int) -> dict[str, Callable[[], Any]]:
    """What is timed, by name: the teacher twice, for the noise of a ratio."""
    from workbench.diffusion.driver import sample

    inputs = teacher.inputs(tuple(range(batch)))
    return {
        TEACHER: lambda: sample(teacher, inputs),
        student.name: lambda: student.sample(inputs),
        AGAIN: lambda: sample(teacher, inputs),
    }


def figures(
    bench: Benchmark, teacher: Pipeline, student: Student, timed: dict[str, Any], batch: int
) -> list[Figure]:
    """Pictures a second of both, their ratio, and its share of what the arithmetic promises."""
    import numpy as np

    from workbench.diffusion.costs import plan_cost

    promised = float(plan_cost(teacher).macs or 0) / student.cost.macs
    pairs = zip(timed[TEACHER].samples, timed[student.name].samples, strict=True)
    ratios = [theirs / ours for theirs, ours in pairs]
    low, middle, high = (float(q) for q in np.quantile(ratios, (0.25, 0.5, 0.75)))
    bench.raw["promised"] = promised
    words = f"digits, batch {batch}"
    return [
        Figure(f"{words}: teacher, {teacher.steps} steps", batch / timed[TEACHER].median, "1/s"),
        Figure(f"{words}: {student.name}", batch / timed[student.name].median, "1/s"),
        Figure(f"{words}: {student.name}, speed-up", middle, "×", low, high,
               published=f"MACs promise {promised:.2f} ×"),
        Figure(f"{words}: {student.name}, share of the promised speed-up", middle / promised, "",
               low / promised, high / promised, at_least=TARGET),
    ]  # fmt: skip


def shipped() -> tuple[Pipeline, Student]:
    """The digits' teacher, and its form as a student: no time depends on what was learnt."""
    from workbench.diffusion.pipeline import Pipeline
    from workbench.diffusion.students.student import student_of
    from workbench.diffusion.students.teacher import Teacher
    from workbench.shipped import path

    teacher = Pipeline.load(path("data/digits-unet"), steps=STEPS, guidance=GUIDANCE)
    return teacher, student_of(teacher, Teacher(teacher).weights, "one-pass", PASSES)


def tiny() -> tuple[Pipeline, Student]:
    """Random weights of a few channels."""
    from plan_speedup import TINY, pipeline

    from workbench.diffusion.students.student import student_of

    teacher = pipeline(TINY).with_sampling(steps=2, guidance=GUIDANCE)
    return teacher, student_of(teacher, teacher.weights, "one-pass", PASSES)


if __name__ == "__main__":
    main()
