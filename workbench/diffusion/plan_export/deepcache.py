"""A plan as a call of the DeepCache package."""

from __future__ import annotations

from workbench.diffusion.plan import Plan, PlanError
from workbench.diffusion.unet.config import UNetConfig

COUNTED = 3
"""Layers of every up block, as the package counts them, whatever the model's own number."""


def call(plan: Plan, config: UNetConfig | None) -> str:
    """A program that runs the plan with the package.

    Diffusers' PNDM calls the UNet once more than the number of steps it is given, at a timestep it
    has been at; the package knows steps by their timesteps, and takes the second call as the first.
    Where every second step is full, that changes the plan, and the program says so.

    Args:
        plan: full steps evenly spaced, shallow ones between.
        config: of the model; None for one whose up blocks have three layers, such as Stable
            Diffusion.

    Raises:
        PlanError: a plan that the package cannot express, or a branch it cannot count.
    """
    full = plan.full_steps
    interval = full[1] - full[0] if len(full) > 1 else plan.steps
    _require(plan, interval)
    branch = package_branch(plan.branch, config)
    asked, guard = str(plan.steps), ""
    if plan.steps > 2:
        asked = f"{plan.steps} - repeats"
        guard = '\nrepeats = type(pipe.scheduler).__name__ == "PNDMScheduler"  # a UNet call more'
        if interval == 2:
            why = "on PNDM the package skips step 2, which this plan runs in full"
            guard += f'\nif repeats:\n    raise ValueError("{why}")'
    return f"""\
# pip install DeepCache
from DeepCache import DeepCacheSDHelper
{guard}
helper = DeepCacheSDHelper(pipe=pipe)  # your diffusers pipeline
helper.set_params(cache_interval={interval}, cache_branch_id={branch})
helper.enable()
images = pipe(prompt, num_inference_steps={asked}).images
helper.disable()
"""


def package_branch(branch: int, config: UNetConfig | None) -> int:
    """The package's `cache_branch_id` of a branch of ours, found by counting layers.

    Branch b keeps b + 1 layers of each side live, counted from the outermost. The package's helper
    reads its number as block b // 3 and layer b % 3 of it, so both are one number where up blocks
    have three layers; elsewhere the block and the layer of ours are put into the package's count.
    Its older pipelines of its own run one layer more for the same two numbers. The paper's count is
    neither: its table 3 prints a mean of 130.45 G for interval 5, which is 78.4 G for a partial
    step beside 338.83 G for a full one; Stable Diffusion 1.5 has 20.7, 57.3, 98.0 and 132.6 G at
    branches 0 to 3, counted as the paper counts (without attention products), so no branch gives
    the printed mean: 1 gives 113.5 and 2 gives 146.1 G.

    Raises:
        PlanError: a branch that stands deeper in its block than the package counts.
    """
    if config is None:
        return branch
    places = [
        (block, layer) for block, layers in enumerate(config.layers) for layer in range(layers + 1)
    ]
    block, layer = places[branch]
    if layer >= COUNTED:
        raise PlanError(
            f"The DeepCache package cannot express this plan: branch {branch} is layer {layer} of "
            f"its block, counted from the outermost; the package counts layers 0 to {COUNTED - 1}"
        )
    return COUNTED * block + layer


def _require(plan: Plan, interval: int) -> None:
    """Holds a plan to what the package does.

    Raises:
        PlanError: saying what it does not.
    """
    reuses = set(plan.actions) - {"full", "shallow"}
    problem = ""
    if reuses:
        problem = f"it has {', '.join(sorted(reuses))} steps, the package shallow only"
    elif plan.full_steps != tuple(range(0, plan.steps, interval)):
        problem = f"its full steps {plan.full_steps} are not evenly spaced"
    elif plan.injection:
        problem = "it adds noise on the way"
    if problem:
        raise PlanError(f"The DeepCache package cannot express this plan: {problem}")
