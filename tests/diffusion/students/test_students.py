"""Verdicts and claims whichever way; students in their folders and as methods; the commands."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx
from safetensors import safe_open

from tests.diffusion.conftest import random_unet
from workbench import shipped
from workbench.checkpoints import CheckpointError, open_tensors
from workbench.checkpoints.difference import BASE
from workbench.diffusion import load_pipeline
from workbench.diffusion.checkpoint import WEIGHTS, save_unet
from workbench.diffusion.conditioning import ClassTokens
from workbench.diffusion.costs import full_cost
from workbench.diffusion.digits.recipe import SCHEDULER
from workbench.diffusion.pipeline import Pipeline
from workbench.diffusion.plan import Plan as SamplingPlan
from workbench.diffusion.schedulers import save_scheduler
from workbench.diffusion.students import study, train
from workbench.diffusion.students.methods import (
    SHIPPED_FOLDER,
    ConsistencyStudent,
    OnePassStudent,
    OneStepStudent,
)
from workbench.diffusion.students.plan import SHIPPED, Arm, Plan
from workbench.diffusion.students.student import (
    Student,
    load_student,
    one_pass_cost,
    save_student,
    student_of,
)
from workbench.diffusion.students.verdict import verdicts
from workbench.diffusion.unet import UNetConfig
from workbench.study.method import MethodError

SMALL = UNetConfig(
    sample_size=16,
    in_channels=1,
    out_channels=1,
    block_out_channels=(8,),
    down_block_types=("CrossAttnDownBlock2D",),
    up_block_types=("UpBlock2D",),
    attention_head_dim=2,
    mid_block_type="UNetMidBlock2D",
    layers_per_block=1,
    norm_num_groups=2,
    cross_attention_dim=8,
)
"""One level, with one layer that attends: what compiles soon."""


def rows(**values: tuple[float, float]) -> list[dict]:
    found = []
    for seed, wobble in enumerate((0.0, 0.01, -0.01)):
        for arm, side in (("ours", 0), ("theirs", 1)):
            row = {name: pair[side] + seed + wobble * side for name, pair in values.items()}
            found.append({"arm": arm, "seed": seed, **row})
    return found


def test_verdicts_go_either_way_and_lower_is_better_of_distances() -> None:
    given = rows(agreement=(0.9, 0.5), diversity_ratio=(0.5, 0.9), toy_fid=(2.0, 5.0),
                 kernel_distance=(0.501, 0.5))  # fmt: skip
    found = {one.metric: one for one in verdicts(given, "ours", "theirs")}
    assert {name: one.better for name, one in found.items()} == {
        "agreement": "ours",
        "diversity_ratio": "theirs",
        "toy_fid": "ours",
        "kernel_distance": "",
    }
    assert found["kernel_distance"].sentence.endswith("3 seeds: not told apart")
    with pytest.raises(ValueError, match="no arm 'none'; there are ours, theirs"):
        verdicts(given, "none", "ours")


def test_one_seed_decides_nothing_and_what_has_no_seed_is_held_against_all() -> None:
    given = rows(toy_fid=(2.0, 5.0))
    (one,) = verdicts(given[:2], "ours", "theirs")
    assert (one.better, one.difference.count) == ("", 1)
    given.append({"arm": "teacher", "seed": -1, "toy_fid": 50.0})
    (one,) = verdicts(given, "ours", "teacher")
    assert (one.better, one.difference.count) == ("ours", 3)


def test_all_of_a_study_is_trained_once_and_what_ships_first() -> None:
    plan = Plan()
    order = list(study.order(plan))
    assert [arm for arm, seed in order[: len(SHIPPED)]] == list(SHIPPED)
    assert len(order) == len(set(order)) == 3 * len(plan.arms())
    for arm in (Arm("one-pass", 4, weight) for weight in study.ABLATED):
        assert {seed for one, seed in order if one == arm} == {0, 1, 2}
    assert len({arm.folder for arm in SHIPPED}) == len(SHIPPED)


@pytest.fixture(scope="module")
def teacher() -> Pipeline:
    """A tiny UNet of 16 pixels."""
    return Pipeline(
        name="tiny",
        config=SMALL,
        weights=tuple(jax.tree.leaves(nnx.split(random_unet(SMALL))[1])),
        conditioning=ClassTokens(jax.numpy.asarray(TABLE)),
        scheduler=SCHEDULER,
        weights_hash="tiny",
        steps=4,
        guidance=1.5,
        plan=SamplingPlan.full(4),
    )


TABLE = np.random.default_rng(1).normal(size=(11, 3, 8)).astype(np.float32)


def saved(pipeline: Pipeline, folder: Path, kind, passes: int) -> Student:
    _, state = nnx.split(random_unet(SMALL))
    student = student_of(pipeline, state, kind, passes)
    save_student(student, folder)
    return student


def test_a_student_is_a_folder_like_any_models(teacher: Pipeline, tmp_path: Path) -> None:
    student = saved(teacher, tmp_path / "one", "one-pass", 2)
    found = load_student(tmp_path / "one")
    assert (found.kind, found.passes, found.teacher) == ("one-pass", 2, "tiny")
    for old, new in zip(student.pipeline.weights, found.pipeline.weights, strict=True):
        np.testing.assert_allclose(new, old, atol=2e-3)
    assert Pipeline.load(tmp_path / "one").config == teacher.config
    assert found.cost == one_pass_cost(teacher.shape, 2)
    (tmp_path / "one" / "student.json").write_text('{"kind": "one-pass", "passes": 0}')
    with pytest.raises(CheckpointError, match="passes=0: needed at least 1 decoder pass"):
        load_student(tmp_path / "one")
    (tmp_path / "one" / "student.json").write_text('{"kind": "other", "passes": 1}')
    with pytest.raises(CheckpointError, match="kinds are one-pass, consistency, regression"):
        load_student(tmp_path / "one")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_student(tmp_path / "none")


def held(place: Path) -> list[str]:
    """Files of a student's weights."""
    return [file.name for file in (place / "unet").glob("*.safetensors")]


