"""The loop: it learns, averages, reports, stops, and says when a loss is not a number."""

import errno
import math
import shutil
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from tests.training.line import RECIPE, Line, silent
from workbench.runs import Run, Store, StoreFull
from workbench.training import Checkpoints, FunctionTask, NotANumber, Recipe, train


class Cancelled(Exception):
    pass


def equal(a: Any, b: Any) -> bool:
    same = jax.tree.map(lambda x, y: bool((np.asarray(x) == np.asarray(y)).all()), a, b)
    return all(jax.tree.leaves(same))


def test_it_learns_and_the_history_says_so() -> None:
    recipe = Recipe(steps=300, learning_rate=0.05, log_every=50, ema_decay=0.95)
    result = train(Line(), recipe, report=silent)
    assert list(result.history["step"]) == [50, 100, 150, 200, 250, 300]
    assert result.history["loss"].iloc[-1] < 1e-3
    assert {"mae", "learning_rate", "gradient_norm"} <= set(result.history.columns)
    np.testing.assert_allclose(result.weights["w"], np.ones((4, 3)), atol=0.05)
    assert result.evaluation["bias"] < 0.05
    assert result.run is None and result.resumed_from == 0


def test_one_update_is_adamw_as_written_by_hand() -> None:
    recipe = Recipe(steps=1, learning_rate=0.1, clip_norm=0.5, weight_decay=0.1, log_every=1)
    task = Line()
    result = train(task, recipe, report=silent)
    init_key, step_key = jax.random.split(jax.random.key(0))
    first = task.init(init_key)
    key = jax.random.fold_in(step_key, 0)
    gradients = jax.grad(lambda p: task.loss(p, task.batch(0), key)[0])(first)
    norm = optax.tree.norm(gradients)
    assert float(norm) > 0.5
    np.testing.assert_allclose(result.history["gradient_norm"][0], norm, rtol=1e-5)
    clipped = jax.tree.map(lambda g: g * (0.5 / norm), gradients)
    # The first Adam step is g / (|g| + eps); only the matrix decays.
    w = first["w"] - 0.1 * (jnp.sign(clipped["w"]) + 0.1 * first["w"])
    b = first["b"] - 0.1 * jnp.sign(clipped["b"])
    np.testing.assert_allclose(result.params["w"], w, rtol=1e-4)
    np.testing.assert_allclose(result.params["b"], b, rtol=1e-4)


def test_average_follows_its_equation() -> None:
    one = train(Line(), RECIPE.model_copy(update={"steps": 4, "warmup": 0}), report=silent)
    init_key, _ = jax.random.split(jax.random.key(0))
    ema = np.asarray(Line().init(init_key)["w"])
    assert not np.allclose(one.ema["w"], one.params["w"])
    seen: list[np.ndarray] = []

    class Watched(Line):
        def evaluate(self, params: Any) -> dict[str, float]:
            seen.append(np.asarray(params["w"]))
            return {}

    recipe = RECIPE.model_copy(update={"steps": 4, "warmup": 0, "evaluate_every": 1})
    train(Watched(), recipe.model_copy(update={"ema_decay": None}), report=silent)
    for step, w in enumerate(seen, start=1):
        decay = min(0.9, (1 + step) / (10 + step))
        ema = decay * ema + (1 - decay) * w
    np.testing.assert_allclose(one.ema["w"], ema, rtol=1e-5)


def test_rows_are_those_asked_for_and_evaluations_join_them() -> None:
    recipe = RECIPE.model_copy(update={"log_every": 7, "evaluate_every": 7})
    history = train(Line(), recipe, report=silent).history
    assert list(history["step"]) == [7, 14, 20]
    assert list(history["evaluation.bias"].notna()) == [True, True, False]


