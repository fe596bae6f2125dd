"""The three losses, against the teacher's own task; the course keeps what it trained."""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.diffusion.conftest import TINY, tiny_pipeline
from workbench.datasets import digits
from workbench.diffusion.assembly.assembling import assemble
from workbench.diffusion.assembly.course import Course
from workbench.diffusion.assembly.distillation import DistillationTask, LossWeights
from workbench.diffusion.assembly.plan import Plan
from workbench.diffusion.assembly.students import Student
from workbench.diffusion.assembly.study import compositions, experts_verdict
from workbench.diffusion.assembly.train import card, write_student
from workbench.diffusion.digits.recipe import SCHEDULER, DiffusionTask
from workbench.runs import Store
from workbench.training import Recipe

RECIPE = Recipe(steps=2, batch_size=4, seed=3)


@pytest.fixture(scope="module")
def teacher(tiny_unet):
    return replace(tiny_pipeline(tiny_unet), scheduler=SCHEDULER)


def _losses(teacher, dropped, weights=None):
    task = DistillationTask(teacher, assemble(TINY, dropped), digits(8), RECIPE, weights=weights)
    params, batch, key = task.init(jax.random.key(0)), task.batch(0), jax.random.key(5)
    total, losses = jax.jit(task.loss)(params, batch, key)
    return task, float(total), {name: float(value) for name, value in losses.items()}


@pytest.mark.slow
def test_a_whole_student_has_the_teachers_task_and_nothing_to_learn(teacher):
    task, total, losses = _losses(teacher, [], LossWeights(task=2.0))
    assert losses["output"] < 1e-9 and losses["feature"] < 1e-9
    own = DiffusionTask(RECIPE, TINY, digits(8))
    params = {"unet": task.init(jax.random.key(0)), "tokens": teacher.tokens.table}
    wanted, _ = jax.jit(own.loss)(params, task.batch(0), jax.random.key(5))
    assert losses["task"] == pytest.approx(float(wanted), rel=1e-5)
    assert total == pytest.approx(2 * losses["task"])


@pytest.mark.slow
def test_a_cut_student_learns_output_and_features(teacher):
    task, total, losses = _losses(teacher, ["down.0.layer.0", "mid"])
    assert task.assembly.features == (
        ("down.0.downsample", "down.0.downsample"),
        ("down.1.layer.0", "down.1.layer.0"),
        ("up.0.upsample", "up.0.upsample"),
        ("up.1.layer.0", "up.1.layer.1"),
    )
    assert total == pytest.approx(sum(losses.values()), rel=1e-6)
    assert min(losses.values()) > 1e-3


def test_experts_are_told_apart_by_seed_pairs():
    rows = [
        {"seed": seed, "tiny-experts": 0.1 + 0.01 * seed, "tiny": 0.2 + 0.011 * seed}
        for seed in range(3)
    ]
    found = experts_verdict(rows)
    assert found["difference"][0] == pytest.approx(-0.101)
    assert found["difference"][1] < -0.101 < found["difference"][2] < 0
    assert found["verdict"].endswith("experts are better.")
    assert experts_verdict(rows[:2])["verdict"].endswith("too few seeds to tell.")


def test_compositions_have_names_of_their_own():
    names = [method.name for method in compositions()]
    assert names[0] == "teacher"
    assert len(set(names)) == len(names) == 21
    assert len({json.dumps(method.identity()) for method in compositions()}) == 21


@pytest.mark.slow
@pytest.mark.long
def test_the_course_trains_once_and_writes_what_is_read(teacher, tmp_path):
    plan = Plan(students=(Student("base"),), steps=2, batch_size=4)
    course = Course(teacher, plan, Store(tmp_path / "store"), data=digits(8))
    first = course.trained(plan.students[0], 0)
    again = Course(teacher, plan, Store(tmp_path / "store"), data=digits(8)).trained(
        plan.students[0], 0
    )
    for ours, theirs in zip(
        jax.tree.leaves(nnx.split(first.unet)[1]),
        jax.tree.leaves(nnx.split(again.unet)[1]),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert first.steps == 2 and set(first.losses) == {"loss", "task", "output", "feature"}
    (tmp_path / "out").mkdir()
    one = write_student(course, plan.students[0], first, tmp_path / "out")
    assert one["dropped"] == ["down.0.layer.0"]
    facts = {
        "data": "digits", "licence": "CC", "command": "c", "device": "CPU", "date": "d",
        "recipe": plan.recipe(0).model_dump(mode="json"),
        "teacher": {"name": "tiny", "parameters": 10, "macs": 1e6},
        "students": {"base": one},
    }  # fmt: skip
    assert "`base`, without down.0.layer.0:" in card(facts)
    assert jnp.isfinite(jnp.asarray(one["losses"]["loss"]))
