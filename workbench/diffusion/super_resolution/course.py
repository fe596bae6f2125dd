"""The course of training: the 8x autoencoder, the transfer to 4x, rivals, teacher, restorers.

Every run is kept in a store and done once; one that was stopped goes on. The rivals are 8x
autoencoders that go through the same two stages on the same pictures, from the weights there are:
one for as many updates as the 4x transfer, one for as many multiply-adds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from workbench.diffusion.super_resolution.arithmetic import update_macs
from workbench.diffusion.super_resolution.autoencoding import (
    AutoencoderTask,
    DecoderTask,
    EncoderTask,
    Reading,
    check_teacher,
)
from workbench.diffusion.super_resolution.growing import Tuned, grown, tuned
from workbench.diffusion.super_resolution.networks import Network, fresh
from workbench.diffusion.super_resolution.pictures import Pictures, pictures
from workbench.diffusion.super_resolution.plan import BASE_SEED, Plan
from workbench.diffusion.super_resolution.restoring import RestoringTask, TeacherTask
from workbench.diffusion.vae import AutoencoderConfig
from workbench.progress import Report, silent
from workbench.runs import Store
from workbench.training import Result, train

Equal = Literal["updates", "multiply-adds"]
EQUAL: tuple[Equal, ...] = ("updates", "multiply-adds")


@dataclass(frozen=True, eq=False)
class Trained:
    """A network with what it took.

    Attributes:
        network: with its weights.
        steps: updates in all.
        macs: multiply-adds of them.
        seconds: of training, compilation apart.
        errors: last training losses, by part.
    """

    network: Network
    steps: int
    macs: float
    seconds: float
    errors: dict[str, float] = field(default_factory=dict)

    def after(self, other: Trained) -> Trained:
        """This one's network, with the effort of both."""
        return replace(
            self,
            steps=self.steps + other.steps,
            macs=self.macs + other.macs,
            seconds=self.seconds + other.seconds,
            errors={**other.errors, **self.errors},
        )