def test_a_student_beside_its_teacher_is_kept_as_a_difference(
    teacher: Pipeline, tmp_path: Path
) -> None:
    graph, state = nnx.split(random_unet(SMALL))
    base = tmp_path / "teacher"
    save_unet(nnx.merge(graph, state), base / "unet")
    draw = np.random.default_rng(0)
    arrays = [
        jax.numpy.asarray(np.asarray(leaf) + 0.03 * draw.normal(size=leaf.shape), np.float32)
        for leaf in jax.tree.leaves(state)
    ]
    student = student_of(teacher, arrays, "one-pass", 2)
    place = tmp_path / "students" / "one"
    save_student(student, place)
    assert held(place) == [WEIGHTS]
    save_student(student, place, base)
    assert held(place) == ["diffusion_pytorch_model.difference.safetensors"]
    found = load_student(place)
    assert load_pipeline(place).weights_hash == found.pipeline.weights_hash
    for old, new in zip(arrays, found.pipeline.weights, strict=True):
        assert new.dtype == np.float32
        np.testing.assert_allclose(new, old, atol=1.5e-3)
    save_student(found, tmp_path / "whole")
    again = load_student(tmp_path / "whole")
    assert held(tmp_path / "whole") == [WEIGHTS]
    for old, new in zip(found.pipeline.weights, again.pipeline.weights, strict=True):
        np.testing.assert_array_equal(new, np.asarray(old).astype(np.float16))
    save_student(found, place)
    assert held(place) == held(tmp_path / "whole")
    save_student(student, place, base)
    save_unet(random_unet(SMALL, seed=4), base / "unet")
    with pytest.raises(CheckpointError, match="put back the base it was made from"):
        load_student(place)
    save_student(student, place, base)
    assert load_student(place).pipeline.weights_hash != found.pipeline.weights_hash
    with pytest.raises(CheckpointError, match="lies in the folder"):
        save_student(student, base, base)
    with pytest.raises(CheckpointError, match="shard_bytes=9: a difference is written in one file"):
        save_unet(random_unet(SMALL), place / "unet", base=base / "unet", shard_bytes=9)


def test_students_that_ship_stand_on_the_teacher_that_ships() -> None:
    teacher = shipped.path("data/digits-unet/unet")
    base, size = open_tensors(teacher), (teacher / WEIGHTS).stat().st_size
    for arm in SHIPPED:
        folder = shipped.path(f"{SHIPPED_FOLDER}/{arm.folder}/unet")
        (file,) = folder.glob("*.safetensors")
        assert file.stat().st_size < 0.52 * size
        with safe_open(file, "numpy") as inside:
            assert inside.metadata()[BASE] == "../../../digits-unet/unet"
        student = open_tensors(folder)
        assert student.shapes == base.shapes
        apart = np.abs(student["conv_in.weight"] - base["conv_in.weight"].astype(np.float32))
        assert 0 < apart.max() < 0.2