@pytest.mark.parametrize(
    "log_every", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (6, 1000))]
)
def test_nan_names_step_and_last_good_checkpoint(tmp_path: Path, log_every: int) -> None:
    recipe = RECIPE.model_copy(update={"log_every": log_every})
    with pytest.raises(NotANumber) as caught:
        train(Line(poison=13), recipe, report=silent, folder=tmp_path / "run")
    message = "Loss is not a number at step 13. Last good checkpoint: step 10"
    assert str(caught.value) == message
    run = Run(tmp_path / "run")
    assert run.status.state == "failed" and message in run.status.error
    assert sorted(int(place.name) for place in run.checkpoints.iterdir()) == [5, 10]
    well = train(Line(), recipe, report=silent, folder=tmp_path / "run")
    assert well.resumed_from == 10
    assert equal(well.params, train(Line(), recipe, report=silent).params)


def test_a_gradient_that_is_not_a_number_is_told_apart() -> None:
    task = FunctionTask(
        init=lambda key: {"w": jnp.zeros((2, 2))},
        loss=lambda params, batch, key: (jnp.sqrt(jnp.sum(params["w"])), {}),
        batch=lambda step: np.zeros((1,), np.float32),
    )
    with pytest.raises(NotANumber, match="Gradient is not a number at step 1. .*: none"):
        train(task, Recipe(steps=30), report=silent)