class Course:
    """Trains what a plan holds, each part when it is asked for.

    Args:
        plan: forms, data and lengths.
        store: where runs are kept.
        report: progress; what it raises stops the run at hand, and it can be gone on with.
        vae: an 8x autoencoder to begin with, in place of training one.
        updates: how many there will be, for progress.

    Raises:
        ValueError: a given autoencoder of another form.
    """

    def __init__(
        self,
        plan: Plan,
        store: Store,
        report: Report = silent,
        vae: Network | None = None,
        updates: int | None = None,
    ) -> None:
        self.plan, self.store, self.report, self.given = plan, store, report, vae
        self.updates = plan.updates(study=True) if updates is None else updates
        self._done = 0
        if vae is not None:
            check_teacher(vae, self._four(vae))
        self._known: dict[tuple[Any, ...], Trained] = {}

    @cached_property
    def pictures(self) -> Pictures:
        """What is learnt from."""
        return pictures(self.plan.side, count=self.plan.count, held_out=self.plan.held_out)

    @cached_property
    def base(self) -> Trained:
        """The 8x autoencoder; latents of the one trained here are scaled to a spread of one."""
        if self.given is not None:
            return Trained(self.given, 0, 0.0, 0.0)
        plan = self.plan
        recipe = plan.recipe(plan.base_steps, plan.learning_rate, BASE_SEED)
        task = AutoencoderTask(plan.vae8, self.pictures, recipe)
        result = self._trained("8× autoencoder", task)
        found = Network(plan.vae8, result.weights)
        scaled = plan.vae8.model_copy(update={"scaling_factor": self._scaling(found)})
        return self._with_effort(task, result, Network(scaled, result.weights), "base")

    @cached_property
    def teacher(self) -> Trained:
        """The diffusion model of the 8x latents."""
        plan = self.plan
        recipe = plan.recipe(plan.teacher_steps, plan.restoring_rate, BASE_SEED)
        task = TeacherTask(self.base.network, plan.unet8, self.pictures, recipe)
        result = self._trained("teacher of latents", task)
        return self._with_effort(task, result, Network(plan.unet8, result.weights), "teacher")

    def transferred(self, seed: int, reading: Reading) -> Trained:
        """The 4x autoencoder after both stages."""
        form, steps = self._four(self.base.network), self.plan.stage_steps
        return self._two_stages(form, None, reading, seed, (steps, steps), f"4×, {reading}")

    def rival(self, seed: int, equal: Equal) -> Trained:
        """The 8x autoencoder after as many updates, or multiply-adds, as the transfer."""
        base, plan = self.base.network, self.plan
        steps = plan.stage_steps, plan.stage_steps
        if equal == "multiply-adds":
            first, second = self._stage_tasks(_form(base), base, "picture", seed, steps)
            theirs = self.transferred(seed, plan.readings[0])
            share = theirs.macs / (steps[0] * update_macs(first) + steps[1] * update_macs(second))
            steps = round(steps[0] * share), round(steps[1] * share)
        return self._two_stages(_form(base), base, "picture", seed, steps, f"8×, equal {equal}")

    def restorer(
        self, seed: int, equal: Equal | None, reading: Reading | None = None
    ) -> tuple[Trained, Trained]:
        """Autoencoder and one-step UNet of the 4x arm, or of the rival of that effort.

        Args:
            seed: of all of it.
            equal: in what the rival is equal; None for the 4x arm.
            reading: of the 4x arm; the plan's first where None.
        """
        plan = self.plan
        if equal is None:
            vae = self.transferred(seed, reading or plan.readings[0])
            unet = self._grown(seed)
            return vae, self._restoring(vae.network, unet, seed, plan.restoring_steps, "4×")
        vae, unet = self.rival(seed, equal), tuned(self.teacher.network)
        steps = plan.restoring_steps
        if equal == "multiply-adds":
            ours = self._restoring_task(vae.network, unet, seed, steps)
            four = self.transferred(seed, plan.readings[0]).network
            theirs = self._restoring_task(four, self._grown(seed), seed, steps)
            steps = round(steps * update_macs(theirs) / update_macs(ours))
        return vae, self._restoring(vae.network, unet, seed, steps, f"8×, equal {equal}")

    def planned_macs(self) -> float:
        """Multiply-adds of all runs of a study, from shapes and fresh weights."""
        plan, key = self.plan, jax.random.key(BASE_SEED)
        eight = self.given or fresh(plan.vae8, key)
        four = fresh(self._four(eight), key)
        unet = fresh(plan.unet8, key)
        shown, recipe = self.pictures, plan.recipe(1, plan.learning_rate, BASE_SEED)

        def stages(student: Network, reading: Reading) -> float:
            form = _form(student)
            first = DecoderTask(eight, form, shown, recipe, reading, student)
            second = EncoderTask(student, shown, recipe, keep=True)
            return plan.stage_steps * (update_macs(first) + update_macs(second))

        def restoring(vae: Network, tuned: Tuned) -> float:
            task = RestoringTask(vae, tuned, unet, shown, recipe, plan.distillation)
            return plan.restoring_steps * update_macs(task)

        shared = 0.0
        if self.given is None:
            shared += plan.base_steps * update_macs(AutoencoderTask(plan.vae8, shown, recipe))
        shared += plan.teacher_steps * update_macs(TeacherTask(eight, plan.unet8, shown, recipe))
        transfers = [stages(four, reading) for reading in plan.readings]
        ours = restoring(four, grown(unet, plan.unet4, key))
        theirs = restoring(eight, tuned(unet))
        seed = sum(transfers) + stages(eight, "picture") + transfers[0] + 2 * ours + theirs
        return shared + len(plan.seeds) * seed

    def _four(self, eight: Network) -> AutoencoderConfig:
        """The 4x form, its latents scaled as those of the 8x one."""
        scaling = getattr(eight.config, "scaling_factor", None)
        return self.plan.vae4.model_copy(update={"scaling_factor": scaling})

    def _grown(self, seed: int) -> Tuned:
        return grown(self.teacher.network, self.plan.unet4, jax.random.key(seed))

    def _two_stages(
        self,
        form: AutoencoderConfig,
        start: Network | None,
        reading: Reading,
        seed: int,
        steps: tuple[int, int],
        label: str,
    ) -> Trained:
        known = self._known.get((label, seed, steps))
        if known is not None:
            return known
        first, second = self._stage_tasks(form, start, reading, seed, steps)
        result = self._trained(f"{label}, decoder, seed {seed}", first)
        student = Network(form, second.student.weights).with_side(result.weights)
        decoder = self._with_effort(first, result, student, "decoder")
        second = replace(second, student=student)
        result = self._trained(f"{label}, encoder, seed {seed}", second)
        whole = student.with_side(result.weights)
        found = self._with_effort(second, result, whole, "encoder").after(decoder)
        return self._known.setdefault((label, seed, steps), found)

    def _stage_tasks(
        self,
        form: AutoencoderConfig,
        start: Network | None,
        reading: Reading,
        seed: int,
        steps: tuple[int, int],
    ) -> tuple[DecoderTask, EncoderTask]:
        rate = self.plan.learning_rate
        first, second = (self.plan.recipe(count, rate, seed) for count in steps)
        student = start or fresh(form, jax.random.key(seed))
        return (
            DecoderTask(self.base.network, form, self.pictures, first, reading, start),
            EncoderTask(student, self.pictures, second, keep=start is not None),
        )

    def _restoring_task(self, vae: Network, unet: Tuned, seed: int, steps: int) -> RestoringTask:
        recipe = self.plan.recipe(steps, self.plan.restoring_rate, seed)
        return RestoringTask(
            vae, unet, self.teacher.network, self.pictures, recipe, self.plan.distillation
        )

    def _restoring(self, vae: Network, unet: Tuned, seed: int, steps: int, label: str) -> Trained:
        task = self._restoring_task(vae, unet, seed, steps)
        result = self._trained(f"{label}, restorer, seed {seed}", task)
        return self._with_effort(task, result, task.restorer(result.weights), "restorer")

    def _trained(self, label: str, task: Any) -> Result:
        def told(done: int, total: int, note: str = "", preview: Any = None) -> None:
            at = min(self._done + done, self.updates)
            self.report(at, self.updates, f"{label}: {note}" if note else label)

        told(0, task.recipe.steps, "compiling")
        result = train(task, task.recipe, store=self.store, report=told)
        self._done += result.steps
        return result

    def _with_effort(self, task: Any, result: Result, network: Network, part: str) -> Trained:
        last = result.history.dropna(subset=["loss"]).iloc[-1]
        return Trained(
            network,
            result.steps,
            result.steps * update_macs(task),
            result.seconds,
            {part: float(last["loss"])},
        )

    def _scaling(self, network: Network) -> float:
        """One over the spread of latents of training pictures (Rombach et al. 2022, app. G)."""
        sample = self.pictures.batch(min(64, len(self.pictures.train)), BASE_SEED, 0)
        encode = jax.jit(lambda weights, x: network.model(weights).encode(x).mean)
        spread = float(np.std(np.asarray(encode(network.weights, jnp.asarray(sample)))))
        return round(1 / max(spread, 1e-6), 4)


def _form(network: Network) -> AutoencoderConfig:
    config = network.config
    assert isinstance(config, AutoencoderConfig)
    return config