def test_methods_say_what_they_cost_and_what_they_cannot_do(
    teacher: Pipeline, tmp_path: Path, monkeypatch
) -> None:
    for kind in (OnePassStudent, ConsistencyStudent, OneStepStudent):
        monkeypatch.setattr(kind, "place", tmp_path)
    method = OnePassStudent(passes=2)
    monkeypatch.setattr(OnePassStudent, "place", "data/no-such-students")
    assert "workbench.diffusion.students.train makes it" in method.check(teacher)[0].message
    assert method.identity()["weights"] == ""
    monkeypatch.setattr(OnePassStudent, "place", tmp_path)
    assert "workbench.diffusion.students.train makes it" in method.check(teacher)[0].message
    saved(teacher, tmp_path / "one-pass-2", "one-pass", 2)
    assert method.check(teacher) == []
    assert method.predict(teacher).macs == one_pass_cost(teacher.shape, 2).macs
    assert ConsistencyStudent(steps=3).predict(teacher).macs == 3 * full_cost(teacher.shape).macs
    assert OneStepStudent().predict(teacher).macs == full_cost(teacher.shape).macs
    student = method.prepare(teacher)
    assert (student.passes, student.name) == (2, "one pass, K = 2")
    before = method.identity()
    saved(replace(teacher, scheduler=SCHEDULER), tmp_path / "one-pass-2", "one-pass", 2)
    assert method.identity() == before
    other = replace(teacher, weights_hash="other")
    with pytest.raises(MethodError, match="made from weights tiny; tiny has other"):
        method.prepare(other)
    planned = teacher.with_plan(SamplingPlan.from_full_steps((0,), 4, "decode"))
    assert "follows a plan" in method.check(planned)[0].message


CALLS = """import json, sys
from workbench.diffusion.students import study, train
for name, *words in json.loads(sys.argv[1]):
    print("status", {"study": study, "train": train}[name].main(words), flush=True)
"""


@pytest.mark.slow
@pytest.mark.long
def test_commands_at_a_few_updates_stopped_and_gone_on_with(
    teacher: Pipeline, tmp_path: Path
) -> None:
    """In a process of its own, compiled for speed of compiling."""
    place = tmp_path / "teacher"
    save_unet(random_unet(SMALL), place / "unet")
    teacher.tokens.save(place / "class_tokens")
    save_scheduler(SCHEDULER, place / "scheduler")
    common = ["--tiny", "--teacher", str(place), "--store", str(tmp_path / "store")]
    calls = [
        ["train", *common, "--out", str(tmp_path / "students"), "--minutes", "0"],
        ["study", *common, "--out", str(tmp_path / "study"), "--seeds", "1"],
        ["train", *common, "--out", str(tmp_path / "students"), "--difference"],
    ]
    quick = {
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "true",
        "WORKBENCH_HOME": str(tmp_path / "home"),
        "PYTHONUTF8": "1",
    }
    own = {name: value for name, value in os.environ.items() if "PROMOTION" not in name}
    done = subprocess.run(
        [sys.executable, "-c", CALLS, json.dumps(calls)],
        env={**own, **quick},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=600,
    )
    statuses = [line for line in done.stdout.splitlines() if line.startswith("status")]
    assert statuses == ["status 3", "status 0", "status 0"], done.stderr[-3000:]
    assert "goes on from here" in done.stderr
    card = json.loads((tmp_path / "study" / "card.json").read_text(encoding="utf-8"))
    assert card["finished"]
    assert set(card["seconds_a_picture"]) >= {"teacher, 4 steps", "one pass, K = 2"}
    effort = (tmp_path / "study" / "effort.csv").read_text(encoding="utf-8")
    assert len(effort.splitlines()) == 1 + len(Plan().tiny().arms())
    facts = json.loads((tmp_path / "students" / train.CARD).read_text(encoding="utf-8"))
    assert set(facts["students"]) == {"one-pass-2", "consistency", "regression"}
    one = load_student(tmp_path / "students" / "one-pass-2")
    assert one.pipeline.config == teacher.config
    assert load_student(tmp_path / "students" / "consistency").kind == "consistency"


def test_bad_teachers_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for module in (train, study):
        assert module.main(["--tiny", "--teacher", str(tmp_path / "none")]) == 2
        said = capsys.readouterr().err
        assert "cannot be read" in said or "no such" in said.lower()
        assert said.count("\n") == 1