@pytest.mark.slow
def test_stop_keeps_the_work_and_the_next_call_goes_on(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def stop_at_8(done: int, total: int, note: str = "") -> None:
        if done >= 8:
            raise Cancelled

    recipe = RECIPE.model_copy(update={"steps": 400})
    with pytest.raises(Cancelled):
        train(Line(), recipe, report=stop_at_8, store=store)
    (row,) = store.table().to_dict("records")
    assert row["state"] == "stopped" and row["step"] >= 8
    result = train(Line(), recipe, report=silent, store=store)
    assert result.resumed_from == row["step"]
    whole = train(Line(), recipe, report=silent)
    assert equal((result.params, result.ema), (whole.params, whole.ema))
    assert result.history.equals(whole.history)


@pytest.mark.slow
def test_finished_run_is_read_and_not_trained_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = train(Line(), RECIPE, report=silent, store=store)

    class Untrainable(Line):
        def batch(self, step: int) -> Any:
            raise AssertionError("trained again")

    again = train(Untrainable(), RECIPE, report=silent, store=store)
    assert equal((first.params, first.ema), (again.params, again.ema))
    assert first.history.equals(again.history) and first.evaluation == again.evaluation
    assert again.resumed_from == 20 and len(store.runs()) == 1
    anew = train(Line(), RECIPE, report=silent, store=store, resume=False)
    assert anew.resumed_from == 0 and equal(anew.params, first.params)
    assert anew.run is not None
    shutil.rmtree(anew.run.checkpoints)
    cleared = train(Line(), RECIPE, report=silent, store=store)
    assert cleared.resumed_from == 0 and equal(cleared.params, first.params)
    other = RECIPE.model_copy(update={"seed": 1})
    train(Line(), other, report=silent, store=store)
    assert len(store.runs()) == 2


def test_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    train(Line(), RECIPE, report=silent, folder=tmp_path / "a")
    other = RECIPE.model_copy(update={"learning_rate": 0.5})
    with pytest.raises(ValueError, match=r"learning_rate is 0.03 there, 0.5 here"):
        train(Line(), other, report=silent, folder=tmp_path / "a")


def test_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    train(Line(), RECIPE, report=silent, folder=tmp_path / "a")

    class Wider(Line):  # says it is the same, and is not
        def init(self, key: Any) -> Any:
            return {"w": jnp.zeros((4, 5)), "b": jnp.zeros((5,))}

    with pytest.raises(ValueError, match=r"shape"):
        train(Wider(), RECIPE, report=silent, folder=tmp_path / "a")


@pytest.mark.slow
def test_nnx_state_trains_and_resumes(tmp_path: Path) -> None:
    graph, _ = nnx.split(nnx.Linear(4, 3, rngs=nnx.Rngs(0)), nnx.Param)

    class Net(Line):
        def init(self, key: Any) -> Any:
            return nnx.split(nnx.Linear(4, 3, rngs=nnx.Rngs(key)), nnx.Param)[1]

        def loss(self, params: Any, batch: Any, key: Any) -> Any:
            return jnp.mean((nnx.merge(graph, params)(batch[0]) - batch[1]) ** 2), {}

        evaluate = None

    def stop(done: int, total: int, note: str = "") -> None:
        if done >= 6:
            raise Cancelled

    recipe = RECIPE.model_copy(update={"steps": 200})
    with pytest.raises(Cancelled):
        train(Net(), recipe, report=stop, folder=tmp_path / "n")
    result = train(Net(), recipe, report=silent, folder=tmp_path / "n")
    assert result.resumed_from >= 6
    whole = train(Net(), recipe, report=silent)
    leaves = zip(jax.tree.leaves(result.params), jax.tree.leaves(whole.params), strict=True)
    assert all((a == b).all() for a, b in leaves)
    assert isinstance(result.params, nnx.State)


def test_bad_tasks_are_told_what_is_wrong() -> None:
    class Counter(Line):
        def init(self, key: Any) -> Any:
            return {"count": jnp.zeros((2,), jnp.int32)}

    class Vector(Line):
        def loss(self, params: Any, batch: Any, key: Any) -> Any:
            return jnp.zeros((3,)), {}

    class Bare(Line):
        def loss(self, params: Any, batch: Any, key: Any) -> Any:
            return jnp.zeros(())

    with pytest.raises(TypeError, match=r"Counter.init: leaf \['count'\] is int32"):
        train(Counter(), RECIPE, report=silent)
    with pytest.raises(ValueError, match=r"Vector.loss: loss has shape \(3,\)"):
        train(Vector(), RECIPE, report=silent)
    with pytest.raises(TypeError, match="must return"):
        train(Bare(), RECIPE, report=silent)
    with pytest.raises(ValueError, match="warmup=50: must be below steps=20"):
        Recipe(steps=20, warmup=50)


def test_callers_arrays_survive_donation() -> None:
    mine = {"w": jnp.ones((4, 3)), "b": jnp.zeros((3,))}

    class Given(Line):
        def init(self, key: Any) -> Any:
            return mine

    train(Given(), RECIPE, report=silent)
    assert float(mine["w"].sum()) == 12


def test_report_goes_up_to_the_end_and_the_host_does_not_wait_each_step() -> None:
    seen: list[int] = []
    train(Line(), RECIPE, report=lambda done, total, note="": seen.append(done))
    assert seen == sorted(seen) and seen[-1] == 20


def test_plain_use_draws_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    train(Line(), RECIPE, title="a line")
    shown = capsys.readouterr().err
    assert "a line" in shown and "20/20" in shown and math.isfinite(float(shown.split()[-1][:-1]))


def test_a_disk_that_is_full_at_the_end_is_told_as_any_other(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    checkpointer = checkpoints._open()

    class Full:
        def close(self) -> None:
            checkpointer.close()
            raise OSError(errno.ENOSPC, "metadata")

    checkpoints._checkpointer = Full()
    with pytest.raises(StoreFull, match="What was saved before is intact"):
        checkpoints.close()
    checkpoints.close()


# Orbax closes its event loop before all of its failed writes have reported to it ("Event loop is
# closed"): noise from inside it, after the error that counts has been raised.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("small_disk", ["2m"], indirect=True)
def test_a_full_disk_keeps_the_checkpoints_there_are(small_disk: Path) -> None:
    ballast = small_disk / "ballast"

    class Filling(Line):
        def batch(self, step: int) -> Any:
            if step == 12:
                run = Run(small_disk / "run")
                while 10 not in {int(p.name) for p in run.checkpoints.glob("[0-9]*")}:
                    time.sleep(0.01)
                free = shutil.disk_usage(small_disk).free
                ballast.write_bytes(b"x" * (free - 12_000))
            return super().batch(step)

    with pytest.raises(StoreFull, match="What was saved before is intact"):
        train(Filling(), RECIPE, report=silent, folder=small_disk / "run")
    ballast.unlink()
    result = train(Line(), RECIPE, report=silent, folder=small_disk / "run")
    assert result.resumed_from == 10
    assert equal(result.params, train(Line(), RECIPE, report=silent).params)
